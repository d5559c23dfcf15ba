"""Write a verification network's embeddings of a corpus, each recording's once, for `voxbench evaluate` and others.

The file is parquet: `utterance` (the manifest's id), `speaker`, `split`, `kept_seconds` (without silence) and
`embedding` (D floats). A recording that cannot be heard has no row there: a file beside it, of the same name with the
ending `.excluded.csv`, has its id and the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from voxbench.reporting.quantities import counted
from voxbench.schema import InputError, Split
from voxbench.serving.verifier import Speech, Verifier
from voxbench.stages.hearing import Hearing
from voxbench.stages.model_folders import model_folder
from voxbench.stages.workspace import Workspace

ENDING, EXCLUDED = ".parquet", ".excluded.csv"


@dataclass(frozen=True)
class EmbedOptions:
    """Which network, of which split, None for all of them, and the file to write."""

    model: str
    split: Split | None
    output: Path


def embed_corpus(workspace: Workspace, corpus: str, options: EmbedOptions) -> None:
    """Write the embeddings of a prepared corpus, and say how many there are."""
    workspace.params.corpus(corpus)
    if options.output.suffix != ENDING:
        raise InputError(f"found --output {options.output}, expected a file that ends in {ENDING}")
    manifest = workspace.prepared(corpus) / "manifest.parquet"
    if not manifest.is_file():
        raise InputError(f"no {manifest.relative_to(workspace.root)}: run `dvc repro prepare@{corpus}` first")
    rows = pd.read_parquet(manifest, columns=["id", "speaker", "split"])
    rows = rows if options.split is None else rows[rows["split"] == options.split]
    if rows.empty:
        raise InputError(f"{corpus} has no recordings of the split {options.split}: leave --split out, or name another")
    network = model_folder(workspace, options.model)
    Verifier(network)  # refuses networks that judge recordings one by one, before anything is heard
    speeches = Hearing(workspace)(network, f"embed {corpus}", corpus, rows["id"])
    lost = {name: answer for name, answer in speeches.items() if isinstance(answer, str)}
    kept = rows[~rows["id"].isin(lost)]
    if kept.empty:
        name, reason = next(iter(lost.items()))
        raise InputError(f"none of the {len(rows)} recordings of {corpus} can be heard; the first, {name}: {reason}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    heard = [speech for name in kept["id"] if isinstance(speech := speeches[name], Speech)]
    partial = options.output.with_name(f".{options.output.name}.partial")
    pq.write_table(_table(kept, heard), partial)
    partial.replace(options.output)
    excluded = options.output.with_suffix(EXCLUDED)
    excluded.unlink(missing_ok=True)
    if lost:
        pd.DataFrame(sorted(lost.items()), columns=["id", "reason"]).to_csv(excluded, index=False)
    left = f", {counted(len(lost), 'recording')} cannot be heard (see {excluded.name})" if lost else ""
    print(f"{options.output}: {counted(len(kept), 'embedding')} of {len(heard[0].embedding_D)} numbers{left}")


def _table(rows: pd.DataFrame, heard: list[Speech]) -> pa.Table:
    embeddings_UD = np.stack([speech.embedding_D for speech in heard])
    values = pa.array(embeddings_UD.ravel())
    return pa.table(
        {
            "utterance": rows["id"].to_numpy(),
            "speaker": rows["speaker"].to_numpy(),
            "split": rows["split"].to_numpy(),
            "kept_seconds": [speech.kept_seconds for speech in heard],
            "embedding": pa.FixedSizeListArray.from_arrays(values, embeddings_UD.shape[1]),
        }
    )
