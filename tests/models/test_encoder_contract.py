"""Properties of every registered encoder; a new model is tested here without touching this file.

Each model is built once: the fixture is parametrised per module, so its tests run together. A new settings
field or input kind needs one row in the two tables below.
"""

import math

import pytest
import safetensors.torch
import torch

from voxbench.models import TRAINABLE, create_model, freeze, list_models, spec
from voxbench.schema import InputError, InputKind

SETTINGS = {"n_features": 48, "dropout": 0.5, "recurrent_dropout": 0.3, "resize": 64, "stem": "sum", "initial": None}
SETTINGS |= {"masked_filters": None}
SHAPES = {InputKind.SPECTROGRAM: (2, 48, 90), InputKind.CEPSTRA: (2, 48, 30), InputKind.WAVE: (2, 1, 9_000)}


def build(name):
    return create_model(name, **{key: SETTINGS[key] for key in spec(name).accepts})


def shape_of_embeddings(encoder, batch):
    frames = () if encoder.stride is None else (math.ceil(batch.shape[-1] / encoder.stride),)
    return (len(batch), *frames, encoder.embedding_dim)


def example_batch(name, seed=7):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*SHAPES[spec(name).input_kind], generator=generator)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# VGG16 holds 134 million parameters, and deep networks have many layers: a third of the room's test time.
SLOW = {"vgg16", "thin_resnet101", "thin_resnet152", "rawnet2", "rawnet2_eurecom"}
NAMES = [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in list_models()]


@pytest.fixture(scope="module", params=NAMES)
def built(request):
    torch.manual_seed(1)
    return request.param, build(request.param)


@pytest.fixture
def named_encoder(built):
    name, encoder = built
    freeze(encoder, "all")
    encoder.zero_grad()
    return name, encoder


def test_embeddings_have_the_declared_shape_and_are_finite(named_encoder):
    name, encoder = named_encoder
    with torch.no_grad():
        embeddings = encoder.eval()(example_batch(name))
    assert embeddings.shape == shape_of_embeddings(encoder, example_batch(name))
    assert embeddings.dtype == torch.float32
    assert torch.isfinite(embeddings).all()
    assert not torch.equal(embeddings[0], embeddings[1])


def test_other_lengths_are_accepted(named_encoder):
    name, encoder = named_encoder
    batch = torch.cat([example_batch(name), example_batch(name).flip(-1)], dim=-1)[..., :-5]
    with torch.no_grad():
        embeddings = encoder.eval()(batch)
    assert embeddings.shape == shape_of_embeddings(encoder, batch)


def test_row_does_not_depend_on_its_batch_mates(named_encoder):
    name, encoder = named_encoder
    batch = example_batch(name)
    with torch.no_grad():
        together = encoder.eval()(batch)
        alone = torch.cat([encoder(batch[:1]), encoder(batch[1:])])
    scale = together.abs().max()
    torch.testing.assert_close(alone / scale, together / scale, rtol=0, atol=1e-5)


def test_gradient_reaches_every_parameter_but_those_that_are_declared_unused(named_encoder):
    name, encoder = named_encoder
    encoder.eval()(example_batch(name)).square().sum().backward()
    without = [key for key, value in encoder.named_parameters() if value.grad is None or not value.grad.any()]
    assert without == list(encoder.unused)


def test_same_seed_builds_the_same_weights(named_encoder):
    name, encoder = named_encoder
    torch.manual_seed(3)
    first = build(name).state_dict()
    torch.manual_seed(3)
    second = build(name).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not all(torch.equal(first[key], value) for key, value in encoder.state_dict().items())


def test_safetensors_round_trip_changes_nothing(named_encoder):
    name, encoder = named_encoder
    with torch.device("meta"):
        twin = build(name)
    stored = safetensors.torch.save(encoder.state_dict())
    twin.load_state_dict(safetensors.torch.load(stored), assign=True)
    with torch.no_grad():
        expected, found = encoder.eval()(example_batch(name)), twin.eval()(example_batch(name))
    assert torch.equal(found, expected)


def test_head_freezes_the_whole_encoder(named_encoder):
    name, encoder = named_encoder
    if encoder.upper is None:
        pytest.skip("has no published weights: never frozen")
    freeze(encoder, "head")
    encoder.train()
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert not any(module.training for module in encoder.modules())
    # Without active dropout or batch statistics the frozen encoder is a function of its input.
    assert torch.equal(encoder(example_batch(name)), encoder(example_batch(name)))


def test_training_step_changes_the_upper_part_only(named_encoder):
    name, encoder = named_encoder
    if encoder.upper is None:
        pytest.skip("has no published weights: never frozen")
    freeze(encoder, "upper")
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    trainable = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    encoder.train()(example_batch(name)).square().mean().backward()
    torch.optim.SGD(trainable, lr=0.1).step()
    changed = {key for key, value in encoder.state_dict().items() if not torch.equal(value, before[key])}
    upper = tuple(f"{part}." for part in encoder.upper)
    assert changed
    assert all(key.startswith(upper) for key in changed)


@pytest.mark.parametrize("trainable", TRAINABLE)
def test_what_can_only_start_at_random_is_never_frozen(named_encoder, trainable):
    name, encoder = named_encoder
    if encoder.upper is not None:
        assert spec(name).pretrained, "a part is frozen by this model, so weights for it must exist"
        pytest.skip("has published weights")
    freeze(encoder, trainable)
    assert all(parameter.requires_grad for parameter in encoder.parameters())
    assert all(module.training for module in encoder.modules())


def test_freeze_all_undoes_a_freeze(named_encoder):
    _, encoder = named_encoder
    freeze(encoder, "head")
    freeze(encoder, "all")
    assert all(parameter.requires_grad for parameter in encoder.parameters())
    assert all(module.training for module in encoder.modules())


def test_batch_without_the_declared_features_is_refused(named_encoder):
    name, encoder = named_encoder
    if "n_features" not in spec(name).accepts:
        pytest.skip("reads waves: no feature count to check")
    with pytest.raises(InputError, match=r"\(2, 47, \d+\), expected \(batch, 48, frames\)"):
        encoder(example_batch(name)[:, 1:])
    with pytest.raises(InputError, match=r"shape \(48, \d+\)"):
        encoder(example_batch(name)[0])


def test_unknown_trainable_word_names_the_closest_one():
    with pytest.raises(InputError, match=r"'uper' \(did you mean 'upper'.*head, upper, all"):
        freeze(build("bilstm_h128_l1"), "uper")
    assert TRAINABLE == ("head", "upper", "all")
