"""The text of the best path: the most probable class of every frame, runs made one, blanks of CTC taken out.

It is the text of one path, not the most probable text, whose probability is the sum over all its paths (Graves et
al., ICML 2006, section 3.2): `beam` looks for that one.

Shape letters: N recordings, T frames, C classes.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from voxbench.transcripts.alphabet import BLANK, spelt
from voxbench.transcripts.frames import checked
from voxbench.transcripts.normalising import normalise


def greedy(log_probs_NTC: Tensor) -> list[str]:
    """Return the N texts of the best paths, normalised as references are.

    So blanks at the ends, doubled ones, and apostrophes without a letter, which no reference has, are no errors. Of
    equally probable classes of a frame, the first counts.
    """
    best_NT = checked(log_probs_NTC).argmax(dim=2).cpu().numpy()
    return [normalise(spelt(collapsed(best_T))) for best_T in best_NT]


def collapsed(path_T: np.ndarray) -> list[int]:
    """Return the classes of a path (T,), runs made one, without `BLANK`.

    >>> collapsed(np.array([0, 3, 3, 0, 3, 4, 4]))
    [3, 3, 4]
    """
    starts_T = np.diff(path_T, prepend=BLANK) != 0
    return [int(number) for number in path_T[starts_T & (path_T != BLANK)]]
