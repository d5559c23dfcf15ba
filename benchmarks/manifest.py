"""Write, split, certify and read back a manifest of generated rows; print time and peak memory by its size.

    python benchmarks/manifest.py --rows 10000 100000 1000000 --json FILE

Rows are generated one by one, as a reader yields them, and take the very path of the prepare stage after a recording
is cleaned; each size runs in a process of its own. "baseline" is that process with everything imported and no rows.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd

from voxbench.config import load_params
from voxbench.corpora.exclusions import Exclusions
from voxbench.corpora.manifest import RowsWriter, take_census
from voxbench.schema import Utterance
from voxbench.stages.prepare import account

PARAMS = Path(__file__).parents[1] / "params.yaml"
CLIPS_PER_SPEAKER = 120
AGES = ("teens", "twenties", "thirties", "fourties", "fifties", "sixties+")


def generated(rows: int) -> Iterator[Utterance]:
    """Yield rows like those of a large corpus: 120 clips of each speaker, in sessions of ten, with a sentence each."""
    for row in range(rows):
        speaker = row // CLIPS_PER_SPEAKER
        session = f"{speaker:06d}/{row // 10:08d}"
        yield Utterance(
            id=f"wav/{session}/{row:08d}.wav",
            path=Path("nowhere"),
            speaker=f"{speaker:06d}",
            session=session,
            gender=("female", "male")[speaker % 2],
            age_group=AGES[speaker % len(AGES)],
            language="en",
            text=f"a sentence of eight words with the number {row}",
            extra={"nationality": "Nowhere", "name": f"Speaker {speaker}"},
        )


def facts(row_id: str) -> dict[str, Any]:
    """Return what cleaning would say of a recording."""
    hashed = sha256(row_id.encode()).hexdigest()
    times = {"source_rate_hz": 16000, "source_seconds": 8.0, "kept_seconds": 7.0, "clipped_fraction": 0.0}
    return {"source_sha256": hashed, "audio_sha256": hashed[::-1], **times}


def measure(rows: int, folder: Path) -> dict[str, float]:
    """Return seconds of each step, the size of the manifest, and the peak memory up to each, in MB."""
    corpus = load_params(PARAMS).corpus("voxceleb1")
    baseline, started = peak_mb(), time.perf_counter()
    census = take_census(generated(rows))
    path = folder / "manifest.parquet.rows"
    with Exclusions(folder / "excluded.csv") as excluded, RowsWriter(path, census.extras) as kept:
        for utterance in generated(rows):
            kept.add(utterance, facts(utterance.id))
        kept.close()
        written, write_mb = time.perf_counter(), peak_mb()
        account(path, census, excluded, corpus)
    divided, split_mb = time.perf_counter(), peak_mb()
    table = pd.read_parquet(folder / "manifest.parquet")
    read = time.perf_counter()
    assert len(table) == rows
    return {
        "rows": rows,
        "write_s": written - started,
        "split_certify_s": divided - written,
        "read_s": read - divided,
        "file_mb": (folder / "manifest.parquet").stat().st_size / 1e6,
        "baseline_mb": baseline,
        "write_mb": write_mb,
        "split_certify_mb": split_mb,
        "read_mb": peak_mb(),
    }


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--alone", action="store_true", help="measure in this process and print JSON")
    arguments = parser.parse_args()
    if arguments.alone:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(arguments.rows[0], Path(folder))))
        return
    found = []
    for rows in arguments.rows:
        command = [sys.executable, __file__, "--rows", str(rows), "--alone"]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found.append(json.loads(printed.splitlines()[-1]))
    print(pd.DataFrame(found).round(2).to_string(index=False))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
