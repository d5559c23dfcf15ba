"""What a network subtracts from its features before anything else, and the weights that it starts from."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from reporting.settings import TRAINING
from voxbench.config import Training
from voxbench.models.pretrained import initial_head
from voxbench.schema import InputError
from voxbench.tasks import tasks
from voxbench.training.network import Statistics, build_network

BINS, FRAMES = 6, 40


def network(subtract):
    training = Training(**(TRAINING | {"subtract": subtract}))
    statistics = Statistics(np.arange(BINS, dtype=float), np.full(BINS, 2.0), targets=np.array([0.0, 1.0]))
    torch.manual_seed(0)
    return build_network("bilstm_h128_l1", tasks["gender"], training, "all", statistics, initial=None).eval()


def crops():
    return 3 * torch.randn(2, BINS, FRAMES, generator=torch.Generator().manual_seed(1)) + 5


def seen(built, features):
    """Return what reaches the encoder."""
    found = []
    built.encoder.register_forward_pre_hook(lambda _module, inputs: found.append(inputs[0]))
    built(features)
    return found[-1]


def test_the_mean_of_the_training_rows_is_subtracted_unless_the_crop_has_its_own():
    expected = (crops() - torch.arange(BINS)[None, :, None]) / 2
    torch.testing.assert_close(seen(network("corpus_mean"), crops()), expected)


def test_a_crop_loses_its_own_mean_and_its_channel_with_it():
    built, channel = network("crop_mean"), torch.linspace(-20, 20, BINS)[None, :, None]
    at_first = seen(built, crops())
    torch.testing.assert_close(at_first, (crops() - crops().mean(dim=2, keepdim=True)) / 2)
    torch.testing.assert_close(seen(built, crops() + channel), at_first, atol=1e-5, rtol=0)
    assert not torch.allclose(seen(network("corpus_mean"), crops() + channel), at_first, atol=1)


def test_batch_mates_change_nothing_of_a_crop():
    built = network("crop_mean")
    alone = torch.cat([built(crop[None]) for crop in crops()])
    assert alone.detach().numpy() == pytest.approx(built(crops()).detach().numpy(), abs=1e-6)


def test_nothing_is_subtracted_and_nothing_divided_by_where_a_network_takes_features_as_they_are():
    built = network("nothing")
    assert torch.equal(seen(built, crops()), crops())
    assert torch.equal(built.state_dict()["mean_F1"], torch.zeros(BINS, 1))
    assert torch.equal(built.state_dict()["std_F1"], torch.ones(BINS, 1))


def test_statistics_that_touch_nothing_keep_the_targets():
    known = Statistics(np.arange(BINS, dtype=np.float32), np.full(BINS, 2.0), targets=np.array([3.0, 4.0]))
    bare = known.untouched()
    assert (bare.mean.tolist(), bare.std.tolist(), bare.targets.tolist()) == ([0.0] * BINS, [1.0] * BINS, [3.0, 4.0])
    assert known.mean[5] == 5, "those of the training rows are as they were"


SMALL, WAVE = "aasist_l", Statistics(np.zeros(1), np.ones(1), targets=np.array([0, 1]))


def spoofing(initial, seed, task="anti_spoofing", **changes):
    training = Training(**(TRAINING | {"subtract": "nothing"} | changes))
    torch.manual_seed(seed)
    return build_network(SMALL, tasks[task], training, "all", WAVE, initial=initial)


def written(path, network, *, head=True, **others):
    """Write the weights of a network as a file of initial weights."""
    tensors = dict(network.encoder.state_dict())
    if head:
        tensors |= {f"head.{name}": value for name, value in network.head.state_dict().items()}
    save_file({name: value.contiguous().clone() for name, value in (tensors | others).items()}, path)
    return path


def alike(ours, theirs):
    mine, other = ours.state_dict(), theirs.state_dict()
    return mine.keys() == other.keys() and all(torch.equal(mine[name], other[name]) for name in mine)


def test_a_network_starts_from_the_encoder_and_the_head_of_a_file(tmp_path):
    theirs = spoofing(None, seed=1)
    path = written(tmp_path / "theirs.safetensors", theirs)
    assert not alike(spoofing(None, seed=2), theirs)
    assert alike(spoofing(path, seed=2), theirs)
    assert initial_head(path).keys() == theirs.head.state_dict().keys() == {"1.weight", "1.bias"}


def test_without_a_head_in_the_file_the_head_is_drawn_as_ever(tmp_path):
    theirs = spoofing(None, seed=1)
    ours = spoofing(written(tmp_path / "theirs.safetensors", theirs, head=False), seed=2)
    assert alike(ours.encoder, theirs.encoder)
    assert alike(ours.head, spoofing(None, seed=2).head)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "age_group"}, r"holds a head of .*\(2, 160\).*, expected .*\(6, 160\)"),
        ({"one_class": {"scale": 20.0, "real": 0.9, "fake": 0.2}}, r"head of .*1\.weight.*, expected .*\(1, 160\)"),
    ],
)
def test_a_head_of_another_task_is_refused_with_both_shapes(tmp_path, changes, message):
    path = written(tmp_path / "theirs.safetensors", spoofing(None, seed=1))
    with pytest.raises(InputError, match=message) as refused:
        spoofing(path, seed=2, **changes)
    assert "take head.* out of the file, to start from the encoder alone" in str(refused.value)


def test_half_a_head_is_refused(tmp_path):
    theirs = spoofing(None, seed=1)
    half = {"head.1.weight": theirs.head.state_dict()["1.weight"]}
    with pytest.raises(InputError, match=r"expected .*1\.bias"):
        spoofing(written(tmp_path / "half.safetensors", theirs, head=False, **half), seed=2)
