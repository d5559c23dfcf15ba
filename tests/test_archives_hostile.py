"""Every archive here must be refused by the name of its member, and leave no trace."""

import os
import stat
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostile_archives import (
    hard_link,
    header,
    patched,
    raw_header,
    symlink,
    tarred,
    with_flag,
    with_method,
    with_size,
    zipped,
    zipped_tar,
)
from voxbench.archives import unpack, unpacking
from voxbench.archives.members import FILE, Member
from voxbench.schema import InputError

GOOD = ("good", b"good " * 400)
LINK = stat.S_IFLNK | 0o777
LIMITS = {"strip": 0, "max_bytes": 10**6, "max_members": 9}

NAMES = {
    "/etc/passwd": "stay below",
    "../out": "stay below",
    "d/../../out": "stay below",
    "d/..": "stay below",
    "C:/out": "stay below",
    "C:out": "stay below",
    "d\\out": "backslashes",
    "..\\out": "backslashes",
    "a\x1b[2J": "control characters",
    "a\nb": "control characters",
    "a\x85b": "control characters",
    "n" * 256: "255 bytes in each",
    "ü" * 128: "255 bytes in each",
    "/".join(["n" * 100] * 11): "at most 1000 characters",
    "/".join("n" * 33): "32 parts",
    ".voxbench-download.json": "own files",
    "d/.VoxBench-unpack/a": "own files",
}
PAIRS = {
    ("a", "a"): "beside another one",
    ("a", "A"): "beside another one",
    ("d/stra\u00dfe", "d/STRASSE"): "beside another one",
    ("\u00e9", "e\u0301"): "beside another one",
    ("a", "./a"): "beside another one",
    ("a", "a/b"): "beside another 'a'",
    ("A", "a/b"): "beside another 'a'",
    ("a/b", "a"): "beside another one",
    ("d/a", "D/b"): "beside another 'd'",
}
TARS = {
    "a link out": ([symlink("s", "../x")], r"'s -> \.\./x' as a name, expected names that stay below"),
    "a link far out": ([symlink("d/s", "../../../x")], r"'d/s -> \.\./\.\./x' as a name"),
    "an absolute link": ([symlink("s", "/etc/passwd")], "'s -> /etc/passwd' as a name"),
    "a hard link out": ([hard_link("h", "../x")], r"'h -> \.\./x' as a name"),
    "an absolute hard link": ([hard_link("h", "/etc/passwd")], "'h -> /etc/passwd' as a name"),
    "a link to nothing": ([symlink("s", "nothing")], "'s -> nothing' as a link, expected links to files that came"),
    "a link to itself": ([symlink("s", "s")], "'s -> s' as a link"),
    "a link to a later file": ([hard_link("h", "z"), ("z", b"")], "'h -> z' as a link"),
    "a link to a folder": ([("d/a", b""), symlink("s", "d")], "'s -> d' as a link"),
    "a link to the folder": ([symlink("s", ".")], r"'s -> \.' as a link"),
    "a file through a link": ([symlink("s", "good"), ("s/a", b"")], "'s/a' beside another 's'"),
    "a file through a link to outside": ([symlink("s", "/tmp"), ("s/a", b"")], "'s -> /tmp' as a name"),
    "a link over a file": ([symlink("good", "good")], "'good' beside another one"),
    "a device": ([(header("v", type=tarfile.CHRTYPE), b"")], "'v' that is a device"),
    "a disk": ([(header("v", type=tarfile.BLKTYPE), b"")], "'v' that is a device"),
    "a pipe": ([(header("v", type=tarfile.FIFOTYPE), b"")], "'v' that is a device"),
    "a file with holes": ([(header("v", type=tarfile.GNUTYPE_SPARSE), b"")], "'v' that is a device, a pipe or a file"),
    "an unknown kind": ([(header("v", type=b"Q"), b"")], "found 'v' "),
}
GZIP, TAR, ZIP = zipped_tar(GOOD), tarred(GOOD), zipped(GOOD)
STORED = zipped(GOOD, ("b", b"content"), method=zipfile.ZIP_STORED)
DAMAGED = {
    "a tar cut in a file": (TAR[:1000], "x.tar", "'good' with 488 bytes, expected the 2,000"),
    "a tar cut in a header": (TAR[:3000], "x.tar", "damage at or after 'good'.*no end mark"),
    "a tar without end": (tarred(GOOD, end=b""), "x.tar", "damage at or after 'good'.*no end mark"),
    "a tar with a broken header": (tarred(GOOD, end=b"?" * 512 + bytes(1024)), "x.tar", "damage at or after 'good'"),
    "a tar after a tar": (TAR + TAR, "x.tar", "damage at or after 'good'.*data follows the end mark"),
    "no tar": (b"<html>" * 1000, "x.tar", "damage at or after its head"),
    "an empty file": (b"", "x.tar", "damage at or after its head"),
    "an empty tar": (bytes(10240), "x.tar", "found no file in it"),
    "a size below zero": (raw_header("v", b"0", -512) + bytes(1024), "x.tar", "'v' with which more than"),
    "a long name below zero": (raw_header("v", b"L", -512) + TAR, "x.tar", "damage at or after its head.*headers"),
    "a long name without end": (raw_header("v", b"L", 2**32) + TAR, "x.tar", "damage at or after its head.*headers"),
    "an endless chain of headers": (raw_header("v", b"x", 0) * 5000 + TAR, "x.tar", "damage at .*headers have no end"),
    "a gzip cut short": (GZIP[:-20], "x.tar.gz", "damage at or after"),
    "a gzip without checksum": (GZIP[:-8], "x.tar.gz", "damage at or after 'good'"),
    "a gzip of wrong checksum": (GZIP[:-8] + b"oops" + GZIP[-4:], "x.tgz", "damage at or after 'good'.*CRC"),
    "a gzip and more": (GZIP + b"more", "x.tar.gz", "damage at or after 'good'"),
    "no gzip": (TAR, "x.tar.gz", "damage at or after its head"),
    "a zip cut short": (ZIP[:-30], "x.zip", "damage at or after its head"),
    "no zip": (TAR, "x.zip", "damage at or after its head"),
    "a zip without files": (zipped(), "x.zip", "found no file in it"),
    "a zip of wrong checksum": (STORED.replace(b"content", b"c0ntent"), "x.zip", "damage at or after 'b'.*CRC"),
    "a zip that states less": (with_size(ZIP, 7), "x.zip", "damage at or after 'good'.*CRC"),
    "a zip that states more": (with_size(ZIP, 3000), "x.zip", "'good' with 2,000 bytes, expected the 3,000|damage at"),
    "a zip that states far more": (with_size(ZIP, 2**31), "x.zip", "'good' with which more than 1,000,000 bytes"),
    "an encrypted zip": (with_flag(ZIP, 1), "x.zip", "'good' that is encrypted"),
    "a strongly encrypted zip": (with_flag(ZIP, 0x41), "x.zip", "'good' that is encrypted"),
    "a zip by another method": (with_method(ZIP, 9), "x.zip", "'good' that is compressed by method 9"),
    "another name inside": (STORED[:30] + b"evil" + STORED[34:], "x.zip", "damage at or after 'good'.*differ"),
    "a zip with a NUL": (STORED.replace(b"good", b"go\0d"), "x.zip", r"'go\\x00d' as a name"),
    "a member before the file": (patched(ZIP, 42, "<I", 2**31), "x.zip", "damage at or after"),
}
ZIPS = {
    "a link out": ([("s", b"../x", LINK)], r"'s -> \.\./x' as a name"),
    "an absolute link": ([("s", b"/etc/passwd", LINK)], "'s -> /etc/passwd' as a name"),
    "a link to nothing": ([("s", b"nothing", LINK)], "'s -> nothing' as a link"),
    "a link that is no text": ([("s", b"\xff\xff", LINK)], "damage at or after 'good'"),
    "a file through a link": ([("s", b"good", LINK), ("s/a", b"")], "'s/a' beside another 's'"),
    "a device": ([("v", b"", stat.S_IFCHR | 0o666)], "'v' that is a device"),
    "a pipe": ([("v", b"", stat.S_IFIFO | 0o666)], "'v' that is a device"),
    "a folder with content": ([("v/", b"content", stat.S_IFDIR | 0o777)], "'v/' that is a folder with content"),
    "a folder by mode alone": ([("v", b"", stat.S_IFDIR | 0o777)], "'v' that is a device"),
}


def refused(tmp_path, content, name, message, **limits):
    """Unpack and check the refusal; nothing may have changed anywhere."""
    path, folder = tmp_path / "archives" / name, tmp_path / "root" / "corpus"
    path.parent.mkdir(exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    (folder / "mine").write_bytes(b"mine")
    with pytest.raises(InputError, match=message) as caught:
        unpack(path, folder, **LIMITS | limits)
    assert str(caught.value).startswith(f"{path}: found ")
    assert "\n" not in str(caught.value)
    found = sorted(
        os.path.relpath(os.path.join(here, each), tmp_path) for here, _, names in os.walk(tmp_path) for each in names
    )
    assert found == [f"archives/{name}", "root/corpus/mine"]
    assert list(folder.iterdir()) == [folder / "mine"]


@pytest.mark.parametrize("build", [tarred, zipped_tar, zipped])
@pytest.mark.parametrize(("name", "message"), NAMES.items(), ids=[repr(name)[:20] for name in NAMES])
def test_names_that_lead_out_or_fit_nowhere(tmp_path, build, name, message):
    ending = {tarred: "x.tar", zipped_tar: "x.tar.gz", zipped: "x.zip"}[build]
    refused(tmp_path, build(GOOD, (name, b"1")), ending, f"found '.*as a name, expected .*{message}")


@pytest.mark.parametrize("build", [tarred, zipped])
@pytest.mark.parametrize(("names", "message"), PAIRS.items(), ids=map(repr, PAIRS))
def test_names_that_collide(tmp_path, build, names, message):
    content = build(*((name, b"1") for name in names))
    refused(tmp_path, content, "x.tar" if build is tarred else "x.zip", f"found {names[1]!r} {message}")


@pytest.mark.parametrize(("members", "message"), TARS.values(), ids=TARS)
def test_links_and_devices_in_a_tar(tmp_path, members, message):
    refused(tmp_path, tarred(GOOD, *members), "x.tar", message)


@pytest.mark.parametrize(("members", "message"), ZIPS.values(), ids=ZIPS)
def test_links_and_devices_in_a_zip(tmp_path, members, message):
    refused(tmp_path, zipped(GOOD, *members), "x.zip", message)


@pytest.mark.parametrize(("content", "name", "message"), DAMAGED.values(), ids=DAMAGED)
def test_damage(tmp_path, content, name, message):
    refused(tmp_path, content, name, message)


@pytest.mark.parametrize(("build", "name"), [(tarred, "x.tar"), (zipped_tar, "x.tgz"), (zipped, "x.zip")])
def test_limits_are_exact(tmp_path, build, name):
    content = build(GOOD, ("b", b"1234"))
    refused(tmp_path, content, name, "found 'b' with which more than 2,003 bytes come out", max_bytes=2003)
    refused(tmp_path, content, name, "found 'b' as one of more than 1 members", max_members=1)
    refused(tmp_path, content, name, "found 'good' as a name of 1 parts or fewer", strip=1)
    unpack(tmp_path / "archives" / name, tmp_path / "whole", strip=0, max_bytes=2004, max_members=2)


def test_copies_by_links_count_against_the_limit(tmp_path):
    links = [hard_link(str(number), "good") for number in range(3)]
    refused(tmp_path, tarred(GOOD, *links), "x.tar", "found '2' with which more than 7,999 bytes", max_bytes=7999)


@pytest.mark.parametrize(("build", "name"), [(zipped_tar, "x.tgz"), (zipped, "x.zip")])
def test_a_small_bomb_is_refused(tmp_path, build, name):
    bomb = build(("bomb", bytes(10**7)))
    assert len(bomb) < 100_000
    refused(tmp_path, bomb, name, "found 'bomb' with which more than 1,000,000 bytes")


def test_what_is_written_counts_even_if_a_reader_gives_more_than_the_header_states(tmp_path):
    stage = unpacking._Stage(tmp_path, strip=0, max_bytes=10, max_members=1)
    with pytest.raises(InputError, match="found 'a' with which more than 10 bytes come out"):
        stage.add(Member("a", FILE, 10, "", [b"12345", b"123456"], 0))
    assert (tmp_path / "a").stat().st_size == 5


def test_a_full_disk_is_named_with_the_member(tmp_path, monkeypatch):
    class Full:
        def __init__(self, path):
            self.path = path

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def write(self, _):
            raise OSError(28, "No space left on device")

    real = type(tmp_path).open
    monkeypatch.setattr(
        type(tmp_path), "open", lambda path, mode="r", **how: Full(path) if mode == "xb" else real(path, mode, **how)
    )
    refused(tmp_path, tarred(GOOD), "x.tar", r"cannot be written \(\[Errno 28\] No space left on device at 'good'\)")


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["x.tar", "x.tar.gz", "x.zip"]),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=8),
)
def test_whatever_is_changed_no_other_error_comes(tmp_path_factory, name, changes):
    members = [GOOD, ("d/" + "n" * 120, b"1"), ("d/e", b"22")]
    build = {"x.tar": tarred, "x.tar.gz": zipped_tar, "x.zip": zipped}[name]
    content = bytearray(build(*members))
    for position, value in changes:
        content[position % len(content)] = value
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / name).write_bytes(content)
    try:
        unpack(folder / name, folder / "root", strip=0, max_bytes=10**5, max_members=10)
    except InputError:
        assert not list((folder / "root").iterdir())
