"""`voxbench download` at work: what comes out, what a second call does, what an interruption leaves."""

import hashlib
import os
import signal
import subprocess
import sys
import time

import pytest

from hostile_archives import symlink, tarred, zipped
from stages.offered import BODIES, README, TREES, WHOLE, Offer, archive, sha256
from unreliable_server import Behaviour, serving
from voxbench import downloads
from voxbench.artifacts import read_json, write_json
from voxbench.schema import InputError
from voxbench.stages import download as stage

RECORD = ".voxbench-download.json"
LOCK = ".voxbench-download.lock"


@pytest.fixture
def offer(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "PAUSE_SECONDS", 0.0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    files = {path: Behaviour(body) for path, body in BODIES.items()}
    with serving(files) as address:
        yield Offer(address, files, tmp_path, monkeypatch)


def test_all_parts_arrive_in_one_tree_and_nothing_else_stays(offer):
    offer.download()
    assert offer.asked() == list(BODIES)
    assert offer.tree() == WHOLE
    assert sorted(path.name for path in offer.root.iterdir()) == [RECORD, LOCK, "meta", "readme", "wav"]
    assert read_json(offer.root / RECORD) == {
        line.url: {
            "part": line.part,
            "checksum": line.checksum,
            "sha256": hashlib.sha256(BODIES[path]).hexdigest(),
            "bytes": len(BODIES[path]),
            "last": list(TREES[path])[-1].removeprefix("meta/"),
        }
        for path, line in zip(BODIES, offer.archives, strict=True)
    }


def test_a_second_call_asks_for_nothing(offer, capsys):
    offer.download()
    before = {path: path.stat().st_mtime_ns for path in offer.root.rglob("*") if path.is_file()}
    offer.asked()
    capsys.readouterr()
    offer.download(yes=False)
    assert offer.asked() == []
    assert f"nothing to fetch: {offer.root / RECORD} says that all of it is there" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in offer.root.rglob("*") if path.is_file()} == before


def test_named_parts_are_fetched_and_later_the_others(offer):
    offer.download("train", "lists")
    assert offer.asked() == ["/a/train.tar.gz", "/b/train.zip", "/list.txt"]
    assert "wav/3.wav" not in offer.tree()
    offer.download()
    assert offer.asked() == ["/dev.tar"]
    assert offer.tree() == WHOLE


def test_what_was_deleted_since_is_fetched_again(offer):
    offer.download()
    offer.asked()
    (offer.root / "meta" / "list.txt").unlink()
    offer.download()
    assert offer.asked() == ["/list.txt"]
    assert offer.tree() == WHOLE


def test_another_published_checksum_means_another_archive(offer):
    offer.download("dev")
    offer.asked()
    offer.files["/dev.tar"].body = new = tarred(README, ("top/wav/4.wav", b"4" * 4000))
    offer.change("/dev.tar", checksum=sha256(new))
    offer.download("dev")
    assert offer.tree()["wav/4.wav"] == b"4" * 4000


def test_archives_are_kept_if_asked_and_then_not_fetched_again(offer):
    offer.download(keep_archives=True)
    kept = {path.relative_to(offer.root).as_posix() for path in offer.root.glob(".voxbench-download/*/*")}
    home = ".voxbench-download"
    assert kept == {f"{home}/train/train.tar.gz", f"{home}/train/train.zip", f"{home}/dev/dev.tar"}
    offer.asked()
    (offer.root / RECORD).unlink()
    offer.download()
    assert offer.asked() == ["/list.txt"]
    assert not (offer.root / ".voxbench-download").exists()


def test_a_broken_connection_is_continued_in_the_next_call(offer, capsys):
    half = len(BODIES["/dev.tar"]) // 2
    offer.files["/dev.tar"].cut_after = [half] + [0] * 4
    with pytest.raises(InputError, match="are kept and will be continued"):
        offer.download("dev")
    assert offer.tree() == {}
    offer.download("dev", list_only=True)
    assert f"{stage.readable_size(half)} here" in capsys.readouterr().out
    del offer.files["/dev.tar"].asked[:]
    offer.download("dev")
    assert offer.files["/dev.tar"].asked == [f"bytes={half}-"]
    assert offer.tree() == TREES["/dev.tar"]


def test_what_came_before_a_failure_is_not_fetched_again(offer):
    offer.files["/b/train.zip"].statuses = [404]
    with pytest.raises(InputError, match="found HTTP status 404"):
        offer.download()
    offer.asked()
    offer.download()
    assert offer.asked() == ["/b/train.zip", "/dev.tar", "/list.txt"]
    assert offer.tree() == WHOLE


def test_a_wrong_checksum_unpacks_nothing(offer):
    offer.files["/a/train.tar.gz"].body = BODIES["/a/train.tar.gz"] + b"!"
    with pytest.raises(InputError, match=r"found a file with MD5 .*expected .*what was downloaded is deleted"):
        offer.download("train")
    assert offer.tree() == {}
    assert not (offer.root / RECORD).exists()
    assert not list(offer.root.glob(".voxbench-download/*/*"))


def test_much_more_than_the_sheet_states_is_not_taken(offer):
    offer.files["/dev.tar"].body = bytes(2_000_000)
    most = len(BODIES["/dev.tar"]) * 11 // 10 + 10**6
    with pytest.raises(InputError, match=rf"found 2,000,000 bytes, expected at most {most:,}"):
        offer.download("dev")


def test_without_a_published_checksum_it_must_be_asked_for_and_is_known_from_then_on(offer, capsys):
    offer.change("/dev.tar", checksum=None)
    with pytest.raises(InputError, match=r"found no published checksum of dev\.tar: expected --unverified"):
        offer.download()
    assert offer.asked() == []
    offer.download("dev", unverified=True)
    digest = hashlib.sha256(BODIES["/dev.tar"]).hexdigest()
    assert f"sha256 {digest} (nothing published to compare it with)" in capsys.readouterr().out
    assert read_json(offer.root / RECORD)[f"{offer.address}/dev.tar"]["sha256"] == digest
    (offer.root / "wav" / "3.wav").unlink()
    offer.files["/dev.tar"].body = tarred(("top/other", b"x" * 5000))
    with pytest.raises(InputError, match=f"found a file with SHA-256 .*, expected {digest}"):
        offer.download("dev")


def test_an_unknown_content_far_from_its_size_is_no_archive(offer):
    offer.change("/dev.tar", checksum=None, size_bytes=5_000_000)
    with pytest.raises(
        InputError, match=rf"dev\.tar: found {len(BODIES['/dev.tar']):,} bytes, expected about 5,000,000"
    ):
        offer.download("dev", unverified=True)
    assert offer.tree() == {}
    assert not list(offer.root.glob(".voxbench-download/*/*"))


@pytest.mark.parametrize("body", [tarred(README, symlink("top/s", "/etc")), tarred(("top/../../out", b"1")), b"<html>"])
def test_a_hostile_archive_leaves_nothing(offer, body):
    offer.files["/dev.tar"].body = body
    offer.change("/dev.tar", checksum=sha256(body), size_bytes=len(body))
    with pytest.raises(InputError, match=r"dev\.tar: found "):
        offer.download("dev")
    assert offer.tree() == {}
    assert sorted(path.name for path in offer.folder.iterdir()) == ["params.yaml", "raw"]
    assert not (offer.root / RECORD).exists()


def test_a_bomb_is_refused_by_what_the_sheet_states(offer, monkeypatch):
    monkeypatch.setattr(stage, "MOST_AT_LEAST", 0)
    body = zipped(("top/a", bytes(10**6)))
    offer.files["/b/train.zip"].body = body
    offer.state([archive(offer.address, "/b/train.zip", checksum=sha256(body), size_bytes=len(body))])
    with pytest.raises(InputError, match=f"found 'top/a' with which more than {20 * len(body):,} bytes come out"):
        offer.download("train")


@pytest.mark.parametrize("path", ["/dev.tar", "/list.txt"])
def test_files_that_lie_there_are_never_replaced(offer, path):
    place = offer.root / next(reversed(TREES[path]))
    place.parent.mkdir(parents=True)
    place.write_bytes(b"mine")
    with pytest.raises(InputError, match=f"something else at {place}, expected nothing there or the same"):
        offer.download()
    assert place.read_bytes() == b"mine"
    place.write_bytes(TREES[path][place.relative_to(offer.root).as_posix()])
    offer.download()
    assert offer.tree() == WHOLE


def test_a_record_that_is_none_is_named(offer):
    for content in ("no json", "[]", '{"url": {}}'):
        offer.root.mkdir(exist_ok=True)
        (offer.root / RECORD).write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match=f"{RECORD}: found no record of downloads"):
            offer.download()


def test_two_calls_do_not_work_in_one_root(offer):
    offer.root.mkdir()
    with stage.FileLock(offer.root / LOCK), pytest.raises(InputError, match="found another download at work there"):
        offer.download()


def test_a_disk_that_fills_up_is_told_and_the_next_call_completes(offer, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(stage, "write_json", full)
        with pytest.raises(InputError, match=r"No space left on device.*room"):
            offer.download("dev")
    offer.download("dev")
    assert offer.tree() == TREES["/dev.tar"]


def test_a_kill_while_unpacking_is_made_good_by_the_next_call(offer, tmp_path):
    members = [(f"top/{number // 100}/{number}", b"x" * 1000) for number in range(3000)]
    body = tarred(*members)
    line = archive(offer.address, "/dev.tar", size_bytes=len(body), checksum=sha256(body))
    offer.state([line])
    here = offer.root / ".voxbench-download" / "dev" / "dev.tar"
    here.parent.mkdir(parents=True)
    here.write_bytes(body)
    code = (
        "import sys; from pathlib import Path; from voxbench.stages import download as d; "
        "from voxbench.corpora.sheets import Archive; from voxbench.artifacts import read_json; "
        "root = Path(sys.argv[1]); line = Archive(**read_json(root.parent / 'line.json')); "
        "d._carry_out([d._job(line, root, {})], root, d.DownloadOptions())"
    )
    write_json(tmp_path / "line.json", {name: getattr(line, name) for name in line.__slots__})
    process = subprocess.Popen([sys.executable, "-c", code, offer.root], stderr=subprocess.DEVNULL)
    while not (offer.root / ".voxbench-unpack" / "5").exists() and process.poll() is None:
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it was killed"
    assert not (offer.root / "0").exists()
    assert not (offer.root / RECORD).exists()
    offer.download("dev")
    assert offer.asked() == []
    assert offer.tree() == {name.removeprefix("top/"): content for name, content in members}
    assert sorted(path.name for path in offer.root.iterdir() if not path.name.isdigit()) == [RECORD, LOCK]
