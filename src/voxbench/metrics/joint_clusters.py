"""Who is heard in each row, for draws of people: one speaker, or several whose draws multiply.

Reference: A. Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2), 2007. People are drawn with
replacement, and a row comes as often as the product of its people's draws: not at all if one of them is not drawn.
Where every row has one, this is the bootstrap of whole speakers, draw for draw. Taking each row of several people for
a cluster of its own would call rows independent that share voices, and intervals would be too narrow. Products err to
the other side: what is of a row alone, and of nobody in it, weighs several times in the width (Owen, section 3).

Everything that draws speakers comes through `people_of`.

Shape letters: N rows, P places for people, K people, U different crowds of people, R resamples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxbench.metrics.inputs import Integers, cluster_indices
from voxbench.schema import InputError

if TYPE_CHECKING:
    import pandas as pd

# Bounds the memory of the weights that are multiplied at once; no value depends on it.
WEIGHTS_AT_ONCE = 1 << 22


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """K people by `names`, sorted; the `crowd` (N,) of each row, and the `members` (U, P) of each crowd.

    Members are places among the names; K stands at a place that a crowd does not fill. Where every row has one
    speaker, crowds are speakers; else each row is a crowd.
    """

    names: NDArray[np.generic]
    crowd: Integers
    members: Integers

    @property
    def total(self) -> int:
        """Return K."""
        return len(self.names)

    @property
    def crowds(self) -> int:
        """Return U."""
        return len(self.members)

    @property
    def joint(self) -> bool:
        """Say whether several people are heard in a row."""
        return self.members.shape[1] > 1

    def of(self, rows: ArrayLike) -> People:
        """Return who is heard in some of the rows, given as places, with only the people that occur in them."""
        crowds, crowd = np.unique(self.crowd[np.asarray(rows)], return_inverse=True)
        members = self.members[crowds]
        filled = members < self.total
        kept, place = np.unique(members[filled], return_inverse=True)
        members = np.full(members.shape, len(kept))
        members[filled] = place
        return People(self.names[kept], crowd, members)

    def weights(self, parts: Iterable[NDArray[Any]]) -> Iterator[NDArray[Any]]:
        """Yield how often each crowd comes (R, U), by parts, where people are drawn as often as `parts` (R, K) say.

        >>> heard = people_of([("a", "b"), ("b",)])
        >>> [part.tolist() for part in heard.weights([np.array([[2, 0], [1, 1], [0, 2]])])]
        [[[0, 0], [1, 1], [0, 2]]]
        """
        at_once = max(1, WEIGHTS_AT_ONCE // self.members.size)
        for part_RK in parts:
            if not self.joint:
                yield part_RK
                continue
            # A place that is not filled weighs 1, which changes no product.
            filled = np.column_stack([part_RK, np.ones(len(part_RK), part_RK.dtype)])
            for start in range(0, len(filled), at_once):
                yield filled[start : start + at_once, self.members].prod(axis=2)


def heard(rows: pd.DataFrame) -> NDArray[Any]:
    """Return who is heard in N rows of a manifest (N,): the name `speaker`, or tuples where any row has `speakers`.

    >>> import pandas as pd
    >>> heard(pd.DataFrame({"speaker": ["a", "b+c"], "speakers": [None, ["b", "c"]]})).tolist()
    [('a',), ('b', 'c')]
    """
    speaker = rows["speaker"].to_numpy()
    if "speakers" not in rows or not (several := rows["speakers"].notna()).any():
        return speaker
    together = zip(speaker, rows["speakers"], several, strict=True)
    return np.fromiter((tuple(names) if there else (name,) for name, names, there in together), object, len(rows))


def people_of(clusters: ArrayLike | People) -> People:
    """Return who is heard in N rows, each with the name of one speaker or a tuple of names.

    Names are strings, or integers where every row has one. Raises InputError for a row without a name, and for names
    that are missing or of several types.

    >>> people_of(["b", "a", "b"]).crowd.tolist(), people_of([("b", "a"), ("c",)]).members.tolist()
    ([1, 0, 1], [[1, 0], [2, 3]])
    """
    if isinstance(clusters, People):
        return clusters
    rows = list(clusters) if isinstance(clusters, list | tuple | np.ndarray) else []
    if not any(isinstance(row, tuple | list) for row in rows):
        names, crowd = cluster_indices(clusters)
        return People(names, crowd, np.arange(len(names))[:, None])
    if alone := sum(not isinstance(row, tuple | list) or not row for row in rows):
        raise InputError(f"{alone} of {len(rows)} rows name no speaker, or not in a list as others do; name every one")
    places = np.array([len(row) for row in rows])
    names, member = cluster_indices([name for row in rows for name in row])
    if places.max() == 1:
        return People(names, member, np.arange(len(names))[:, None])
    members = np.full((len(rows), places.max()), len(names))
    members[np.arange(places.max()) < places[:, None]] = member
    return People(names, np.arange(len(rows)), members)
