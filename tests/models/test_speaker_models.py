"""Speaker networks: the parameters of their references, networks of other sizes, and what is refused."""

import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from voxbench.models import create_model, list_models, spec
from voxbench.schema import InputError

NAMES = [name for family in ("ecapa_tdnn", "x_vector", "thin_resnet") for name in list_models(family)]


def parameters(name, **overrides):
    with torch.device("meta"):
        return sum(value.numel() for value in create_model(name, **overrides).parameters())


@pytest.mark.parametrize(
    ("name", "bands", "expected"),
    [
        ("ecapa_tdnn", 80, 6_194_048),
        ("ecapa_tdnn_1024", 80, 14_660_416),
        ("ecapa_tdnn_1024_3072", 80, 20_767_552),
        ("x_vector", 24, 4_211_604),
        ("x_vector", 40, 4_252_564),
        ("x_vector", 80, 4_354_964),
        ("thin_resnet18", 80, 4_105_440),
        ("thin_resnet34", 80, 6_634_336),
        ("thin_resnet50", 80, 11_131_360),
        ("thin_resnet101", 80, 15_892_448),
        ("thin_resnet152", 80, 19_814_880),
        ("ecapa_tdnn_64", 80, 316_792),
        ("x_vector_128", 40, 287_077),
        ("ecapa_tdnn_256", 80, 3_334_048),
        ("ecapa_tdnn_deep", 80, 7_726_912),
        ("thin_resnet34_half", 80, 1_988_656),
    ],
)
def test_parameters_are_those_of_the_named_implementation(name, bands, expected):
    assert parameters(name, n_features=bands) == expected


@pytest.mark.parametrize(
    ("layers", "expected"),
    [(18, 3_777_696), (34, 6_306_592), (50, 9_820_576), (101, 14_581_664), (152, 18_504_096)],
)
def test_smaller_embeddings_have_the_published_parameters(layers, expected):
    assert parameters(f"thin_resnet{layers}", embedding=192) == expected


def test_published_counts_are_met(shared):
    vectors = json.loads((shared / "vectors" / "model_vectors.json").read_text(encoding="utf-8"))["vectors"]
    counts = next(row["counts"] for row in vectors if row["group"] == "counts")
    assert parameters("ecapa_tdnn_1024_3072") == counts["ecapa_sb_1024_3072_192"]
    assert parameters("ecapa_tdnn") == counts["ecapa_sb_512_1536_192"]
    assert parameters("x_vector", n_features=80) == counts["xvector_sb_80"]
    for layers in (18, 50, 101, 152):
        assert parameters(f"thin_resnet{layers}") == counts[f"resnet{layers}_ws_256"]


def test_parts_of_ecapa_have_the_published_parameters():
    encoder = create_model("ecapa_tdnn")
    found = {name: sum(value.numel() for value in part.parameters()) for name, part in encoder.named_children()}
    assert (found["blocks"], found["join"], found["pooling"]) == (2_445_632 - found["stem"], 2_363_904, 788_352)
    assert (found["norm"], found["embed"]) == (6_144, 590_016)


def test_more_or_fewer_layers_and_filters_need_no_new_table_row():
    assert parameters("ecapa_tdnn", channels=256) == parameters("ecapa_tdnn_256")
    assert parameters("ecapa_tdnn", dilations=(2, 3, 4, 5)) == parameters("ecapa_tdnn_deep")
    assert parameters("thin_resnet34", width=16) == parameters("thin_resnet34_half")
    assert create_model("x_vector", widths=(64, 64), spans=(5, 3), dilations=(1, 2)).embedding_dim == 512
    assert set(spec("ecapa_tdnn").accepts) == {"n_features", "initial"}
    with pytest.raises(InputError, match=r"'channel' \(did you mean 'channels'.*takes: n_features, initial, channels"):
        create_model("ecapa_tdnn", channel=3)


@pytest.mark.parametrize(
    ("name", "overrides", "complaint"),
    [
        ("ecapa_tdnn", {"channels": 500}, "found 500 channels, expected a multiple of the 8 splits"),
        ("ecapa_tdnn", {"dilations": ()}, "expected one dilation or more"),
        ("ecapa_tdnn", {"splits": 1}, "two splits or more"),
        ("ecapa_tdnn", {"embedding": 0}, "sizes from 1 on"),
        ("x_vector", {"widths": (4, 4)}, "expected as many widths as spans and dilations"),
        ("x_vector", {"spans": (4, 3, 3, 1, 1)}, "odd spans"),
        ("thin_resnet18", {"blocks": ()}, "one group of blocks or more"),
        ("thin_resnet18", {"width": 0}, "numbers from 1 on"),
    ],
)
def test_networks_that_cannot_be_are_refused(name, overrides, complaint):
    with pytest.raises(InputError, match=complaint):
        create_model(name, **overrides)


@pytest.mark.parametrize(("name", "least"), [("ecapa_tdnn", 5), ("x_vector", 4), ("thin_resnet18", 9)])
def test_the_shortest_clip_has_an_embedding_and_a_shorter_one_is_refused(name, least):
    encoder = create_model(name, n_features=24).eval()
    assert encoder(torch.randn(1, 24, least)).isfinite().all()
    with pytest.raises(InputError, match=rf"found {least - 1} frames, expected at least {least}"):
        encoder(torch.randn(1, 24, least - 1))
    with pytest.raises(
        InputError, match=rf"clips of {least - 1} to 30 frames in a batch of 30, expected {least} to 30"
    ):
        encoder(torch.randn(2, 24, 30), torch.tensor([30, least - 1]))


def test_thin_networks_shrink_bands_and_frames_in_their_last_three_groups():
    encoder, found = create_model("thin_resnet50").eval(), []
    for group in encoder.groups:
        group[-1].register_forward_hook(lambda _, __, output: found.append(tuple(output[0].shape[1:])))
    encoder(torch.zeros(1, 80, 33))
    assert found == [(128, 80, 33), (256, 40, 17), (512, 20, 9), (1024, 10, 5)]
    strides = [conv.stride for conv in encoder.groups[1][0].convs]
    assert strides == [(1, 1), (2, 2), (1, 1)]


def test_thin_networks_too_narrow_for_their_kernels_are_refused_and_the_narrowest_one_learns():
    with pytest.raises(InputError, match=r"of width 8, expected 12 or more: .*; take fewer blocks"):
        create_model("thin_resnet18", width=8)
    encoder = create_model("thin_resnet18", n_features=24, width=12)
    before = {name: value.clone() for name, value in encoder.named_parameters()}
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.01)
    (encoder(torch.randn(4, 24, 40)) ** 2).sum().backward()
    optimizer.step()
    changed = [name for name, value in encoder.named_parameters() if not torch.equal(value, before[name])]
    assert changed == [name for name, _ in encoder.named_parameters()]
    assert all(value.isfinite().all() for value in encoder.parameters())


def test_what_starts_from_random_weights_is_whole_and_what_starts_from_a_file_may_be_frozen(tmp_path):
    for name in ("ecapa_tdnn_256", "x_vector", "thin_resnet18"):
        encoder = create_model(name)
        save_file(encoder.state_dict(), tmp_path / "w.safetensors")
        started = create_model(name, initial=tmp_path / "w.safetensors")
        assert encoder.upper is None
        assert all(isinstance(started.get_submodule(part), nn.Module) for part in started.upper)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ecapa_tdnn", "x_vector", "thin_resnet18"])
def test_networks_are_exported_for_every_number_of_frames_and_with_lengths(name):
    encoder = create_model(name, n_features=24).eval()
    rows, frames = torch.export.Dim("rows", min=2), torch.export.Dim("frames", min=16)
    example = torch.randn(3, 24, 40)
    plain = torch.export.export(encoder, (example,), dynamic_shapes=({0: rows, 2: frames},)).module()
    batch, lengths = torch.randn(2, 24, 57), torch.tensor([57, 31])
    torch.testing.assert_close(plain(batch), encoder(batch), rtol=0, atol=1e-5)
    shapes = ({0: rows, 2: frames}, {0: rows})
    masked = torch.export.export(encoder, (example, torch.tensor([40, 20, 30])), dynamic_shapes=shapes).module()
    torch.testing.assert_close(masked(batch, lengths), encoder(batch, lengths), rtol=0, atol=1e-5)
    tensors = [node.meta.get("val") for node in plain.graph.nodes]
    assert not any(value.is_complex() for value in tensors if isinstance(value, torch.Tensor))
