"""Three small convolutional networks on spectrograms, of the course's project on counting speakers.

| model             | widths         | dropouts | encoder | with 3 classes | least F and T |
|-------------------|----------------|---------:|--------:|---------------:|--------------:|
| spectrogram_cnn_1 | 32, 32         |        2 |   9,696 |          9,795 |            10 |
| spectrogram_cnn_2 | 32, 32, 64, 64 |        3 |  65,376 |         65,571 |            46 |
| spectrogram_cnn_3 | 32             |        1 |     384 |            483 |             4 |

A block is a convolution of 3 x 3 without padding, batch normalisation, ReLU, a pool of 2 x 2 and, in the first of
them, dropout; the average over both axes follows. The document prints no layers: these are the only prefixes of the
course's network (`2f_speech_cnn2d` of the notebooks bereml/iap) with its parameter counts, and its spectrograms are
linear (201 bins of 400 samples at 16 kHz, every 200) in decibels. It does not state the dropout.

Shape letters: B batch, F bins, T frames, D embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from voxbench.models.encoder import Encoder, require_features
from voxbench.models.zoo import model
from voxbench.schema import InputError, InputKind

SPAN, POOL = 3, 2


@dataclass(frozen=True, slots=True)
class SpectrogramCnnSettings:
    """What the network leaves to the caller: bins per frame, and the dropout in [0, 1) of its blocks."""

    n_features: int
    dropout: float

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise InputError(f"found dropout {self.dropout}, expected a probability in [0, 1)")


class SpectrogramCnnEncoder(Encoder):
    """Map spectrograms `(B, F, T)` to the average over both axes of the last block, `(B, D)`."""

    def __init__(self, widths: tuple[int, ...], dropouts: int, settings: SpectrogramCnnSettings) -> None:
        super().__init__(embedding_dim=widths[-1], upper=None)
        self.n_features = settings.n_features
        for _ in widths:
            self.min_frames = POOL * self.min_frames + SPAN - 1
        if self.n_features < self.min_frames:
            raise InputError(
                f"found {self.n_features} bins, and a network of {len(widths)} blocks needs {self.min_frames} or more: "
                "choose one of fewer blocks, or a front end of more bins"
            )
        self.blocks = nn.Sequential()
        for number, (inputs, width) in enumerate(zip((1, *widths), widths, strict=False)):
            layers = [nn.Conv2d(inputs, width, SPAN), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(POOL)]
            self.blocks.append(nn.Sequential(*layers, *[nn.Dropout(settings.dropout)][: number < dropouts]))

    def forward(self, features_BFT: Tensor) -> Tensor:
        """Return embeddings `(B, D)`; a batch of another shape, or too short for the pools, raises `InputError`."""
        require_features(features_BFT, self.n_features)
        if features_BFT.shape[2] < self.min_frames:
            raise InputError(
                f"found spectrograms of {features_BFT.shape[2]} frames, expected {self.min_frames} or more: cut longer "
                "crops, or choose a network of fewer blocks"
            )
        maps: Tensor = self.blocks(features_BFT[:, None])
        return maps.mean(dim=(2, 3))


for _name, _widths, _dropouts in (
    ("spectrogram_cnn_1", (32, 32), 2),
    ("spectrogram_cnn_2", (32, 32, 64, 64), 3),
    ("spectrogram_cnn_3", (32,), 1),
):
    model(
        _name,
        family="spectrogram_cnn",
        input_kind=InputKind.SPECTROGRAM,
        published=SpectrogramCnnSettings(n_features=201, dropout=0.25),
        reference="speaker counting project, UNAM, after bereml/iap 2f_speech_cnn2d",
    )(partial(SpectrogramCnnEncoder, _widths, _dropouts))
