"""Initial weights: what a file must hold, and which file a model starts from."""

import hashlib
import pickle
import re

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from voxbench.artifacts import write_json
from voxbench.models import create_model, list_models, spec
from voxbench.models.cnn import CNNS
from voxbench.models.pretrained import (
    Initial,
    imagenet_url,
    initial_weights,
    origin,
    pretrained_models,
    read_checkpoint,
    read_index,
)
from voxbench.schema import InputError

SETTINGS = {"n_features": 64, "dropout": 0.5, "resize": None, "stem": "sum"}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(11)
    network = torchvision.models.mobilenet_v2(weights=None)
    for buffer in network.buffers():
        buffer.copy_(torch.rand(buffer.shape) + 0.5) if buffer.is_floating_point() else buffer.fill_(7)
    return network.eval()


@pytest.fixture(scope="module")
def state(network):
    return network.state_dict()


def stored(path, tensors):
    save_file({key: value.clone() for key, value in tensors.items()}, path)
    return path


def fetched(folder, name="mobilenet_v2", content=b"weights"):
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.safetensors").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    write_json(folder / "index.json", {name: {"url": "http://h/f", "sha256_download": "0" * 64, "sha256": digest}})
    return digest


def test_torchvisions_addresses_state_the_hash_of_the_file():
    for variant in CNNS:
        assert re.fullmatch(r"https://\S+/[\w-]+-[0-9a-f]{8}\.pth", imagenet_url(variant.name))
    assert imagenet_url("resnet18").endswith("/resnet18-f37072fd.pth")


def test_what_has_imagenet_weights_can_start_from_them():
    assert pretrained_models() == [variant.name for variant in CNNS]
    assert all("initial" in spec(name).accepts for name in pretrained_models())
    with pytest.raises(InputError, match="'bilstm_h128_l1' has no ImageNet weights; these have: alexnet, vgg16"):
        imagenet_url("bilstm_h128_l1")


@pytest.mark.parametrize("counters", [True, False])
def test_a_checkpoint_is_read_tensor_by_tensor_with_or_without_counters(tmp_path, state, counters):
    kept = {key: value for key, value in state.items() if counters or "num_batches" not in key}
    torch.save(kept, tmp_path / "c.pth")
    found = read_checkpoint(tmp_path / "c.pth", "mobilenet_v2")
    assert found.keys() == kept.keys()
    assert all(torch.equal(found[key], value) for key, value in kept.items())


def test_densenets_old_names_become_the_present_ones(tmp_path):
    state = torchvision.models.densenet121(weights=None).state_dict()
    old = {
        re.sub(r"(denselayer\d+\.(norm|conv))([12])\.", r"\1.\3.", key): value
        for key, value in state.items()
        if "num_batches" not in key
    }
    assert "features.denseblock1.denselayer1.norm.1.running_mean" in old
    torch.save(old, tmp_path / "c.pth")
    found = read_checkpoint(tmp_path / "c.pth", "densenet121")
    assert found.keys() == {key for key in state if "num_batches" not in key}
    assert all(torch.equal(value, state[key]) for key, value in found.items())


class Hostile:
    """Creates a file when it is unpickled by a reader that runs code."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_checkpoint_that_wants_to_run_code_is_refused(tmp_path):
    torch.save({"conv1.weight": Hostile(tmp_path / "owned")}, tmp_path / "c.pth")
    with pytest.raises(InputError, match=r"c\.pth: found no checkpoint .* without running code"):
        read_checkpoint(tmp_path / "c.pth", "mobilenet_v2")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04broken", pickle.dumps([1], protocol=2)])
def test_what_is_no_checkpoint_is_refused(tmp_path, content):
    (tmp_path / "c.pth").write_bytes(content)
    with pytest.raises(InputError, match=r"c\.pth: found .*expected a state dict of tensors"):
        read_checkpoint(tmp_path / "c.pth", "mobilenet_v2")


@pytest.mark.parametrize("content", [[1], {"epoch": 3}, torch.zeros(2)])
def test_a_checkpoint_of_something_else_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "c.pth")
    with pytest.raises(InputError, match="expected a state dict of tensors"):
        read_checkpoint(tmp_path / "c.pth", "mobilenet_v2")


BIAS = "classifier.1.bias"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({BIAS: None}, rf"found nothing as {BIAS}, expected floating-point numbers of shape \(1000,\)"),
        ({BIAS: torch.zeros(10)}, rf"found .* of shape \(10,\) as {BIAS}, expected .*\(1000,\)"),
        ({BIAS: torch.zeros(1000, dtype=torch.int8)}, rf"found integer numbers .* as {BIAS}, expected floating-point"),
        ({"extra": torch.zeros(2)}, r"found .*\(2,\) as extra, expected nothing"),
    ],
)
def test_a_checkpoint_of_another_network_is_refused_by_its_first_difference(tmp_path, state, change, complaint):
    changed = {key: value for key, value in (dict(state) | change).items() if value is not None}
    torch.save(changed, tmp_path / "c.pth")
    with pytest.raises(InputError, match=rf"c\.pth: {complaint}"):
        read_checkpoint(tmp_path / "c.pth", "mobilenet_v2")


@pytest.mark.parametrize("name", list_models())
def test_random_means_no_file(name, tmp_path):
    assert initial_weights(name, "random", tmp_path, tmp_path) is None
    assert origin(name, "random") == "random"


def test_imagenet_is_the_file_of_the_index(tmp_path):
    digest = fetched(tmp_path / "weights")
    found = initial_weights("mobilenet_v2", "imagenet", tmp_path / "weights", tmp_path)
    assert found == Initial(tmp_path / "weights" / "mobilenet_v2.safetensors", digest)
    assert origin("mobilenet_v2", "imagenet") == "imagenet"


def test_imagenet_means_random_where_no_such_weights_exist_and_the_origin_says_so(tmp_path):
    assert initial_weights("bilstm_h128_l1", "imagenet", tmp_path, tmp_path) is None
    assert origin("bilstm_h128_l1", "imagenet") == "random"


def test_weights_that_were_not_fetched_are_never_replaced_by_random_ones(tmp_path):
    cure = "run `voxbench weights fetch resnet18`"
    with pytest.raises(InputError, match=f"no ImageNet weights of resnet18 in {tmp_path}: {cure}"):
        initial_weights("resnet18", "imagenet", tmp_path, tmp_path)
    fetched(tmp_path)
    with pytest.raises(InputError, match=cure):
        initial_weights("resnet18", "imagenet", tmp_path, tmp_path)
    (tmp_path / "mobilenet_v2.safetensors").unlink()
    with pytest.raises(InputError, match="run `voxbench weights fetch mobilenet_v2`"):
        initial_weights("mobilenet_v2", "imagenet", tmp_path, tmp_path)


def test_weights_that_were_changed_are_refused(tmp_path):
    digest = fetched(tmp_path)
    (tmp_path / "mobilenet_v2.safetensors").write_bytes(b"weightz")
    with pytest.raises(
        InputError, match=rf"found SHA-256 \w+, expected {digest} as in index.json.*weights fetch mobil"
    ):
        initial_weights("mobilenet_v2", "imagenet", tmp_path, tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"resnet18": 3}', '{"resnet18": {"url": "x"}}'])
def test_a_broken_index_is_refused(tmp_path, text):
    (tmp_path / "index.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="is not an index of weights: delete it"):
        read_index(tmp_path)


def test_a_file_is_found_from_the_project_folder(tmp_path):
    (tmp_path / "mine.safetensors").write_bytes(b"abc")
    found = initial_weights("resnet18", "mine.safetensors", tmp_path / "weights", tmp_path)
    assert found == Initial(tmp_path / "mine.safetensors", hashlib.sha256(b"abc").hexdigest())
    assert initial_weights("resnet18", str(tmp_path / "mine.safetensors"), tmp_path, tmp_path / "x") == found
    assert origin("resnet18", "folder/mine.safetensors") == "mine.safetensors"


def test_a_file_that_is_missing_is_refused_with_the_word_that_was_meant(tmp_path):
    with pytest.raises(InputError, match=r"'imagnet' \(did you mean 'imagenet'\?\), but no file .*expected random"):
        initial_weights("resnet18", "imagnet", tmp_path, tmp_path)


def test_a_file_for_a_model_that_takes_none_is_refused(tmp_path):
    (tmp_path / "mine.safetensors").write_bytes(b"abc")
    with pytest.raises(InputError, match="bilstm_h128_l1 cannot start from a file"):
        initial_weights("bilstm_h128_l1", "mine.safetensors", tmp_path, tmp_path)


@pytest.mark.parametrize("classes", [1000, 5, None])
def test_an_encoder_starts_from_its_file_whatever_head_the_file_has(tmp_path, state, classes):
    tensors = {key: value for key, value in state.items() if not key.startswith("classifier.1.")}
    if classes is not None:
        tensors |= {"classifier.1.weight": torch.zeros(classes, 1280), BIAS: torch.zeros(classes)}
    encoder = create_model("mobilenet_v2", **SETTINGS, initial=stored(tmp_path / "w.safetensors", tensors))
    found = encoder.network.state_dict()
    stem = "features.0.0.weight"
    assert torch.equal(found[stem], state[stem].sum(1, keepdim=True))
    assert all(torch.equal(found[key], state[key]) for key in found if key != stem)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"features.0.0.weight": torch.zeros(32, 1, 3, 3)}, r"\(32, 1, 3, 3\) as features\.0\.0\.weight, .*\(32, 3, 3"),
        ({"features.0.1.running_var": None}, r"found nothing as features\.0\.1\.running_var"),
        ({"encoder.layer": torch.zeros(2)}, r"as encoder\.layer, expected nothing"),
    ],
)
def test_a_file_of_another_network_is_refused(tmp_path, state, change, complaint):
    changed = {key: value for key, value in (dict(state) | change).items() if value is not None}
    path = stored(tmp_path / "w.safetensors", changed)
    with pytest.raises(InputError, match=rf"w\.safetensors: .*{complaint}"):
        create_model("mobilenet_v2", **SETTINGS, initial=path)


def test_a_file_that_is_no_safetensors_is_refused(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"not at all")
    with pytest.raises(InputError, match=r"w\.safetensors: found no safetensors file"):
        create_model("mobilenet_v2", **SETTINGS, initial=tmp_path / "w.safetensors")


def test_counters_may_be_absent_and_are_zero(tmp_path, state):
    tensors = {key: value for key, value in state.items() if "num_batches" not in key}
    encoder = create_model("mobilenet_v2", **SETTINGS, initial=stored(tmp_path / "w.safetensors", tensors))
    counters = [value for key, value in encoder.state_dict().items() if "num_batches" in key]
    assert counters
    assert not any(counters)


def test_a_summed_stem_answers_a_grey_image_as_the_three_channel_network(tmp_path, network, state):
    path = stored(tmp_path / "w.safetensors", state)
    encoder = create_model("mobilenet_v2", **SETTINGS, initial=path).eval()
    images = torch.randn(2, 64, 70, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        features = network.features(images.unsqueeze(1).repeat(1, 3, 1, 1))
        expected, found = features.mean((2, 3)), encoder(images)
    scale = expected.abs().max()
    torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=1e-5)


def test_a_mean_stem_gives_a_third_of_it_after_the_first_convolution(tmp_path, network, state):
    path = stored(tmp_path / "w.safetensors", state)
    encoder = create_model("mobilenet_v2", **(SETTINGS | {"stem": "mean"}), initial=path).eval()
    images = torch.randn(2, 1, 64, 70, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected = network.features[0][0](images.repeat(1, 3, 1, 1)) / 3
        torch.testing.assert_close(encoder.network.features[0][0](images), expected, rtol=1e-5, atol=1e-5)
