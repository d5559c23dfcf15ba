"""Mixtures of the tiny corpus, prepared once and copied for those who change them."""

import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from ruamel.yaml import YAML

from tiny import tiny_params, write_params, write_table_corpus
from voxbench.features.mixed import open_store
from voxbench.stages.mix import mix
from voxbench.stages.prepare import prepare
from voxbench.stages.workspace import Workspace, open_workspace

CORPUS, SOURCE = "count-tiny", "tiny"
NUMBERS = {"train": 31, "valid": 9, "test": 12}


def row(features):
    """Return a row of `mixtures` on the tiny corpus."""
    return {
        "corpus": SOURCE,
        "people": 3,
        "mixtures": dict(NUMBERS),
        "seconds": 0.5,
        "snr_db": None,
        "overlap": [1.0, 1.0],
        "reverberation_seconds": None,
        "max_excluded_fraction": 0.1,
        "seed": 42,
        "features": features | {"spectrogram": "linear", "hop_ms": 12.5, "n_fft": 400},
    }


@cache
def build_source(base: Path) -> Workspace:
    """Prepare 36 speakers, of whom each split has some of each sex, and plan nothing."""
    params = tiny_params()
    params["corpora"][SOURCE]["splitting"] |= {"valid_fraction": 0.25, "test_fraction": 0.25}
    params["corpora"][SOURCE]["cleaning"] |= {"silence_q": 0.0}
    params["mixtures"] = {CORPUS: row(params["corpora"][SOURCE]["features"])}
    write_table_corpus(base / "mixtures" / "raw", speakers=36)
    workspace = open_workspace(write_params(base / "mixtures", params))
    prepare(workspace, SOURCE)
    return workspace


def copy_of(workspace: Workspace, root: Path, change=lambda params: None) -> Workspace:
    """Copy a project folder and change its parameters."""
    shutil.copytree(workspace.root, root)
    params = YAML(typ="safe").load((root / "params.yaml").read_text(encoding="utf-8"))
    change(params)
    return open_workspace(write_params(root, params))


def mixed_copy(workspace: Workspace, root: Path, **changes) -> Workspace:
    """Copy a project folder, change values of the row of mixtures, and mix."""
    copy = copy_of(workspace, root, lambda params: params["mixtures"][CORPUS].update(changes))
    mix(copy, CORPUS)
    return copy


def manifest_of(workspace: Workspace, name: str = CORPUS) -> pd.DataFrame:
    return pd.read_parquet(workspace.prepared(name) / "manifest.parquet")


def waves_of(workspace: Workspace) -> dict[str, np.ndarray]:
    store = open_store(workspace.prepared(CORPUS))
    return {row_id: samples * scale for row_id, samples, scale in zip(store.ids, store, store.scales, strict=True)}


def rewrite_manifest(workspace: Workspace, **columns) -> None:
    """Replace columns of the source's manifest."""
    path = workspace.prepared(SOURCE) / "manifest.parquet"
    pd.read_parquet(path).assign(**columns).to_parquet(path)
