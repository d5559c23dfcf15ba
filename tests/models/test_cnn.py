"""The seven CNNs against torchvision's own networks and the paper's parameter counts."""

import pytest
import torch
import torchvision
from torch import nn
from torchvision.transforms.v2.functional import resize

from voxbench.models import create_model, freeze
from voxbench.models.cnn import CNNS, CnnSettings, encoder_from_network, one_channel_stem
from voxbench.schema import InputError

# total, one channel, two classes | trainable with "upper" and a two-class head
COUNTS = {
    "alexnet": (56_996_546, 55_132_418),
    "vgg16": (134_267_586, 121_913_858),
    "resnet18": (11_171_266, 8_394_754),
    "resnet50": (23_505_858, 14_968_834),
    "densenet121": (6_949_634, 2_162_178),
    "mobilenet_v2": (2_225_858, 414_722),
    "efficientnet_b0": (4_009_534, 414_722),
}
VARIANTS = {variant.name: variant for variant in CNNS}
NATIVE = CnnSettings(n_features=64, dropout=0.5, resize=None, stem="sum", initial=None)


def count(module, only_trainable=False):
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not only_trainable)


def random_images(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5))


def assert_close_in_scale(found, expected):
    """Compare in units of the largest value: random networks in evaluation mode answer with tiny numbers."""
    scale = expected.abs().max()
    torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=1e-4)


def on_meta(name, **settings):
    with torch.device("meta"):
        return create_model(name, **({"n_features": 64, "dropout": 0.5, "resize": None} | settings))


@pytest.mark.parametrize("name", VARIANTS)
def test_parameter_counts_equal_the_papers(name):
    encoder = on_meta(name)
    with torch.device("meta"):
        head = nn.Linear(encoder.embedding_dim, 2)
    total, upper = COUNTS[name]
    assert count(encoder) + count(head) == total
    freeze(encoder, "upper")
    assert count(encoder, only_trainable=True) + count(head) == upper
    freeze(encoder, "head")
    assert count(encoder, only_trainable=True) == 0


SLOW = {"vgg16"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in VARIANTS]
)
def test_encoder_and_last_linear_equal_torchvision_on_a_grey_image(name):
    torch.manual_seed(2)
    network = torchvision.models.get_model(name, weights=None).eval()
    images = random_images(2, 64, 72)
    with torch.no_grad():
        expected = network(images.unsqueeze(1).repeat(1, 3, 1, 1))
        last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
        encoder = encoder_from_network(network, VARIANTS[name], NATIVE).eval()
        logits = last(encoder(images))
    assert_close_in_scale(logits, expected)


@pytest.mark.parametrize("bias", [True, False])
def test_sum_stem_answers_a_grey_image_as_the_colour_stem(bias):
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 8, (5, 3), stride=(2, 1), padding=(2, 1), bias=bias)
    stem = one_channel_stem(conv, "sum")
    grey = random_images(2, 1, 12, 10)
    assert stem.weight.shape == (8, 1, 5, 3)
    assert (stem.bias is not None) == bias
    torch.testing.assert_close(stem(grey), conv(grey.repeat(1, 3, 1, 1)), rtol=1e-5, atol=1e-5)


def test_mean_stem_is_a_third_of_the_sum_and_keeps_the_bias():
    kernel = torch.tensor([1.0, 2.0, 6.0]).view(1, 3, 1, 1)
    conv = nn.Conv2d(3, 1, 1)
    conv.weight.data, conv.bias.data = kernel, torch.tensor([0.5])
    assert one_channel_stem(conv, "mean")(torch.ones(1, 1, 1, 1)).item() == 3.5
    assert one_channel_stem(conv, "sum")(torch.ones(1, 1, 1, 1)).item() == 9.5


def test_stem_leaves_the_original_untouched_and_trainable():
    conv = nn.Conv2d(3, 2, 3)
    before = conv.weight.clone()
    stem = one_channel_stem(conv, "sum")
    stem.weight.data.zero_()
    stem.bias.data.fill_(9.0)
    assert conv.in_channels == 3
    assert torch.equal(conv.weight, before)
    assert not (conv.bias == 9.0).any()
    assert stem.weight.requires_grad


def test_unknown_stem_reduction_is_refused():
    with pytest.raises(InputError, match="'max'; expected one of: sum, mean"):
        one_channel_stem(nn.Conv2d(3, 1, 1), "max")


@pytest.mark.parametrize("shape", [(2, 40, 301), (2, 40, 50)])
def test_resize_is_torchvisions_antialiased_bilinear(shape):
    torch.manual_seed(4)
    resized = create_model("mobilenet_v2", n_features=40, dropout=0.5, resize=64).eval()
    torch.manual_seed(4)
    native = create_model("mobilenet_v2", n_features=64, dropout=0.5, resize=None).eval()
    batch = random_images(*shape)
    with torch.no_grad():
        found = resized(batch)
        expected = native(resize(batch, [64, 64], antialias=True))
        aliased = native(resize(batch, [64, 64], antialias=False))
    assert_close_in_scale(found, expected)
    shrinks = shape[-1] > 64
    assert ((aliased - expected).abs().max() > 0.1 * expected.abs().max()) == shrinks


@pytest.mark.parametrize("name", ["alexnet", "vgg16", "densenet121"])
def test_least_side_is_exact(name):
    side = VARIANTS[name].min_side
    encoder = on_meta(name, resize=side).eval()
    assert encoder(torch.empty(1, 64, 9, device="meta")).shape == (1, encoder.embedding_dim)
    with torch.device("meta"):
        network = torchvision.models.get_model(name, weights=None).eval()
        with pytest.raises(RuntimeError, match="too small"):
            network(torch.empty(1, 3, side - 1, side - 1))


@pytest.mark.parametrize("name", ["alexnet", "vgg16", "densenet121"])
def test_too_small_inputs_are_refused_at_build_time(name):
    side = VARIANTS[name].min_side
    with pytest.raises(InputError, match=f"resize {side - 1}, but {name} needs .*at least {side} x {side}"):
        create_model(name, n_features=64, dropout=0.5, resize=side - 1)
    with pytest.raises(InputError, match=f"n_features {side - 1}, but {name} needs"):
        create_model(name, n_features=side - 1, dropout=0.5, resize=None)


def test_too_few_frames_at_native_size_are_refused():
    encoder = on_meta("alexnet")
    with pytest.raises(InputError, match="found 62 frames, expected at least 63"):
        encoder(torch.empty(1, 64, 62, device="meta"))
    assert encoder(torch.empty(1, 64, 63, device="meta")).shape == (1, 4096)


@pytest.mark.parametrize(("name", "n_dropouts"), [("alexnet", 2), ("vgg16", 1), ("mobilenet_v2", 0)])
def test_inner_dropout_follows_the_settings_and_none_trails(name, n_dropouts):
    encoder = on_meta(name, dropout=0.2)
    dropouts = [module for module in encoder.modules() if isinstance(module, nn.Dropout)]
    assert [module.p for module in dropouts] == [0.2] * n_dropouts
    assert not isinstance(list(encoder.modules())[-1], nn.Dropout)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_dropout_out_of_range_is_refused(dropout):
    with pytest.raises(InputError, match=r"expected a probability in \[0, 1\)"):
        CnnSettings(n_features=64, dropout=dropout, resize=None, stem="sum", initial=None)


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "mobilenet_v2", "efficientnet_b0"])
@pytest.mark.parametrize("trainable", ["head", "upper", "all"])
def test_batch_norm_statistics_move_only_where_the_encoder_learns(name, trainable):
    encoder = on_meta(name)
    freeze(encoder, trainable)
    norms = {key: m for key, m in encoder.named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert norms
    for key, norm in norms.items():
        learns = trainable == "all" or (trainable == "upper" and key.startswith(encoder.upper))
        assert norm.training == norm.weight.requires_grad == learns


def test_convolutions_run_channels_last():
    encoder = create_model("mobilenet_v2", n_features=64, dropout=0.5, resize=None).eval()
    outputs = []
    encoder.network.features[0][0].register_forward_hook(lambda *call: outputs.append(call[2]))
    encoder(random_images(2, 64, 70))
    assert outputs[0].is_contiguous(memory_format=torch.channels_last)
