"""Where everything lies in a project folder; the only place that knows the tree of DESIGN's top level."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voxbench.config import Params, load_params


@dataclass(frozen=True)
class Workspace:
    """A project folder and its parsed configuration."""

    root: Path
    params: Params

    def prepared(self, corpus: str) -> Path:
        """Return where the prepare stage writes a corpus."""
        return self.root / "data" / "prepared" / corpus

    def features(self, corpus: str) -> Path:
        """Return where the features stage writes a corpus."""
        return self.root / "data" / "features" / corpus

    def models(self, benchmark: str) -> Path:
        """Return where the finetune stage writes its networks."""
        return self.root / "models" / benchmark

    def trained(self, benchmark: str) -> Path:
        """Return where `voxbench train` writes networks, which no stage of the pipeline reads or clears away."""
        return self.root / "trained" / benchmark

    def results(self, benchmark: str, stage: str) -> Path:
        """Return where a stage writes what it found on a benchmark."""
        return self.root / "results" / benchmark / stage

    def journal(self, benchmark: str, family: str) -> Path:
        """Return Optuna's journal, which holds times and so is no DVC output."""
        return self.root / ".optuna" / f"{benchmark}-{family}.journal"

    @property
    def weights(self) -> Path:
        """Return where `voxbench weights fetch` puts published weights."""
        return self.root / "data" / "weights"

    @property
    def reports(self) -> Path:
        """Return where the report is written."""
        return self.root / "reports"


def open_workspace(params_file: Path) -> Workspace:
    """Read and check `params.yaml`; the project folder is the one that holds it."""
    return Workspace(params_file.resolve().parent, load_params(params_file))
