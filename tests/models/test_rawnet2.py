"""RawNet2 in both published variants: parameters, lengths of maps, what is read and what is not."""

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from models.golden import SAMPLES, vectors
from voxbench.models import create_model, freeze, list_models, min_frames
from voxbench.models.sinc import sinc_bank
from voxbench.schema import InputError


def with_head(name):
    with torch.device("meta"):
        encoder = create_model(name)
    return sum(value.numel() for value in encoder.parameters()) + 2 * encoder.embedding_dim + 2


@pytest.mark.parametrize(
    ("name", "expected"), [("rawnet2", 17_621_410), ("rawnet2_eurecom", 25_433_602), ("rawnet2_s", 90_658)]
)
def test_parameters_with_a_head_of_two_classes_are_the_published_ones(name, expected):
    assert with_head(name) == expected


def test_published_count_is_met(shared):
    (row,) = vectors(shared, "counts")
    assert with_head("rawnet2") == row["counts"]["rawnet2_asvspoof21"]


def test_names_are_those_of_the_published_codes():
    with torch.device("meta"):
        found = {name.partition(".")[0] for name in create_model("rawnet2").state_dict()}
        downsampled = [name for name in create_model("rawnet2").state_dict() if "conv_downsample.weight" in name]
    numbered = {f"{kind}{number}" for kind in ("block", "fc_attention") for number in range(6)}
    assert found == numbered | {"first_bn", "bn_before_gru", "gru", "fc1_gru"}
    assert downsampled == ["block2.0.conv_downsample.weight"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rawnet2", [21_192, 7_064, 2_354, 784, 261, 87, 29]),
        ("rawnet2_eurecom", [21_490, 7_163, 2_387, 795, 265, 88, 29]),
    ],
)
def test_maps_have_the_published_lengths(name, expected):
    with torch.device("meta"):
        encoder, lengths = create_model(name), []
        for module in (encoder.first_bn, *(encoder.get_submodule(f"block{number}") for number in range(6))):
            module.register_forward_hook(lambda _, __, output: lengths.append(output.shape[2]))
        encoder.bank.bank_NK = torch.empty_like(encoder.bank.bank_NK, device="meta")
        assert encoder(torch.empty(1, 1, SAMPLES)).shape == (1, 1024)
    assert lengths == expected


def test_the_baselines_first_normalisations_are_unused_and_those_of_the_authors_are_not():
    with torch.device("meta"):
        assert create_model("rawnet2").unused == tuple(
            f"block{number}.0.bn1.{kind}" for number in range(1, 6) for kind in ("weight", "bias")
        )
        assert create_model("rawnet2_eurecom").unused == ()


@pytest.mark.parametrize(
    ("name", "filters", "taps", "beyond"), [("rawnet2", 20, 1025, 0), ("rawnet2_eurecom", 128, 129, 2)]
)
def test_the_two_codes_have_other_filters(name, filters, taps, beyond):
    with torch.device("meta"):
        bank = create_model(name).bank.bank_NK
    assert bank.numpy() == pytest.approx(sinc_bank(filters, taps, beyond), abs=1e-7)
    assert bank.numpy() != pytest.approx(sinc_bank(filters, taps, 2 - beyond), abs=1e-4)


@pytest.mark.parametrize("normalised_input", [True, False])
def test_a_block_and_its_attention_by_hand(normalised_input):
    torch.manual_seed(2)
    encoder = create_model("rawnet2_s", widths=(4, 4), filters=4, normalised_input=normalised_input).eval()
    block, frames = encoder.block1[0], torch.randn(2, 4, 30)
    block.bn1.running_mean.normal_()
    seen = functional.leaky_relu(block.bn1(frames), 0.3) if normalised_input else frames
    hidden = block.conv2(functional.leaky_relu(block.bn2(block.conv1(seen)), 0.3))
    expected = functional.max_pool1d(hidden + frames, 3)
    torch.testing.assert_close(block(frames), expected)
    wave, kept = torch.randn(1, 1, 2_000), []
    encoder.block1.register_forward_hook(lambda _, __, output: kept.append(output))
    encoder.bn_before_gru.register_forward_hook(lambda _, given, __: kept.append(given[0]))
    encoder(wave)
    scale = encoder.fc_attention1(kept[0].mean(2)).sigmoid()[:, :, None]
    torch.testing.assert_close(kept[1], kept[0] * scale + scale)


def test_the_embedding_is_the_last_moment_behind_the_linear_layer():
    encoder, kept = create_model("rawnet2_s").eval(), []
    encoder.gru.register_forward_hook(lambda _, __, output: kept.append(output[0]))
    embedding = encoder(torch.randn(2, 1, 8_000))
    assert kept[0].shape[1] > 1
    torch.testing.assert_close(embedding, encoder.fc1_gru(kept[0][:, -1]))


@pytest.mark.parametrize("name", list_models("rawnet2"))
def test_the_shortest_clip_has_an_embedding_and_a_shorter_one_is_refused(name):
    encoder, least = create_model(name).eval(), min_frames(name)
    with torch.inference_mode():
        assert encoder(torch.randn(1, 1, least)).isfinite().all()
    with pytest.raises(InputError, match=rf"expected \(batch, 1, {least} samples or more\)"):
        encoder(torch.zeros(1, 1, least - 1))


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        ({"widths": ()}, "one block or more"),
        ({"taps": 128}, "odd span of taps"),
        ({"beyond": -1}, "expected one block"),
        ({"masked_filters": 21}, "masked_filters 21, expected at most the 20 filters"),
    ],
)
def test_networks_that_cannot_be_are_refused(overrides, complaint):
    with pytest.raises(InputError, match=complaint):
        create_model("rawnet2", **overrides)


def test_what_starts_from_a_file_may_be_frozen_below_its_recurrent_layer(tmp_path):
    save_file(create_model("rawnet2_s").state_dict(), tmp_path / "w.safetensors")
    started = create_model("rawnet2_s", initial=tmp_path / "w.safetensors")
    freeze(started, "upper")
    learns = {name.partition(".")[0] for name, value in started.named_parameters() if value.requires_grad}
    assert learns == {"bn_before_gru", "gru", "fc1_gru"}
