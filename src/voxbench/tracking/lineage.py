"""Tags that lead from an MLflow run back to the code, the data and the experiment that made it."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path


def lineage_tags(root: Path) -> dict[str, str]:
    """Return the git revision, whether the tree was changed, the DVC experiment's name and the digest of `dvc.lock`."""
    tags = {"git.revision": _git(root, "rev-parse", "HEAD") or "none"}
    tags["git.changed"] = str(bool(_git(root, "status", "--porcelain", "--untracked-files=no"))).lower()
    tags["dvc.experiment"] = os.environ.get("DVC_EXP_NAME", "none")
    lock = root / "dvc.lock"
    tags["dvc.lock"] = hashlib.sha256(lock.read_bytes()).hexdigest()[:16] if lock.is_file() else "none"
    return tags


def _git(root: Path, *words: str) -> str:
    """Return what git prints, or nothing outside a repository or before its first commit."""
    try:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
