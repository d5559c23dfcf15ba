"""What the tests of all synthetic twins share: settings to start from, and the bytes of a tree."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from voxbench.config import Twin

PROGRAM = """
import sys
from pathlib import Path
import voxbench.corpora
from voxbench.config import Twin
from voxbench.corpora.registries import twins
settings = Twin.model_validate_json(sys.argv[1])
twins[settings.layout](Path(sys.argv[2]), settings)
"""

BASE = Twin(
    layout="voxceleb",
    edition=None,
    root=Path("raw"),
    seed=1,
    language="en-US",
    speakers=16,
    sessions_per_speaker=2,
    clips_per_session=2,
    clip_seconds=(2.5, 4.0),
    age_years=None,
    unlabelled_fraction=0.0,
    session_pitch_sd=0.05,
    snr_db=(5.0, 25.0),
    reverberation_seconds=(0.05, 0.4),
    low_hz=(60.0, 250.0),
    high_hz=(3400.0, 7600.0),
    filter_order=4,
    peak_dbfs=(-12.0, -1.0),
    test_fraction=0.25,
)


def changed(settings: Twin, **changes: object) -> Twin:
    return Twin.model_validate(settings.model_dump() | changes)


def tree_hashes(root: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a tree."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def write_in_another_process(settings: Twin, root: Path) -> None:
    """Write the twin of a layout in a process in which strings hash to other numbers than here."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", PROGRAM, settings.model_dump_json(), str(root)]
    subprocess.run(command, check=True, env=environment)
