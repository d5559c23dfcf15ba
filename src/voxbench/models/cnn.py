"""Seven ImageNet networks that read a log-mel spectrogram as a grey image.

| model           | embedding | encoder, grey | `upper` trains        | its parameters | paper            |
|-----------------|----------:|--------------:|-----------------------|---------------:|------------------|
| alexnet         |     4,096 |    56,988,352 | features.10, classif. |     55,124,224 | Krizhevsky 2012  |
| vgg16           |     4,096 |   134,259,392 | features.28, classif. |    121,905,664 | Simonyan 2014    |
| resnet18        |       512 |    11,170,240 | layer4                |      8,393,728 | He 2015          |
| resnet50        |     2,048 |    23,501,760 | layer4                |     14,964,736 | He 2015          |
| densenet121     |     1,024 |     6,947,584 | denseblock4, norm5    |      2,160,128 | Huang 2016       |
| mobilenet_v2    |     1,280 |     2,223,296 | features.18           |        412,160 | Sandler 2018     |
| efficientnet_b0 |     1,280 |     4,006,972 | features.8            |        412,160 | Tan & Le 2019    |

The networks are torchvision's, changed in three places: the first convolution reads one channel, the last
Linear and a Dropout right before it are cut (the task's head holds both), and AlexNet's and VGG16's inner
dropout takes its probability from the settings. EfficientNet's stochastic depth is kept.

`upper` follows A. Jorrin-Coz et al. (FAIA 379, 2024) for VGG16, ResNet50 and MobileNetV2; for the others it
is the last block of the same kind. Deviations: the paper averages the ImageNet stem over its channels, which
is `stem: mean`; `stem: sum` keeps the scale (see `one_channel_stem`). A resize filters before it shrinks,
since plain bilinear sampling would skip most frames of a long utterance.

Shape letters: B batch, F mel bands, T time frames, H height, W width, D embedding.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torchvision
from torch import Tensor, nn
from torch.nn import functional

from voxbench.models.encoder import Encoder, require_features
from voxbench.models.pretrained import read_weights, require_weights
from voxbench.models.zoo import model
from voxbench.schema import InputError, InputKind


@dataclass(frozen=True, slots=True)
class CnnSettings:
    """What a CNN leaves to the caller.

    `n_features` is the number of mel bands, `dropout` in [0, 1) the probability inside AlexNet's and
    VGG16's classifier (the other five have none), `resize` the side in pixels of the square that the
    spectrogram is resized to, or None to keep its size. `stem` (`sum` or `mean`) reduces the first convolution
    to one channel, from random weights too. `initial` is a safetensors file of torchvision's three-channel
    network with any last Linear, or None for random weights.
    """

    n_features: int
    dropout: float
    resize: int | None
    stem: str
    initial: Path | None

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise InputError(f"found dropout {self.dropout}, expected a probability in [0, 1)")


@dataclass(frozen=True, slots=True)
class CnnVariant:
    """A row of the table: torchvision's name, the `upper` parts, the least height and width, the paper."""

    name: str
    upper: tuple[str, ...]
    min_side: int
    reference: str


CNNS = (
    CnnVariant("alexnet", ("features.10", "classifier"), 63, "Krizhevsky et al., NIPS 2012"),
    CnnVariant("vgg16", ("features.28", "classifier"), 32, "Simonyan and Zisserman, arXiv:1409.1556, 2014"),
    CnnVariant("resnet18", ("layer4",), 1, "He et al., arXiv:1512.03385, 2015"),
    CnnVariant("resnet50", ("layer4",), 1, "He et al., arXiv:1512.03385, 2015"),
    CnnVariant(
        "densenet121",
        ("features.denseblock4", "features.norm5"),
        29,
        "Huang et al., arXiv:1608.06993, 2016",
    ),
    CnnVariant("mobilenet_v2", ("features.18",), 1, "Sandler et al., arXiv:1801.04381, 2018"),
    CnnVariant("efficientnet_b0", ("features.8",), 1, "Tan and Le, arXiv:1905.11946, 2019"),
)


class CnnEncoder(Encoder):
    """Map normalised log-mel spectrograms `(B, F, T)` to embeddings `(B, D)` through `network`."""

    def __init__(self, network: nn.Module, embedding_dim: int, variant: CnnVariant, settings: CnnSettings) -> None:
        super().__init__(embedding_dim, tuple(f"network.{part}" for part in variant.upper))
        self.network = network
        self.min_frames = variant.min_side if settings.resize is None else 1
        self.n_features = settings.n_features
        self.resize = settings.resize

    def forward(self, features_BFT: Tensor) -> Tensor:
        """Return embeddings `(B, D)`; a batch of another shape or too few frames raises `InputError`."""
        require_features(features_BFT, self.n_features)
        # The channel is added last and moved: these strides are channels-last, which convolutions then keep.
        # On a CPU that halves a MobileNetV2 step; unsqueeze(1) would read as channels-first.
        image_B1HW = features_BFT.unsqueeze(-1).movedim(-1, 1)
        if self.resize is not None:
            image_B1HW = functional.interpolate(image_B1HW, (self.resize, self.resize), mode="bilinear", antialias=True)
        elif features_BFT.shape[2] < self.min_frames:
            raise InputError(
                f"found {features_BFT.shape[2]} frames, expected at least {self.min_frames}; "
                f"use longer recordings or set resize"
            )
        embedding_BD: Tensor = self.network(image_B1HW)
        return embedding_BD


def one_channel_stem(conv: nn.Conv2d, reduce: str) -> nn.Conv2d:
    """Return a copy of `conv` that reads one channel, its kernel reduced over the input channels.

    `sum` answers a grey image exactly as `conv` answers that image repeated on every channel, so what
    follows (frozen batch normalisation above all) sees activations of the scale it was trained on. `mean`
    divides that answer, bias apart, by the number of channels. Bias, stride and padding are kept. Raises
    `InputError` for another word.
    """
    if reduce not in ("sum", "mean"):
        raise InputError(f"unknown stem reduction {reduce!r}; expected one of: sum, mean")
    weight = conv.weight.detach()
    kernel = weight.sum(1, keepdim=True) if reduce == "sum" else weight.mean(1, keepdim=True)
    stem = copy.deepcopy(conv)
    stem.in_channels = 1
    stem.weight = nn.Parameter(kernel)
    return stem


def encoder_from_network(network: nn.Module, variant: CnnVariant, settings: CnnSettings) -> CnnEncoder:
    """Turn torchvision's three-channel classifier into an encoder; `network` is changed in place.

    Load published weights into `network` before the call: its names and shapes are still torchvision's.
    Raises `InputError` when the network would shrink its input to nothing.
    """
    _require_size(variant, settings)
    embedding_dim = _cut_head(network)
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = settings.dropout
    name, stem = next((name, part) for name, part in network.named_modules() if isinstance(part, nn.Conv2d))
    network.set_submodule(name, one_channel_stem(stem, settings.stem))
    return CnnEncoder(network, embedding_dim, variant, settings)


def load_backbone(network: nn.Module, path: Path) -> None:
    """Load a safetensors file into torchvision's network, in place, all but the last Linear.

    That layer is cut afterwards, so the file's may have any number of classes or be missing; everything else must
    match by name, shape and kind of number, or `InputError` names the first difference.
    """
    head = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)][-1]

    def backbone(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {key: value for key, value in tensors.items() if not key.startswith(f"{head}.")}

    found = backbone(read_weights(path))
    require_weights(path, found, backbone(network.state_dict()))
    network.load_state_dict(found, strict=False)


def _require_size(variant: CnnVariant, settings: CnnSettings) -> None:
    key = "n_features" if settings.resize is None else "resize"
    side = settings.n_features if settings.resize is None else settings.resize
    if side < variant.min_side:
        raise InputError(
            f"found {key} {side}, but {variant.name} needs inputs of at least "
            f"{variant.min_side} x {variant.min_side}; set resize to {variant.min_side} or more"
        )


def _cut_head(network: nn.Module) -> int:
    """Remove the last Linear and a Dropout before it; return how many inputs that Linear had."""
    name, head = list(network.named_children())[-1]
    layers = list(head) if isinstance(head, nn.Sequential) else [head]
    last = layers.pop()
    assert isinstance(last, nn.Linear)
    if layers and isinstance(layers[-1], nn.Dropout):
        layers.pop()
    setattr(network, name, nn.Sequential(*layers))
    return last.in_features


def build_cnn(variant: CnnVariant, settings: CnnSettings) -> CnnEncoder:
    """Build the encoder of one row of `CNNS` from `settings.initial`, or with torchvision's random initialisation."""
    # Before the large networks spend seconds on their initialisation.
    _require_size(variant, settings)
    network = torchvision.models.get_model(variant.name, weights=None)
    if settings.initial is not None:
        load_backbone(network, settings.initial)
    return encoder_from_network(network, variant, settings)


for _variant in CNNS:
    model(
        _variant.name,
        family="cnn",
        input_kind=InputKind.SPECTROGRAM,
        published=CnnSettings(n_features=224, dropout=0.5, resize=224, stem="mean", initial=None),
        reference=_variant.reference,
        pretrained=True,
    )(partial(build_cnn, _variant))
