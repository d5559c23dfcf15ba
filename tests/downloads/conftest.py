"""What the tests of downloads share: a server with one file, where it goes, and no pauses."""

import pytest

from downloads.content import BODY
from unreliable_server import Behaviour, serving
from voxbench import downloads


@pytest.fixture(autouse=True)
def _no_pauses_and_no_proxy(monkeypatch):
    monkeypatch.setattr(downloads, "PAUSE_SECONDS", 0.0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def do():
    return Behaviour(BODY)


@pytest.fixture
def url(do):
    with serving({"/file": do, "/elsewhere": do}) as address:
        yield f"{address}/file"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "file.bin"
