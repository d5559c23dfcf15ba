"""`voxbench weights fetch` against a mirror that serves made-up checkpoints."""

import hashlib
import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
import torchvision
from safetensors.torch import load_file

from voxbench.artifacts import read_json
from voxbench.models import pretrained
from voxbench.models.pretrained import initial_weights
from voxbench.schema import InputError
from voxbench.stages.weights import fetch_imagenet, fetch_weights
from voxbench.stages.workspace import Workspace


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Keep the test's output clean."""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return tmp_path_factory.mktemp("mirror")


@pytest.fixture(scope="module")
def mirror(files):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(files)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def checkpoints(files):
    """Return the state dict of each made-up checkpoint and the name of its file on the mirror."""
    made = {}
    for name in ("mobilenet_v2", "efficientnet_b0"):
        torch.manual_seed(5)
        state = torchvision.models.get_model(name, weights=None).state_dict()
        torch.save(state, files / "new.pth")
        digest = hashlib.sha256((files / "new.pth").read_bytes()).hexdigest()
        (files / "new.pth").rename(files / f"{name}-{digest[:8]}.pth")
        made[name] = state, f"{name}-{digest[:8]}.pth", digest
    return made


@pytest.fixture
def published(monkeypatch, checkpoints):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    real = pretrained.imagenet_url
    names = {name: file_name for name, (_, file_name, _) in checkpoints.items()}
    monkeypatch.setattr(
        pretrained,
        "imagenet_url",
        lambda name: f"https://host.invalid/models/{names[name]}" if name in names else real(name),
    )
    return names


def fetch_all(names, folder, address):
    return dict(fetch_imagenet(names, folder, address=address))


def test_the_fetched_file_holds_the_checkpoints_tensors_and_its_hash_is_in_the_index(
    tmp_path, mirror, published, checkpoints
):
    name = "mobilenet_v2"
    state, file_name, digest = checkpoints[name]
    found = fetch_all([name], tmp_path, mirror)
    tensors = load_file(found[name])
    assert tensors.keys() == state.keys()
    assert all(torch.equal(tensors[key], value) for key, value in state.items())
    row = {"url": mirror + file_name, "sha256_download": digest, "sha256": pretrained.sha256(found[name])}
    assert read_json(tmp_path / "index.json") == {name: row}
    assert not list(tmp_path.glob("*.pth*"))
    assert initial_weights(name, "imagenet", tmp_path, tmp_path).sha256 == row["sha256"]


def test_two_fetches_give_the_same_bytes(tmp_path, mirror, published):
    hashes = {pretrained.sha256(fetch_all(["mobilenet_v2"], tmp_path / each, mirror)["mobilenet_v2"]) for each in "ab"}
    assert len(hashes) == 1


def test_the_index_keeps_what_was_fetched_before_sorted_by_name(tmp_path, mirror, published):
    fetch_all(["mobilenet_v2"], tmp_path, mirror)
    fetch_all(["efficientnet_b0"], tmp_path, mirror)
    assert list(read_json(tmp_path / "index.json")) == ["efficientnet_b0", "mobilenet_v2"]


def test_what_is_there_is_not_fetched_again_and_what_was_changed_is(tmp_path, mirror, published):
    path = fetch_all(["mobilenet_v2"], tmp_path, mirror)["mobilenet_v2"]
    before = path.read_bytes()
    nowhere = "http://127.0.0.1:9"
    fetch_all(["mobilenet_v2"], tmp_path, nowhere)
    path.write_bytes(b"changed")
    with pytest.raises(InputError, match="found no connection"):
        fetch_all(["mobilenet_v2"], tmp_path, nowhere)
    fetch_all(["mobilenet_v2"], tmp_path, mirror)
    assert path.read_bytes() == before


def test_weights_of_another_version_of_torchvision_are_fetched_anew(tmp_path, mirror, published, monkeypatch):
    fetch_all(["mobilenet_v2"], tmp_path, mirror)
    monkeypatch.setattr(pretrained, "imagenet_url", lambda name: f"https://host.invalid/{name}-01234567.pth")
    with pytest.raises(InputError, match=r"mobilenet_v2-01234567\.pth: found HTTP status 404"):
        fetch_all(["mobilenet_v2"], tmp_path, mirror)


def test_a_checkpoint_put_there_by_hand_needs_no_network(tmp_path, files, published):
    file_name = published["mobilenet_v2"]
    (tmp_path / file_name).write_bytes((files / file_name).read_bytes())
    assert fetch_all(["mobilenet_v2"], tmp_path, "http://127.0.0.1:9")["mobilenet_v2"].is_file()
    assert not (tmp_path / file_name).exists()


def test_a_checkpoint_of_another_network_leaves_no_weights(tmp_path, mirror, published, monkeypatch):
    url = f"https://host.invalid/{published['efficientnet_b0']}"
    monkeypatch.setattr(pretrained, "imagenet_url", lambda name: url)
    with pytest.raises(InputError, match=r"\.pth: found .* as features\.0\.0\.weight|found nothing as"):
        fetch_all(["mobilenet_v2"], tmp_path, mirror)
    assert not list(tmp_path.glob("*.safetensors*"))
    assert not (tmp_path / "index.json").exists()


@pytest.mark.parametrize(("wrong", "complaint"), [("bilstm_h128_l1", "no ImageNet weights"), ("resnet81", "resnet18")])
def test_a_model_without_weights_is_refused_before_anything_is_fetched(tmp_path, mirror, published, wrong, complaint):
    with pytest.raises(InputError, match=complaint):
        fetch_all(["mobilenet_v2", wrong], tmp_path / "weights", mirror)
    assert not (tmp_path / "weights").exists()


def test_the_command_prints_a_line_for_each_model(tmp_path, mirror, published, capsys):
    workspace = Workspace(tmp_path, params=None)
    fetch_weights(workspace, ["mobilenet_v2"], address=mirror)
    digest = read_json(workspace.weights / "index.json")["mobilenet_v2"]["sha256"]
    assert re.fullmatch(rf"mobilenet_v2: 14\.\d MB, sha256 {digest}\n", capsys.readouterr().out)


def test_the_command_names_the_models_when_it_is_given_none(tmp_path):
    with pytest.raises(InputError, match="expected one or more of: alexnet, vgg16, resnet18"):
        fetch_weights(Workspace(tmp_path, params=None), [])
