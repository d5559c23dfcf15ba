"""Nine bidirectional LSTMs that read cepstra frame by frame and average their outputs over time.

| model          | hidden | layers | embedding | encoder, 40 inputs | encoder, 13 inputs |
|----------------|-------:|-------:|----------:|-------------------:|-------------------:|
| bilstm_h128_l1 |    128 |      1 |       256 |            174,080 |            146,432 |
| bilstm_h128_l2 |    128 |      2 |       256 |            569,344 |            541,696 |
| bilstm_h128_l3 |    128 |      3 |       256 |            964,608 |            936,960 |
| bilstm_h256_l1 |    256 |      1 |       512 |            610,304 |            555,008 |
| bilstm_h256_l2 |    256 |      2 |       512 |          2,187,264 |          2,131,968 |
| bilstm_h256_l3 |    256 |      3 |       512 |          3,764,224 |          3,708,928 |
| bilstm_h512_l1 |    512 |      1 |     1,024 |          2,269,184 |          2,158,592 |
| bilstm_h512_l2 |    512 |      2 |     1,024 |          8,568,832 |          8,458,240 |
| bilstm_h512_l3 |    512 |      3 |     1,024 |         14,868,480 |         14,757,888 |

Reference: A. Jorrin-Coz et al., Computation 13(8):177, 2025; cell: Hochreiter and Schmidhuber, Neural
Computation 9(8), 1997. The numbers equal those of `torch.nn.LSTM` with the same layers, which are separate modules
here.

No published weights exist and the paper freezes the backbones of its CNNs only, so an LSTM starts from random
weights and `freeze` leaves all of it trainable, whatever part is asked for.

Shape letters: B batch, F cepstra per frame, T time frames, H features of a layer, D embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import product

from torch import Tensor, nn

from voxbench.models.encoder import Encoder, require_features
from voxbench.models.zoo import model
from voxbench.schema import InputError, InputKind


@dataclass(frozen=True, slots=True)
class LstmSettings:
    """What a BiLSTM leaves to the caller.

    `n_features` is the number of cepstra per frame, `recurrent_dropout` in [0, 1) the dropout between
    layers; a single layer has none.
    """

    n_features: int
    recurrent_dropout: float

    def __post_init__(self) -> None:
        if not 0 <= self.recurrent_dropout < 1:
            raise InputError(f"found recurrent_dropout {self.recurrent_dropout}, expected a probability in [0, 1)")


class BiLstmLayer(nn.Module):
    """Drop inputs at random, then run one LSTM in each direction: `(B, T, H)` to `(B, T, 2 hidden)`."""

    def __init__(self, n_inputs: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.lstm = nn.LSTM(n_inputs, hidden, batch_first=True, bidirectional=True)

    def forward(self, frames_BTH: Tensor) -> Tensor:
        """Return both directions' outputs side by side."""
        outputs_BTH: Tensor = self.lstm(self.dropout(frames_BTH))[0]
        return outputs_BTH


class BiLstmEncoder(Encoder):
    """Map cepstra `(B, F, T)` to the time average of the last layer, `(B, 2 hidden)`."""

    def __init__(self, hidden: int, n_layers: int, settings: LstmSettings) -> None:
        super().__init__(embedding_dim=2 * hidden, upper=None)
        self.n_features = settings.n_features
        first = BiLstmLayer(settings.n_features, hidden, dropout=0.0)
        others = (BiLstmLayer(2 * hidden, hidden, settings.recurrent_dropout) for _ in range(n_layers - 1))
        self.layers = nn.Sequential(first, *others)

    def forward(self, features_BFT: Tensor) -> Tensor:
        """Return embeddings `(B, D)`; a batch of another shape raises `InputError`."""
        require_features(features_BFT, self.n_features)
        outputs_BTH: Tensor = self.layers(features_BFT.transpose(1, 2))
        return outputs_BTH.mean(dim=1)


for _hidden, _n_layers in product((128, 256, 512), (1, 2, 3)):
    model(
        f"bilstm_h{_hidden}_l{_n_layers}",
        family="lstm",
        input_kind=InputKind.CEPSTRA,
        published=LstmSettings(n_features=40, recurrent_dropout=0.3),
        reference="Jorrin-Coz et al., Computation 13(8):177, 2025",
    )(partial(BiLstmEncoder, _hidden, _n_layers))
