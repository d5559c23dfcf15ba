"""What a speaker network is trained with: cosines to every training speaker, and the loss that sets them apart.

Only training uses either; what is evaluated is the embedding. Cosines to several sub-centres: Deng et al.,
"Sub-center ArcFace", ECCV 2020. A softmax of scaled cosines: Wang et al., "NormFace", ACM MM 2017; speaker toolkits
often mean a linear layer by a softmax, whose logits follow the length of the embedding too, which no cosine score sees.

Shape letters: B batch, D embedding, C speakers, K sub-centres.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voxbench.config import Margin
from voxbench.tasks.margins import angular_margin, cosine_margin, grown


class CosineHead(nn.Module):
    """Embeddings `(B, D)` to cosines `(B, C)`: of a speaker's sub-centres the nearest one counts."""

    def __init__(self, embedding_dim: int, speakers: int, subcentres: int) -> None:
        super().__init__()
        self.speakers = speakers
        self.subcentres = subcentres
        # A speaker's sub-centres follow each other.
        self.weight = nn.Parameter(torch.empty(speakers * subcentres, embedding_dim))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, embedding_BD: Tensor) -> Tensor:
        """Return the cosines `(B, C)`, in [-1, 1] but for rounding; an embedding of zeros has cosines of 0."""
        cosine_BCK = nn.functional.linear(
            nn.functional.normalize(embedding_BD), nn.functional.normalize(self.weight)
        ).unflatten(1, (self.speakers, self.subcentres))
        return cosine_BCK[..., 0] if self.subcentres == 1 else cosine_BCK.amax(dim=2)

    def own_multiply_adds(self, embedding_BD: Tensor) -> int:
        """Return those of the products with every centre."""
        return len(embedding_BD) * self.weight.numel()


class SpeakerLoss:
    """Cross-entropy over speakers with a margin that grows by the schedule of its settings."""

    def __init__(self, settings: Margin) -> None:
        self.settings = settings

    def at(self, epoch: float) -> float:
        """Return the margin in force once `epoch` epochs have been trained; a part of an epoch counts as such."""
        if self.settings.warm_up_epochs is None:
            return self.settings.margin
        start, end = self.settings.warm_up_epochs
        progress = (epoch - start) / (end - start) if end > start else float(epoch >= start)
        return self.settings.margin * grown(progress)

    def __call__(self, cosine_BC: Tensor, targets_B: Tensor, margin: float) -> Tensor:
        """Return the mean loss in nats of cosines `(B, C)` and speakers `(B,)`, with the margin that `at` gave."""
        kind, scale = self.settings.kind, self.settings.scale
        if kind == "aam":
            logits_BC = angular_margin(cosine_BC, targets_B, margin, scale, self.settings.beyond)
        else:
            logits_BC = cosine_margin(cosine_BC, targets_B, margin, scale)
        return nn.functional.cross_entropy(logits_BC, targets_B)
