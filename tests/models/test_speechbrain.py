"""Weights by SpeechBrain's names: there and back without a loss, the same embeddings, and refusals."""

import json

import pytest
import torch
from safetensors.torch import save_file

from models.speechbrain_vectors import BANDS, EMBEDDING, LENGTHS, STORED, features, seeded
from voxbench.models import create_model
from voxbench.models.pooling import Padding, padding_of
from voxbench.models.speechbrain import from_speechbrain, to_speechbrain
from voxbench.schema import InputError

NAMES = list(BANDS)
# SpeechBrain adds 1e-5 to the deviations of its x-vector network.
TOLERANCE = {"ecapa_tdnn": 1e-5, "x_vector": 5e-5}


def built(name):
    return create_model(name, n_features=BANDS[name], embedding=EMBEDDING).eval()


@pytest.fixture(scope="module", params=NAMES)
def converted(request, tmp_path_factory):
    """Return a model's name and our network with the weights of a checkpoint in SpeechBrain's format."""
    encoder = built(request.param)
    path = tmp_path_factory.mktemp("checkpoint") / "embedding_model.ckpt"
    torch.save(seeded(to_speechbrain(encoder)), path)
    encoder.load_state_dict(from_speechbrain(path, encoder))
    return request.param, encoder, path


def stored(name, way):
    return torch.tensor(json.loads(STORED.read_text(encoding="utf-8"))[name][way])


def test_a_padded_batch_gives_what_speechbrain_gives_for_each_clip_alone(converted):
    name, encoder, _ = converted
    with torch.no_grad():
        found = encoder(features(BANDS[name]), torch.tensor(LENGTHS))
    assert stored(name, "alone").std() > 0.1
    torch.testing.assert_close(found, stored(name, "alone"), rtol=0, atol=TOLERANCE[name])


class AsSpeechBrain(Padding):
    """Lengths that only means, deviations and attention know: convolutions read what pads a clip."""

    def mirrored(self, margin):
        """Mirror the batch's end instead of the clip's."""
        frames = self.mask_B1T.shape[2]
        places = torch.arange(-margin, frames + margin).abs()
        return torch.minimum(places, 2 * (frames - 1) - places).expand(len(self.lengths_B), -1)


def test_convolutions_that_read_the_padding_give_what_speechbrain_gives_for_the_padded_batch(converted, monkeypatch):
    name, encoder, _ = converted

    def as_speechbrain(lengths, frames):
        return AsSpeechBrain(lengths, padding_of(lengths, frames).mask_B1T)

    monkeypatch.setattr("voxbench.models.pooling.padding_of", as_speechbrain)
    with torch.no_grad():
        found = encoder(features(BANDS[name]), torch.tensor(LENGTHS))
    torch.testing.assert_close(found, stored(name, "padded"), rtol=0, atol=TOLERANCE[name])
    # The deviation from SpeechBrain that the networks state is no matter of rounding.
    assert (found - stored(name, "alone"))[1:].abs().max() > 1e-3


def test_weights_survive_the_way_there_and_back(converted):
    _, encoder, path = converted
    content = torch.load(path, weights_only=True)
    back = to_speechbrain(encoder)
    assert list(back) == list(to_speechbrain(encoder))
    assert back.keys() == content.keys()
    assert all(torch.equal(back[key], value) for key, value in content.items())


def test_a_converted_file_is_one_to_start_from(converted, tmp_path):
    name, encoder, path = converted
    save_file(from_speechbrain(path, encoder), tmp_path / "w.safetensors")
    start = create_model(name, n_features=BANDS[name], embedding=EMBEDDING, initial=tmp_path / "w.safetensors")
    assert all(torch.equal(value, encoder.state_dict()[key]) for key, value in start.state_dict().items())
    assert start.upper
    with pytest.raises(InputError, match=r"w\.safetensors: found .*expected .*by the names of its layers"):
        create_model(name, n_features=BANDS[name] + 1, embedding=EMBEDDING, initial=tmp_path / "w.safetensors")


def test_names_are_those_of_speechbrains_public_checkpoint():
    names = to_speechbrain(built("ecapa_tdnn"))
    weights = [key.removesuffix(".weight") for key in names if key.endswith(".weight")]
    assert [key for key in weights if not key.startswith("blocks.")] == [
        *("mfa.conv.conv", "mfa.norm.norm", "asp.tdnn.conv.conv", "asp.tdnn.norm.norm", "asp.conv.conv"),
        *("asp_bn.norm", "fc.conv"),
    ]
    assert {key.split(".")[2] for key in weights if key.startswith("blocks.3")} == {
        *("tdnn1", "res2net_block", "tdnn2", "se_block"),
    }
    assert "blocks.0.conv.conv" in weights
    assert "blocks.1.res2net_block.blocks.6.norm.norm" in weights
    assert names["asp.tdnn.conv.conv.weight"].shape == (128, 4608, 1)
    assert names["fc.conv.weight"].shape == (EMBEDDING, 3072, 1)


def test_counters_may_be_absent(converted, tmp_path):
    _, encoder, path = converted
    content = torch.load(path, weights_only=True)
    torch.save({key: value for key, value in content.items() if "num_batches" not in key}, tmp_path / "c.ckpt")
    state = from_speechbrain(tmp_path / "c.ckpt", encoder)
    assert all(torch.equal(value, encoder.state_dict()[key]) for key, value in state.items())


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"fc.conv.bias": None}, r"found a state dict without fc\.conv\.bias; expected"),
        ({"fc.conv.bias": torch.zeros(3)}, r"with fc\.conv\.bias of shape \(3,\) instead of \(32,\); expected"),
        ({"extra": torch.zeros(3)}, r"with unknown extra; expected SpeechBrain's weights of this very network, with 2"),
        (
            {"mfa.conv.conv.bias": None, "mfa.conv.con.bias": torch.zeros(1536)},
            r"without mfa\.conv\.conv\.bias; with unknown mfa\.conv\.con\.bias \(did you mean 'mfa\.conv\.conv\.bias'",
        ),
    ],
)
def test_a_checkpoint_of_another_network_is_refused_by_name(tmp_path, change, complaint):
    encoder = built("ecapa_tdnn")
    content = {key: value for key, value in (to_speechbrain(encoder) | change).items() if value is not None}
    torch.save(content, tmp_path / "c.ckpt")
    with pytest.raises(InputError, match=rf"c\.ckpt: .*{complaint}"):
        from_speechbrain(tmp_path / "c.ckpt", encoder)


def test_a_larger_network_is_refused_with_a_few_of_its_differences(tmp_path):
    torch.save(to_speechbrain(built("ecapa_tdnn")), tmp_path / "c.ckpt")
    smaller = create_model("ecapa_tdnn", dilations=(2, 3), embedding=EMBEDDING)
    with pytest.raises(InputError, match=r"with unknown blocks\.3\.\S+, .* and 6\d more; with mfa.* of shape"):
        from_speechbrain(tmp_path / "c.ckpt", smaller)


def test_what_is_no_state_dict_and_other_networks_are_refused(tmp_path):
    torch.save([1], tmp_path / "c.ckpt")
    with pytest.raises(InputError, match="expected a state dict of tensors"):
        from_speechbrain(tmp_path / "c.ckpt", built("x_vector"))
    with pytest.raises(InputError, match="found a ThinResnetEncoder, but"):
        to_speechbrain(create_model("thin_resnet18"))
