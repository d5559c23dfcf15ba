"""The columns of score tables as float64 and int64 arrays, or `InputError` with what was found instead.

Columns are read by position: the index of a pandas Series does not count. Masked values are refused, for what stands
below a mask is no value, and leaving a row out is for the caller to say of all columns.

Shape letters: N rows, C classes, K clusters.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxbench.schema import InputError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Half-precision softmax and tables written with four decimals stay inside; unnormalised scores do not.
SUM_TOLERANCE = 1e-3
# numpy's letters for booleans, integers, floats, and objects, which are looked at one by one.
NUMBERS = "biufO"


def finite_numbers(values: ArrayLike, name: str) -> Floats:
    """Return numbers of any shape as float64; NaN, infinities, masked values and what is no number are refused.

    Integers, booleans, halves and decimals are numbers; texts, even of digits, complex numbers and dates are not.

    >>> finite_numbers([1, 2.5], "scores").tolist()
    [1.0, 2.5]
    """
    _check_mask(values, name)
    try:
        given = np.asarray(values)
        if given.dtype.kind not in NUMBERS or (given.dtype == object and _holds_text(given)):
            raise TypeError(f"found {given.dtype} such as {given.ravel()[0] if given.size else 'nothing'}")
        # Objects are converted by their own kind: pandas knows its missing numbers.
        numbers = np.asarray(values if given.dtype == object else given, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name} must be an array of numbers: {error}") from error
    unsound = int((~np.isfinite(numbers)).sum())
    if unsound:
        raise InputError(f"{name} must be finite, found {unsound} of {numbers.size} NaN or infinite")
    return numbers


def class_indices(labels: ArrayLike, name: str, classes: int) -> Integers:
    """Return labels (N,) as int64; anything but integers in 0..classes-1 is refused.

    >>> class_indices([0, 2], "truth", classes=3).tolist()
    [0, 2]
    """
    _check_mask(labels, name)
    try:
        labels_N = np.asarray(labels)
    except ValueError as error:
        raise InputError(f"{name} must be a vector of class indices: {error}") from error
    if labels_N.ndim != 1 or labels_N.size == 0:
        raise InputError(f"{name} must be a non-empty vector, found shape {labels_N.shape}")
    if not np.issubdtype(labels_N.dtype, np.integer):
        raise InputError(f"{name} must hold integer class indices, found {labels_N.dtype}")
    if labels_N.min() < 0 or labels_N.max() >= classes:
        raise InputError(f"{name} must lie in 0..{classes - 1}, found {labels_N.min()}..{labels_N.max()}")
    return labels_N.astype(np.int64)


def class_columns(truth: ArrayLike, probabilities: ArrayLike) -> tuple[Integers, Floats]:
    """Return `truth` (N,) and `probabilities` (N, C); rows that are no distribution over C >= 2 are refused.

    >>> class_columns([1], [[0.25, 0.75]])[1].tolist()
    [[0.25, 0.75]]
    """
    probabilities_NC = finite_numbers(probabilities, "probabilities")
    if probabilities_NC.ndim != 2 or probabilities_NC.shape[1] < 2:
        raise InputError(f"probabilities must be (rows, 2 or more classes), found {probabilities_NC.shape}")
    truth_N = class_indices(truth, "truth", probabilities_NC.shape[1])
    if len(truth_N) != len(probabilities_NC):
        raise InputError(f"truth has {len(truth_N)} rows but probabilities has {len(probabilities_NC)}")
    off_by_N = np.abs(probabilities_NC.sum(axis=1) - 1)
    bad_N = (probabilities_NC.min(axis=1) < 0) | (off_by_N > SUM_TOLERANCE)
    if bad_N.any():
        row = int(bad_N.argmax())
        raise InputError(
            f"probabilities must be >= 0 and sum to 1 in each row; {int(bad_N.sum())} rows do not, "
            f"first row {row}: {probabilities_NC[row].tolist()}; apply a softmax to logits first"
        )
    return truth_N, probabilities_NC


def value_columns(truth: ArrayLike, predicted: ArrayLike) -> tuple[Floats, Floats]:
    """Return `truth` (N,) and `predicted` (N,) as float64; other shapes, no rows and NaN are refused.

    >>> value_columns([21, 35], [25.5, 33])[1].tolist()
    [25.5, 33.0]
    """
    truth_N, predicted_N = finite_numbers(truth, "truth"), finite_numbers(predicted, "predicted")
    if truth_N.ndim != 1 or truth_N.size == 0:
        raise InputError(f"truth must be a non-empty vector, found shape {truth_N.shape}")
    if predicted_N.shape != truth_N.shape:
        raise InputError(f"predicted must have shape {truth_N.shape} like truth, found {predicted_N.shape}")
    return truth_N, predicted_N


def cluster_indices(clusters: ArrayLike) -> tuple[NDArray[np.generic], Integers]:
    """Return the distinct names of clusters (K,), sorted, and the place (N,) of each row's name among them.

    Names are all strings or all integers; a missing name is refused.

    >>> cluster_indices(["id2", "id1", "id2"])[1].tolist()
    [1, 0, 1]
    """
    _check_mask(clusters, "clusters")
    names_N = np.asarray(clusters)
    if names_N.ndim != 1 or names_N.size == 0:
        raise InputError(f"clusters must be a non-empty vector, found shape {names_N.shape}")
    kinds = {type(name) for name in names_N.tolist()}
    if kinds not in ({str}, {int}):
        found = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise InputError(f"clusters must all be strings or all integers, found {found}; name every speaker")
    distinct, cluster_N = np.unique(names_N, return_inverse=True)
    return distinct, cluster_N


def binary_labels(labels: ArrayLike) -> NDArray[np.bool_]:
    """Return whether each label, in any shape, is 1 (or True, or 1.0); anything but 1 and 0 is refused.

    >>> binary_labels([True, 0, 1.0]).tolist()
    [True, False, True]
    """
    _check_mask(labels, "labels")
    try:
        given = np.asarray(labels)
        # The missing value of pandas is neither equal nor unequal to anything, and says so.
        is_target = np.asarray(given == 1, dtype=np.bool_)
        strange = ~(is_target | np.asarray(given == 0, dtype=np.bool_))
    except (TypeError, ValueError) as error:
        raise InputError(f"labels must be a vector of 1 = target and 0 = nontarget: {error}") from error
    if strange.any():
        row = int(strange.argmax())
        found = given.ravel()[row : row + 1].tolist()[0]
        raise InputError(f"labels must be 1 = target or 0 = nontarget, found {found!r} in row {row}")
    return is_target


def _check_mask(values: ArrayLike, name: str) -> None:
    """Refuse an array of which values are masked."""
    if np.ma.is_masked(values):
        # pandas' own arrays have masks too; numpy says of what kinds it knows, and takes any.
        hidden = int(np.sum(np.ma.getmask(values)))
        raise InputError(f"{name} has {hidden} masked or missing rows: leave them out of every column first")


def _holds_text(given: NDArray[np.generic]) -> bool:
    """Say whether an array of objects has a text among them, which numpy would read as a number if it can."""
    return any(isinstance(value, str | bytes) for value in given.ravel().tolist())
