"""Residual networks against spoofs: published parameters, grids of cells, what is read and what is not."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from models.golden import vectors
from voxbench.models import create_model, freeze, spec
from voxbench.models.spoof_resnet import SelfAttention
from voxbench.schema import InputError, InputKind


def with_head(name, **overrides):
    with torch.device("meta"):
        encoder = create_model(name, **overrides)
    return sum(value.numel() for value in encoder.parameters()) + 2 * encoder.embedding_dim + 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lfcc_resnet18", 12_450_290),
        ("lfcc_resnet18_s", 71_090),
        ("spectrogram_resnet", 315_490),
        ("spectrogram_resnet_s", 38_882),
        ("mfcc_resnet", 312_994),
    ],
)
def test_parameters_with_a_head_of_two_classes_are_the_published_ones(name, expected):
    assert with_head(name) == expected


def test_published_count_is_met(shared):
    (row,) = vectors(shared, "counts")
    assert with_head("mfcc_resnet") == row["counts"]["nesl_mfcc"]


def test_what_the_networks_eat():
    assert spec("lfcc_resnet18").input_kind is spec("mfcc_resnet").input_kind is InputKind.CEPSTRA
    assert spec("spectrogram_resnet").input_kind is InputKind.SPECTROGRAM
    assert spec("lfcc_resnet18").accepts == spec("mfcc_resnet").accepts == ("n_features", "initial")


def test_maps_of_the_lfcc_network_have_the_published_shapes():
    encoder, found = create_model("lfcc_resnet18").eval(), []
    parts = ("conv1", "layer1", "layer2", "layer3", "layer4", "conv5")
    for part in parts:
        encoder.get_submodule(part).register_forward_hook(lambda _, __, output: found.append(tuple(output.shape[1:])))
    with torch.inference_mode():
        assert encoder(torch.randn(1, 60, 100)).shape == (1, 256)
    assert found == [(16, 18, 100), (64, 18, 100), (128, 9, 50), (256, 5, 25), (512, 3, 13), (256, 1, 13)]
    shortcuts = [key for key in encoder.state_dict() if "shortcut" in key]
    assert shortcuts == [f"layer{number}.0.shortcut.0.weight" for number in range(1, 5)]


def test_self_attention_by_hand():
    pooling = SelfAttention(1)
    nn.init.constant_(pooling.att_weights, 2.0)
    frames = torch.tensor([[[0.0, 1.0, -0.5]]])
    weights = torch.tensor([0.0, 2.0, -1.0]).tanh().softmax(0)
    weighted = weights * frames[0, 0]
    assert pooling(frames).tolist()[0] == pytest.approx([weighted.sum().item(), weighted.std().item()], abs=1e-5)
    still = torch.zeros(1, 1, 5, requires_grad=True)
    found = pooling(still)
    assert found[0].tolist() == pytest.approx([0, 1e-5])
    found.sum().backward()
    assert still.grad.isfinite().all()


def test_a_block_normalises_before_it_convolves():
    torch.manual_seed(3)
    block = create_model("lfcc_resnet18_s").eval().layer2[0]
    maps = torch.randn(2, 16, 6, 9)
    block.bn1.running_mean.normal_()
    seen = functional.relu(block.bn1(maps))
    expected = block.conv2(functional.relu(block.bn2(block.conv1(seen)))) + block.shortcut(seen)
    torch.testing.assert_close(block(maps), expected)
    assert expected.shape == (2, 16, 3, 5)


@pytest.mark.parametrize(
    ("name", "rows", "cells"),
    [
        ("spectrogram_resnet", 1025, (2, 1)),
        ("mfcc_resnet", 72, (3, 5)),
        ("spectrogram_resnet_s", 1025, (5, 1)),
        ("spectrogram_resnet", 257, (1, 1)),
    ],
)
def test_the_published_length_leaves_the_published_cells_untouched(name, rows, cells):
    encoder, given = create_model(name, n_features=rows).eval(), []
    encoder.bn.register_forward_hook(lambda _, __, output: given.append(output))
    encoder.fc1.register_forward_hook(lambda _, inputs, __: given.append(inputs[0]))
    with torch.inference_mode():
        encoder(torch.randn(1, rows, 126))
    pooled = functional.max_pool2d(functional.leaky_relu(given[0], 0.01), 3, padding=1)
    assert encoder.cells == cells == tuple(pooled.shape[2:])
    assert torch.equal(given[1], pooled.flatten(1))


@pytest.mark.parametrize("frames", [1, 20, 126, 300])
def test_other_lengths_fill_the_same_cells(frames):
    encoder = create_model("mfcc_resnet").eval()
    with torch.inference_mode():
        assert encoder(torch.randn(2, 72, frames)).isfinite().all()


def test_what_the_spectrograms_network_passes_by_is_declared():
    with torch.device("meta"):
        spectrogram, mfcc = create_model("spectrogram_resnet"), create_model("mfcc_resnet")
    unused = {name.partition(".")[0] for name in spectrogram.unused if ".pre_bn." not in name}
    assert unused == {f"block{number}" for number in (2, 4, 6, 8, 10)}
    assert mfcc.unused == tuple(f"block{n}.pre_bn.{kind}" for n in range(2, 10) for kind in ("weight", "bias"))


@pytest.mark.parametrize(
    ("name", "overrides", "complaint"),
    [
        ("lfcc_resnet18", {"widths": (16, 8, 16, 16)}, "expected 12 or more: PyTorch's kernels"),
        ("lfcc_resnet18", {"blocks": (2, 2)}, "as many widths as numbers of blocks"),
        ("lfcc_resnet18", {"n_features": 6}, "7 rows per frame or more"),
        ("mfcc_resnet", {"groups": ((1, 10),)}, "groups of blocks from 1 to 9"),
        ("mfcc_resnet", {"groups": ((),)}, "groups of blocks"),
    ],
)
def test_networks_that_cannot_be_are_refused(name, overrides, complaint):
    with pytest.raises(InputError, match=complaint):
        create_model(name, **overrides)


def test_the_shortest_clip_has_an_embedding_and_a_shorter_one_is_refused():
    encoder = create_model("lfcc_resnet18_s").eval()
    assert encoder(torch.randn(1, 60, 9)).isfinite().all()
    with pytest.raises(InputError, match="found 8 frames, expected at least 9"):
        encoder(torch.randn(1, 60, 8))


def test_a_step_of_the_narrowest_network_changes_every_parameter():
    torch.manual_seed(1)
    encoder = create_model("lfcc_resnet18", widths=(12, 12, 12, 12), stem=12, blocks=(1, 1, 1, 1)).train()
    before = {name: value.clone() for name, value in encoder.named_parameters()}
    encoder(torch.randn(4, 60, 40)).square().sum().backward()
    torch.optim.SGD(encoder.parameters(), lr=0.01).step()
    changed = [name for name, value in encoder.named_parameters() if not torch.equal(value, before[name])]
    assert changed == list(before)
    assert all(value.isfinite().all() for value in encoder.parameters())


@pytest.mark.parametrize("name", ["lfcc_resnet18_s", "spectrogram_resnet_s"])
def test_what_starts_from_a_file_may_be_frozen_in_part(tmp_path, name):
    save_file(create_model(name, n_features=40).state_dict(), tmp_path / "w.safetensors")
    started = create_model(name, n_features=40, initial=tmp_path / "w.safetensors")
    freeze(started, "upper")
    learns = {key.partition(".")[0] for key, value in started.named_parameters() if value.requires_grad}
    assert learns == set(started.upper)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lfcc_resnet18_s", "spectrogram_resnet_s", "mfcc_resnet"])
def test_networks_are_exported_for_any_number_of_clips_of_one_length(name):
    encoder = create_model(name, n_features=40).eval()
    rows = torch.export.Dim("rows", min=2, max=64)
    exported = torch.export.export(encoder, (torch.randn(3, 40, 50),), dynamic_shapes=({0: rows},)).module()
    batch = torch.randn(5, 40, 50)
    torch.testing.assert_close(exported(batch), encoder(batch), rtol=0, atol=1e-5)
