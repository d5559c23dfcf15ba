"""Networks with an output for every few frames: parameters by hand, lengths, and padding that changes nothing."""

import copy
import importlib
import math

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from voxbench.models import create_model, list_models, spec
from voxbench.models.cost import multiply_adds
from voxbench.schema import InputError

BANDS = 24
# Every remainder by a stride of three and of two, and a clip of one frame.
LENGTHS = (41, 1, 2, 3, 40, 39, 12, 13, 14)
NAMES = list_models("quartznet") + list_models("deep_speech")


def silent(name):
    """Return what switches all dropout of a model off."""
    return {key: 0.0 for key in spec(name).accepts if key.endswith("dropout")}


@pytest.fixture(scope="module", params=NAMES)
def encoder(request):
    """Return an encoder whose normalisations do something: what is zero before one is not zero behind it."""
    torch.manual_seed(3)
    encoder = create_model(request.param, n_features=BANDS, **silent(request.param))
    for module in encoder.modules():
        if hasattr(module, "running_mean"):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2.0)
            torch.nn.init.normal_(module.bias)
    return encoder.eval()


@pytest.fixture(scope="module")
def clips():
    generator = torch.Generator().manual_seed(5)
    return [torch.randn(1, BANDS, length, generator=generator) for length in LENGTHS]


def padded(clips, frames, fill):
    return torch.cat([functional.pad(clip, (0, frames - clip.shape[2]), value=fill) for clip in clips])


def separable(inputs, outputs, span):
    return inputs * span + inputs * outputs + 2 * outputs


def parameters(name, **overrides):
    with torch.device("meta"):
        return sum(values.numel() for values in create_model(name, **overrides).parameters())


@pytest.mark.parametrize("bands", [40, 64, 80])
@pytest.mark.parametrize(
    ("name", "channels", "stem", "spans", "layers", "late", "top"),
    [
        ("quartznet_5x1_192", 192, 11, (11,) * 5, 1, 11, 384),
        ("quartznet_5x3_384", 384, 33, (33, 39, 51, 63, 75), 3, 87, 768),
    ],
)
def test_parameters_of_quartznet_by_hand(name, bands, channels, stem, spans, layers, late, top):
    shortcut = channels * channels + 2 * channels
    blocks = sum(layers * separable(channels, channels, span) + shortcut for span in spans)
    ends = separable(bands, channels, stem) + separable(channels, channels, late) + channels * top + 2 * top
    assert parameters(name, n_features=bands) == blocks + ends


@pytest.mark.parametrize("bands", [40, 64, 80])
@pytest.mark.parametrize(
    ("name", "channels", "hidden", "layers"), [("deep_speech_2x96", 96, 96, 2), ("deep_speech_3x256", 256, 256, 3)]
)
def test_parameters_of_deep_speech_by_hand(name, bands, channels, hidden, layers):
    convolutions = 11 * bands * channels + 5 * channels**2 + 4 * channels
    inputs = [channels, *[2 * hidden] * (layers - 1)]
    recurrent = sum(2 * 3 * hidden * (size + hidden + 2) + 2 * 2 * hidden for size in inputs)
    assert parameters(name, n_features=bands) == convolutions + recurrent


@pytest.mark.parametrize("name", NAMES)
def test_the_table_of_the_docstring_shows_parameters_and_cost(name):
    table = importlib.import_module(spec(name).build.__module__).__doc__
    row = next(line for line in table.splitlines() if line.startswith(f"| {name} "))
    counts, cost = row.replace(",", "").split("|")[-3:-1]
    assert [int(count) for count in counts.split("/")] == [parameters(name, n_features=bands) for bands in (40, 64, 80)]
    assert int(cost) == multiply_adds(create_model(name, n_features=80), torch.zeros(1, 80, 100))
    assert parameters(name, n_features=80) < 5_000_000


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 6, 7, 40, 41])
def test_outputs_are_one_for_every_stride(encoder, frames):
    with torch.no_grad():
        found = encoder(torch.zeros(2, BANDS, frames))
    assert found.shape == (2, math.ceil(frames / encoder.stride), encoder.embedding_dim)
    assert encoder.min_frames == 1


@pytest.mark.parametrize(("frames", "fill"), [(41, 0.0), (41, 300.0), (64, -7.0), (50, math.nan), (50, math.inf)])
def test_padding_never_changes_an_output_and_what_lies_behind_the_end_is_zero(encoder, clips, frames, fill):
    with torch.no_grad():
        found = encoder(padded(clips, frames, fill), torch.tensor(LENGTHS))
        for row, (clip, length) in enumerate(zip(clips, LENGTHS, strict=True)):
            own = math.ceil(length / encoder.stride)
            torch.testing.assert_close(found[row : row + 1, :own], encoder(clip), rtol=0, atol=1e-5)
            assert not found[row, own:].any()


def test_batch_mates_never_change_an_output(encoder, clips):
    order = torch.tensor([5, 1, 0, 8])
    batch = padded(clips, 41, 0.0)[order]
    with torch.no_grad():
        found = encoder(batch, torch.tensor(LENGTHS)[order])
        doubled = encoder(torch.cat([batch, 100 * batch]), torch.tensor(LENGTHS)[order].repeat(2))
    torch.testing.assert_close(doubled[:4], found, rtol=0, atol=1e-5)


def test_padding_changes_nothing_in_training(encoder, clips):
    found = []
    for frames, fill in ((41, 0.0), (77, math.nan)):
        twin = copy.deepcopy(encoder).train()
        outputs = twin(padded(clips, frames, fill), torch.tensor(LENGTHS))[:, : math.ceil(41 / encoder.stride)]
        outputs.square().mean().backward()
        buffers = {name: values.clone() for name, values in twin.named_buffers()}
        found.append((outputs.detach(), buffers, [values.grad for values in twin.parameters()]))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-5)


def test_lengths_that_say_nothing_change_nothing(encoder, clips):
    with torch.no_grad():
        batch = torch.cat([clips[0], clips[0].flip(2)])
        torch.testing.assert_close(encoder(batch, torch.tensor([41, 41])), encoder(batch), rtol=0, atol=1e-5)


def test_without_lengths_padding_does_change_outputs(encoder, clips):
    with torch.no_grad():
        alone, found = encoder(clips[6]), encoder(padded(clips[6:7], 41, 0.0))
    assert (found[:, : alone.shape[1]] - alone).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("name", "overrides", "complaint"),
    [
        ("quartznet_5x1_192", {"spans": ()}, "expected one block or more"),
        ("quartznet_5x1_192", {"spans": (11, 8)}, "found a span of 8 frames, expected odd spans"),
        ("quartznet_5x1_192", {"late": (4, 2)}, "found a span of 4 frames"),
        ("quartznet_5x1_192", {"late": (3, 0)}, "sizes from 1 on"),
        ("quartznet_5x1_192", {"stride": 0}, "sizes from 1 on"),
        ("quartznet_5x1_192", {"dropout": 1.0}, r"found dropout 1.0, expected a probability in \[0, 1\)"),
        ("deep_speech_2x96", {"recurrent_dropout": -0.1}, "found recurrent_dropout -0.1, expected a probability"),
        ("deep_speech_2x96", {"layers": 0}, "sizes from 1 on"),
        ("deep_speech_2x96", {"hidden": 0}, "sizes from 1 on"),
    ],
)
def test_networks_that_cannot_be_are_refused(name, overrides, complaint):
    with pytest.raises(InputError, match=complaint):
        create_model(name, **overrides)


@pytest.mark.parametrize("name", NAMES)
def test_batches_that_cannot_be_are_refused(name):
    encoder = create_model(name, n_features=BANDS)
    with pytest.raises(InputError, match=r"found a batch of shape \(2, 23, 9\), expected \(batch, 24, frames\)"):
        encoder(torch.zeros(2, 23, 9))
    with pytest.raises(InputError, match="found 0 frames, expected at least 1"):
        encoder(torch.zeros(2, BANDS, 0))
    with pytest.raises(InputError, match="clips of 0 to 9 frames in a batch of 9, expected 1 to 9"):
        encoder(torch.zeros(2, BANDS, 9), torch.tensor([9, 0]))


def test_what_deep_speech_reads_both_ways_lies_between_zero_and_twenty():
    encoder, seen = create_model("deep_speech_2x96", n_features=BANDS).eval(), []
    encoder.layers[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        encoder(1e4 * torch.randn(1, BANDS, 30))
    assert (seen[0].min(), seen[0].max()) == (0, 20)


@pytest.mark.parametrize("name", ["quartznet_5x1_192", "deep_speech_2x96"])
def test_what_starts_from_a_file_may_be_frozen(name, tmp_path):
    encoder = create_model(name)
    save_file(encoder.state_dict(), tmp_path / "w.safetensors")
    started = create_model(name, initial=tmp_path / "w.safetensors")
    assert encoder.upper is None
    assert all(list(started.get_submodule(part).parameters()) for part in started.upper)
    for (key, found), expected in zip(started.state_dict().items(), encoder.state_dict().values(), strict=True):
        assert torch.equal(found, expected), key


@pytest.mark.slow
def test_quartznet_is_exported_for_every_number_of_frames_and_with_lengths():
    encoder = create_model("quartznet_5x1_192", n_features=BANDS).eval()
    rows, frames = torch.export.Dim("rows", min=2), torch.export.Dim("frames", min=16)
    shapes = ({0: rows, 2: frames}, {0: rows})
    example = (torch.randn(3, BANDS, 40), torch.tensor([40, 20, 30]))
    exported = torch.export.export(encoder, example, dynamic_shapes=shapes).module()
    for width in (55, 56, 57):
        batch, lengths = torch.randn(2, BANDS, width), torch.tensor([width, 31])
        torch.testing.assert_close(exported(batch, lengths), encoder(batch, lengths), rtol=0, atol=1e-5)
