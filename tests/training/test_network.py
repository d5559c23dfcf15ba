"""What a network subtracts from its features before anything else."""

import numpy as np
import pytest
import torch

from reporting.settings import TRAINING
from voxbench.config import Training
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
