"""`voxbench weights convert`: what SpeechBrain or the authors of AASIST publish becomes a file to start from."""

import pytest
import torch
from safetensors.torch import load_file

from models.golden import FILES
from tiny import tiny_workspace
from voxbench.cli import main
from voxbench.models import create_model
from voxbench.models.aasist_weights import PUBLISHED
from voxbench.models.pretrained import initial_head, initial_weights, sha256
from voxbench.models.speechbrain import to_speechbrain

MODEL, BANDS = "ecapa_tdnn_64", 40


@pytest.fixture
def project(tmp_path):
    """Return a project with a checkpoint of random weights in SpeechBrain's form, and its network."""
    workspace = tiny_workspace(tmp_path)
    torch.manual_seed(3)
    encoder = create_model(MODEL, n_features=BANDS, initial=None)
    torch.save(to_speechbrain(encoder), tmp_path / "embedding_model.ckpt")
    return workspace, encoder


def convert(root, *words, model=MODEL, bands=str(BANDS), checkpoint="embedding_model.ckpt"):
    named = ["weights", "convert", str(root / checkpoint), "--model", model, "--bands", bands]
    return main(["--params", str(root / "params.yaml"), *named, "--output", str(root / "own.safetensors"), *words])


def test_a_network_starts_from_the_converted_file(project, capsys):
    workspace, encoder = project
    assert convert(workspace.root) == 0
    assert "training.weights: own.safetensors" in capsys.readouterr().out
    initial = initial_weights(MODEL, "own.safetensors", workspace.weights, workspace.root)
    assert initial is not None
    started = create_model(MODEL, n_features=BANDS, initial=initial.path).eval()
    mel_BFT = torch.randn(2, BANDS, 60)
    with torch.inference_mode():
        assert torch.equal(started(mel_BFT), encoder.eval()(mel_BFT))
    assert load_file(initial.path).keys() == dict(encoder.state_dict()).keys()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "resnet18"}, "found --model 'resnet18'"),
        ({"model": "ecapa_tdnn_46"}, "did you mean 'ecapa_tdnn_64'"),
        ({"bands": "80"}, "choose the model of the same size and number of bands"),
        ({"bands": "0"}, "--bands is 0"),
        ({"checkpoint": "absent.ckpt"}, "no checkpoint"),
        ({"checkpoint": "params.yaml"}, "found no checkpoint that can be read"),
    ],
)
def test_what_does_not_fit_is_one_line_and_no_file(project, capfd, changes, message):
    workspace, _ = project
    assert convert(workspace.root, **changes) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert message in line
    assert not list(workspace.root.glob("own*"))


def test_a_file_that_is_there_is_kept_and_options_belong_to_their_action(project, capfd):
    workspace, _ = project
    (workspace.root / "own.safetensors").write_text("mine")
    assert convert(workspace.root) == 2
    assert (workspace.root / "own.safetensors").read_text() == "mine"
    params = ["--params", str(workspace.root / "params.yaml")]
    assert main([*params, "weights", "convert", "x.ckpt", "--model", MODEL]) == 2
    assert main([*params, "weights", "fetch", "resnet18", "--bands", "40"]) == 2
    assert main([*params, "weights", "convert", "x.ckpt", "--model", MODEL, "--output", "new.safetensors"]) == 2
    assert "found no --bands, expected the number of mel bands" in capfd.readouterr().err
    assert not (workspace.root / "new.safetensors").exists()


def convert_aasist(root, checkpoint, *words, model="aasist_l"):
    named = ["weights", "convert", str(checkpoint), "--model", model, "--output", str(root / "own.safetensors")]
    return main(["--params", str(root / "params.yaml"), *named, *words])


@pytest.fixture
def aasist(tmp_path):
    """Return a project with random weights of AASIST-L in the published layout, and those weights."""
    workspace = tiny_workspace(tmp_path)
    torch.manual_seed(3)
    state = create_model("aasist_l").state_dict()
    state |= {"out_layer.weight": torch.randn(2, 160), "out_layer.bias": torch.randn(2)}
    torch.save(state, tmp_path / "AASIST-L.pth")
    return workspace, state


def test_encoder_and_head_start_from_what_aasists_authors_publish_and_another_file_is_told(aasist, capsys):
    workspace, state = aasist
    checkpoint = workspace.root / "AASIST-L.pth"
    assert convert_aasist(workspace.root, checkpoint) == 0
    lines = capsys.readouterr().out.splitlines()
    path = workspace.root / "own.safetensors"
    assert lines == [
        f"aasist_l: 85,306 parameters, head included, sha256 {sha256(path)}",
        f"AASIST-L.pth: sha256 {sha256(checkpoint)}, NOT the published file, which has {PUBLISHED['aasist_l']}",
        "in params.yaml, training.weights: own.safetensors",
    ]
    started = create_model("aasist_l", initial=path)
    assert all(torch.equal(value, state[key]) for key, value in started.state_dict().items())
    assert initial_head(path).keys() == {"1.weight", "1.bias"}
    assert torch.equal(initial_head(path)["1.bias"], state["out_layer.bias"])


@pytest.mark.parametrize("model", list(FILES))
def test_the_published_file_is_recognised(tmp_path, shared, capsys, model):
    checkpoint = shared / "weights" / f"{FILES[model]}.pth"
    if not checkpoint.is_file():
        pytest.skip(f"needs the published weights {checkpoint.name} among the reference data")
    workspace = tiny_workspace(tmp_path)
    assert convert_aasist(workspace.root, checkpoint, model=model) == 0
    assert f"{checkpoint.name}: sha256 {PUBLISHED[model]}, the published file" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "words", "model", "message"),
    [
        ("AASIST-L.pth", ["--bands", "40"], "aasist_l", "--bands 40, but aasist_l reads waves, which have no bands"),
        ("AASIST-L.pth", [], "aasist", "as pos_S, expected floating-point numbers of shape (1, 23, 64)"),
        ("AASIST-L.pth", [], "aasist_s", "found --model 'aasist_s'"),
        ("absent.pth", [], "aasist", "expected AASIST.pth or AASIST-L.pth, as it is published"),
        ("params.yaml", [], "aasist", "found no checkpoint that can be read"),
    ],
)
def test_what_is_not_aasists_is_one_line_and_no_file(aasist, capfd, name, words, model, message):
    workspace, _ = aasist
    assert convert_aasist(workspace.root, workspace.root / name, *words, model=model) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert message in line
    assert not list(workspace.root.glob("own*"))
