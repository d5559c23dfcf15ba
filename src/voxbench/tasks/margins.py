"""Additive angular margins (AAM, ArcFace): logits that ask more of the true class than of the others.

Deng et al., "ArcFace: additive angular margin loss for deep face recognition", CVPR 2019: the angle between an
embedding and the weights of its own class counts as `margin` larger than it is, so classes must keep apart.

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
    own_BC = torch.nn.functional.one_hot(targets_B, cosine_BC.shape[1]).bool()
    return scale * torch.where(own_BC, asked_BC, cosine_BC)
