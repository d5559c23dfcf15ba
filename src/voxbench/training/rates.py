"""The learning rate where it follows a plan: a function of how far training is, so that resuming needs no memory.

| scheduler | rate after e of n epochs |
|---|---|
| step | the first one, times `scheduler_factor` for every `scheduler_patience` epochs that are over |
| cosine | falls by half a turn of a cosine, batch by batch, to `min_learning_rate` |

Neither goes below `min_learning_rate`. The third, `plateau`, waits for validation losses and is torch's.
References: the halving of AIR-ASVspoof (Zhang, Jiang, Duan, IEEE SPL 28, 2021); the cosine of AASIST (Jung et al.,
ICASSP 2022), after Loshchilov and Hutter, ICLR 2017, without restarts.
"""

from __future__ import annotations

import math

from voxbench.config import Training


def planned_rate(settings: Training, epochs: float, max_epochs: int) -> float | None:
    """Return the learning rate after so many epochs, a part of one counting as such; None where there is no plan."""
    first, least = settings.learning_rate, settings.min_learning_rate
    if settings.scheduler == "step":
        return max(least, first * settings.scheduler_factor ** (int(epochs) // settings.scheduler_patience))
    if settings.scheduler == "cosine":
        return least + (first - least) * (1 + math.cos(math.pi * epochs / max_epochs)) / 2
    return None
