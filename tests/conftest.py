"""What every test shares: one thread, no telemetry, and the folder of reference data."""

import os

# Read when the libraries are first imported, which no test has done yet; child processes inherit them.
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", MLFLOW_DISABLE_TELEMETRY="true", DVC_NO_ANALYTICS="1")
os.environ.pop("MLFLOW_TRACKING_URI", None)  # no test writes to the store of whoever runs it

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no fault of the code: no test fails for being slow.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of published reference data (vectors, weights, score files, lists)."""
    folder = os.environ.get("VOXBENCH_SHARED")
    if not folder:
        pytest.skip("needs the published reference data: set VOXBENCH_SHARED to their folder")
    return Path(folder)
