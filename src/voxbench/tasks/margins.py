"""Margins: logits that ask more of the true class than of the others, so that classes must keep apart.

Deng et al., "ArcFace: additive angular margin loss for deep face recognition", CVPR 2019 (AAM): the angle between an
embedding and the weights of its own class counts as `margin` larger than it is. Wang et al., "CosFace: large margin
cosine loss for deep face recognition", CVPR 2018 (AM): its cosine counts as `margin` smaller. The margin may grow
slowly, as in wespeaker (https://github.com/wenet-e2e/wespeaker, `MarginScheduler`).

Shape letters: B batch, C classes.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

Beyond = Literal["chord", "touching"]


def angular_margin(cosine_BC: Tensor, targets_B: Tensor, margin: float, scale: float, beyond: Beyond) -> Tensor:
    """Return logits `(B, C)`: `scale` times the cosine, of the true class that of the angle plus `margin` radians.

    Where the angle plus the margin is more than half a turn, its cosine would rise again. There stands, falling with
    the cosine, `cos - margin sin(margin)` for `chord` (the rule of ArcFace's authors) or, for `touching`,
    `cos - 1 - cos(pi - margin)`, which joins without a step.
    """
    # The slope of a root has no bound at 0, where an embedding lies on the weights of a class.
    sine_BC = (1 - cosine_BC.square()).clamp(min=1e-12).sqrt()
    shifted_BC = cosine_BC * math.cos(margin) - sine_BC * math.sin(margin)
    edge = math.cos(math.pi - margin)
    less = margin * math.sin(margin) if beyond == "chord" else 1 + edge
    asked_BC = torch.where(cosine_BC > edge, shifted_BC, cosine_BC - less)
    return scale * torch.where(_own(cosine_BC, targets_B), asked_BC, cosine_BC)


def cosine_margin(cosine_BC: Tensor, targets_B: Tensor, margin: float, scale: float) -> Tensor:
    """Return logits `(B, C)`: `scale` times the cosine, of the true class less `margin`.

    >>> cosine_margin(torch.tensor([[0.5, 0.25]]), torch.tensor([0]), margin=0.25, scale=4.0)
    tensor([[1., 1.]])
    """
    return scale * torch.where(_own(cosine_BC, targets_B), cosine_BC - margin, cosine_BC)


def grown(progress: float) -> float:
    """Return the share of a margin that is in force after a share `progress` of its growth: 0 before, 1 from 1 on.

    Between them it is 1 - (0.001 / 1.000001)^progress, fast at first. At the end 0.001 is missing, and comes at once.
    """
    if progress >= 1:
        return 1.0
    return 1 - math.exp(max(progress, 0.0) * math.log(1e-3 / (1 + 1e-6)))


def _own(cosine_BC: Tensor, targets_B: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(targets_B, cosine_BC.shape[1]).bool()
