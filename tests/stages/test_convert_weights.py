"""`voxbench weights convert`: what SpeechBrain publishes becomes a file that a network starts from."""

import pytest
import torch
from safetensors.torch import load_file

from tiny import tiny_workspace
from voxbench.cli import main
from voxbench.models import create_model
from voxbench.models.pretrained import initial_weights
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
    assert capfd.readouterr().err.count("\n") == 3
