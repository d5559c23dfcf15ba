"""Rows become train, valid and test: by speaker, by the corpus's own split, or by utterance.

`utterance` puts one speaker's recordings on both sides. It exists because published work does so, and what it
yields is marked as leaky everywhere.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from voxbench.config import Splitting
from voxbench.schema import InputError, Split
from voxbench.seeding import generator


def assign_splits(manifest: pd.DataFrame, settings: Splitting) -> pd.Series:
    """Return the split of each row of `manifest`: `audio_sha256`, `speaker`, `speakers`, `split`, and the stratum.

    Fractions are of groups (speakers, or rows for `utterance`), within each stratum. With `official`, the corpus's
    split is kept and, where it has no validation part, `valid_fraction` of its training speakers become one; a corpus
    that is made for evaluation alone stays a test set.
    Raises `InputError` where a stratum has too few groups to stand in every split.
    """
    strata = manifest[settings.stratify].fillna("unknown") if settings.stratify else pd.Series("all", manifest.index)
    if settings.by == "official":
        return _official(manifest, strata, settings)
    if settings.by == "speaker" and manifest["speakers"].notna().any():
        raise InputError(
            "splitting.by is 'speaker', but recordings hold several speakers, who would be heard in several splits: "
            "use 'official', the split that the mixtures were made with"
        )
    # Two copies of one recording are one utterance.
    group = manifest["speaker"] if settings.by == "speaker" else manifest["audio_sha256"]
    shares = {Split.TEST: settings.test_fraction, Split.VALID: settings.valid_fraction}
    return _draw(group, strata, shares, settings)


def _official(manifest: pd.DataFrame, strata: pd.Series, settings: Splitting) -> pd.Series:
    if missing := int(manifest["split"].isna().sum()):
        raise InputError(
            f"splitting.by is 'official', but {missing} of {len(manifest)} rows have no official split: use 'speaker'"
        )
    split = manifest["split"].copy()
    if not (split == Split.VALID).any():
        train = split == Split.TRAIN
        shares = {Split.VALID: settings.valid_fraction}
        split[train] = _draw(manifest.loc[train, "speaker"], strata[train], shares, settings)
    if (split == Split.TEST).all():
        return split
    if absent := [word for word in Split if not (split == word).any()]:
        raise InputError(f"the official split has no {', '.join(absent)} rows: use splitting.by 'speaker'")
    return split


def _draw(group: pd.Series, strata: pd.Series, shares: dict[Split, float], settings: Splitting) -> pd.Series:
    """Give each group to one split; what no share takes is training data."""
    if sum(shares.values()) >= 1:
        raise InputError(
            f"splitting: valid_fraction and test_fraction leave no training data ({sum(shares.values()):g})"
        )
    # Numbers stand for names, in the order of names: a million strings in a dictionary would cost a gigabyte.
    numbers, names = pd.factorize(group, sort=True)
    chosen = np.full(len(names), str(Split.TRAIN), dtype=object)
    for stratum, members in pd.Series(numbers, group.index).groupby(strata):
        own, unit = np.unique(members), "utterance" if settings.by == "utterance" else "speaker"
        if len(own) <= len(shares):
            raise InputError(
                f"{len(own)} {settings.stratify or ''} {stratum!r} {unit}s cannot fill "
                f"{len(shares) + 1} splits: at least {len(shares) + 1} are needed; add data or set "
                "splitting.stratify to null"
            )
        own = generator(settings.seed, "split", str(stratum)).permutation(own)
        start = 0
        for split, share in shares.items():
            end = start + max(1, round(share * len(own)))
            chosen[own[start:end]] = str(split)
            start = end
        chosen[own[start:]] = str(Split.TRAIN)
    return pd.Series(chosen[numbers], group.index)
