"""AASIST: published parameters, structure, and forms of computing that change nothing."""

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from models.golden import SAMPLES, vectors
from voxbench.models import create_model, freeze, list_models, min_frames, spec
from voxbench.models.graph_attention import GraphAttention, GraphPool, PairedAttention
from voxbench.schema import InputError


def parameters(module):
    return sum(value.numel() for value in module.parameters())


@pytest.mark.parametrize(("name", "expected"), [("aasist", 297_866), ("aasist_l", 85_306), ("aasist_s", 24_602)])
def test_parameters_with_a_head_of_two_classes_are_the_published_ones(name, expected):
    with torch.device("meta"):
        encoder = create_model(name)
    assert parameters(encoder) + 2 * encoder.embedding_dim + 2 == expected


def test_published_count_is_met(shared):
    (row,) = vectors(shared, "counts")
    with torch.device("meta"):
        assert parameters(create_model("aasist")) + 322 == row["counts"]["aasist"]


def test_parts_have_the_published_parameters():
    encoder = create_model("aasist")
    found = {name: parameters(part) for name, part in encoder.named_children()}
    assert [parameters(block) for block in encoder.encoder] == [6_592, 12_480, 43_392, 49_536, 49_536, 49_536]
    assert (found["GAT_layer_S"], found["GAT_layer_T"], found["first_bn"]) == (12_672, 12_672, 2)
    assert {found[f"HtrgGAT_layer_ST{branch}1"] for branch in "12"} == {20_992}
    assert {found[f"HtrgGAT_layer_ST{branch}2"] for branch in "12"} == {8_640}
    assert {found[f"pool_{name}"] for name in ("hS1", "hS2", "hT1", "hT2")} == {33}
    assert (found["pool_S"], found["pool_T"], encoder.pos_S.numel(), encoder.master1.numel()) == (65, 65, 1_472, 64)


def test_the_first_normalisations_never_get_a_gradient_and_nothing_else_is_dead(shared):
    (row,) = vectors(shared, "aasist_structure")
    encoder = create_model("aasist").eval()
    encoder(0.1 * torch.randn(2, 1, 9_000)).square().sum().backward()
    dead = [name for name, value in encoder.named_parameters() if value.grad is None]
    assert dead == row["parameters_without_gradient"] == list(encoder.unused)
    assert sum(encoder.get_parameter(name).numel() for name in dead) == row["count"]


def test_dead_tensors_are_kept_and_never_computed():
    encoder = create_model("aasist").train()
    before = encoder.encoder[1][0].bn1.running_mean.clone()
    encoder(torch.randn(2, 1, 9_000))
    assert torch.equal(encoder.encoder[1][0].bn1.running_mean, before)
    assert "encoder.5.0.bn1.running_var" in encoder.state_dict()


@pytest.mark.parametrize("name", list_models("aasist"))
def test_every_length_that_leaves_a_moment_is_mapped_and_a_shorter_one_is_refused(name):
    encoder, least = create_model(name).eval(), min_frames(name)
    for samples in (least, least + 1, SAMPLES, SAMPLES - 1):
        with torch.inference_mode():
            assert encoder(0.1 * torch.randn(1, 1, samples)).isfinite().all()
    with pytest.raises(InputError, match=rf"shape \(1, 1, {least - 1}\), expected \(batch, 1, {least} samples or more"):
        encoder(torch.zeros(1, 1, least - 1))
    with pytest.raises(InputError, match=r"expected \(batch, 1, "):
        encoder(torch.zeros(1, SAMPLES))


def normalised(encoder):
    """Give every normalisation statistics, so that folding has something to fold."""
    for module in encoder.modules():
        if hasattr(module, "running_mean"):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2.0)
            torch.nn.init.normal_(module.bias)
    return encoder


@pytest.mark.parametrize("name", ["aasist", "aasist_s"])
def test_a_block_computes_the_published_order_in_pieces_and_whole(name, monkeypatch):
    torch.manual_seed(2)
    encoder = normalised(create_model(name)).eval()
    for number, (block,) in enumerate(encoder.encoder):
        inputs = block.conv1.in_channels
        for clips, frames in ((2, 100), (1, 101), (1, 3), (2, 48)):
            maps = torch.randn(clips, inputs, 5, frames)
            hidden = block.conv2(functional.selu(block.bn2(block.conv1(maps))))
            kept = block.conv_downsample(maps) if block.widens else maps
            expected = functional.max_pool2d(hidden + kept, (1, 3))
            for piece in (48, 10**9):
                monkeypatch.setattr("voxbench.models.aasist.PIECE", piece)
                torch.testing.assert_close(block(maps), expected, rtol=0, atol=1e-4, msg=f"{number}, {frames}")


def test_a_node_takes_up_what_its_softmax_says():
    torch.manual_seed(3)
    layer, nodes = GraphAttention(4, 3, 2.0, 0.0).eval(), torch.randn(1, 5, 4)
    rows = []
    for node in nodes[0]:
        scores = torch.stack([(layer.att_proj(node * other).tanh() @ layer.att_weight)[0] for other in nodes[0]])
        taken = ((scores / 2).softmax(0)[:, None] * nodes[0]).sum(0)
        rows.append(functional.selu(layer.bn((layer.proj_with_att(taken) + layer.proj_without_att(node))[None]))[0])
    torch.testing.assert_close(layer(nodes)[0], torch.stack(rows))


def test_nodes_of_two_kinds_use_the_vector_of_their_pair():
    torch.manual_seed(3)
    layer, nodes = PairedAttention(4, 3, 1.0, 0.0).eval(), torch.randn(1, 5, 4)
    found = layer._logits(nodes, 2)[0]
    for i in range(5):
        for j in range(5):
            pair = "11" if i < 2 and j < 2 else "22" if i >= 2 and j >= 2 else "12"
            vector = getattr(layer, f"att_weight{pair}")
            expected = layer.att_proj(nodes[0, i] * nodes[0, j]).tanh() @ vector
            assert found[i, j].item() == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize(
    ("nodes", "ratio", "kept"), [(29, 0.7, 20), (23, 0.5, 11), (23, 0.4, 9), (1, 0.5, 1), (90, 0.7, 62)]
)
def test_a_pool_keeps_the_best_nodes_first_times_their_scores(nodes, ratio, kept):
    pool, values = GraphPool(ratio, 4, 0.3).eval(), torch.randn(2, nodes, 4)
    scores = pool.proj(values).sigmoid()
    order = scores[..., 0].argsort(dim=1, descending=True)[:, :kept]
    expected = torch.stack([(row * score)[places] for row, score, places in zip(values, scores, order, strict=True)])
    assert expected.shape[1] == kept
    torch.testing.assert_close(pool(values), expected)


def test_hidden_filters_are_a_setting_of_the_run_and_change_training_alone():
    assert spec("aasist").accepts == ("initial", "masked_filters")
    torch.manual_seed(5)
    encoder, wave = create_model("aasist_s", masked_filters=24), 0.1 * torch.randn(1, 1, 4_000)
    assert torch.equal(encoder.eval()(wave), encoder(wave))
    assert encoder.bank.train()(wave).ne(encoder.bank(wave)).any()


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        ({"widths": ()}, "one block or more"),
        ({"filters": 2}, "3 filters or more"),
        ({"taps": 128}, "odd span of taps"),
        ({"pool_ratios": (0.5, 0.0, 0.5)}, r"pool ratios in \(0, 1\]"),
        ({"temperatures": (2.0, 2.0, 0.0)}, "temperatures above 0"),
        ({"masked_filters": 71}, "masked_filters 71, expected at most the 70 filters"),
    ],
)
def test_networks_that_cannot_be_are_refused(overrides, complaint):
    with pytest.raises(InputError, match=complaint):
        create_model("aasist", **overrides)


def test_what_starts_from_a_file_may_be_frozen_below_its_graphs(tmp_path):
    encoder = create_model("aasist_s")
    save_file(encoder.state_dict(), tmp_path / "w.safetensors")
    started = create_model("aasist_s", initial=tmp_path / "w.safetensors")
    assert all(torch.equal(value, encoder.state_dict()[key]) for key, value in started.state_dict().items())
    freeze(started, "upper")
    learns = {name.partition(".")[0] for name, value in started.named_parameters() if value.requires_grad}
    assert learns == set(started.upper)
    assert {"GAT_layer_S", "HtrgGAT_layer_ST22", "pool_hT1"} <= learns
    assert "encoder" not in learns


@pytest.mark.slow
@pytest.mark.parametrize("name", ["aasist_s", "rawnet2_s"])
def test_networks_on_waves_are_exported_for_any_number_of_clips_of_one_length(name):
    torch.manual_seed(6)
    encoder = create_model(name).eval()
    rows = torch.export.Dim("rows", min=2, max=64)
    example = 0.1 * torch.randn(3, 1, 9_000)
    exported = torch.export.export(encoder, (example,), dynamic_shapes=({0: rows},)).module()
    for clips in (2, 5):
        batch = 0.1 * torch.randn(clips, 1, 9_000)
        torch.testing.assert_close(exported(batch), encoder(batch), rtol=0, atol=1e-5)
