"""Unpacking of archives that mean well: what comes out, what stays, what a kill leaves."""

import os
import signal
import stat
import subprocess
import sys
import tarfile
import time
import zipfile

import pytest

from hostile_archives import hard_link, header, symlink, tarred, zipped, zipped_tar
from voxbench.archives import Unpacked, is_archive, unpack
from voxbench.schema import InputError

FILES = {"top/a.txt": b"one", "top/wav/s1/1.wav": bytes(range(256)) * 3000, "top/wav/s2/1.wav": b"", "top/ü.txt": b"u"}
BUILT = {"x.tar": tarred, "x.tar.gz": zipped_tar, "X.TGZ": zipped_tar, "x.zip": zipped}
LIMITS = {"max_bytes": 10**7, "max_members": 100}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "corpus" / "root"


def archive_of(tmp_path, content, name="x.tar"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", BUILT)
def test_files_come_out_below_the_folder_without_the_first_part(tmp_path, folder, name):
    path = archive_of(tmp_path, BUILT[name](*FILES.items()), name)
    found = unpack(path, folder, strip=1, **LIMITS)
    assert tree(folder) == {name.removeprefix("top/"): content for name, content in FILES.items()}
    assert found == Unpacked(4, sum(map(len, FILES.values())), "ü.txt")
    assert path.is_file()


def test_nothing_is_left_out_of_names_unless_asked(tmp_path, folder):
    unpack(archive_of(tmp_path, tarred(("./top//./a", b"1"))), folder, strip=0, **LIMITS)
    assert tree(folder) == {"top/a": b"1"}


def test_folders_are_made_even_if_empty_and_those_left_out_of_names_are_not(tmp_path, folder):
    members = [(header(name, type=tarfile.DIRTYPE), b"") for name in ("top", "top/empty", "top/empty")]
    unpack(archive_of(tmp_path, tarred(*members, ("top/a", b"1"))), folder, strip=1, **LIMITS)
    assert sorted(path.name for path in folder.iterdir()) == ["a", "empty"]
    path = archive_of(tmp_path, zipped(("empty/", b"", stat.S_IFDIR | 0o555), ("b", b"1")), "x.zip")
    unpack(path, folder, strip=0, **LIMITS)
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b", "empty"]


def test_long_names_of_every_tar_dialect_are_read(tmp_path, folder):
    name = "/".join(["d" * 100, "e" * 100, "f" * 200])
    for dialect in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(tmp_path / "x.tar", "w", format=dialect) as tar:
            tar.addfile(tarfile.TarInfo(f"{dialect}/{name}"))
        unpack(tmp_path / "x.tar", folder, strip=0, **LIMITS)
    assert set(tree(folder)) == {f"1/{name}", f"2/{name}"}


@pytest.mark.parametrize("mode", [0o7777, 0o000, 0o4755])
def test_files_get_the_permissions_of_new_files(tmp_path, folder, mode):
    unpack(archive_of(tmp_path, tarred((header("d/a", mode=mode), b""))), folder, strip=0, **LIMITS)
    unpack(archive_of(tmp_path, zipped(("d/b", b"", stat.S_IFREG | mode)), "x.zip"), folder, strip=0, **LIMITS)
    new = tmp_path / "new"
    new.touch()
    assert {path.stat().st_mode for path in (folder / "d").iterdir()} == {new.stat().st_mode}
    new.unlink()
    new.mkdir()
    assert (folder / "d").stat().st_mode == new.stat().st_mode


def test_links_to_earlier_files_become_copies(tmp_path, folder):
    members = [("top/d/a", b"1"), symlink("top/e/b", "../d/a"), hard_link("top/c", "top/d/a"), symlink("top/f", "c")]
    unpack(archive_of(tmp_path, tarred(*members)), folder, strip=1, **LIMITS)
    assert tree(folder) == {"d/a": b"1", "e/b": b"1", "c": b"1", "f": b"1"}
    assert not any(path.is_symlink() or (path.is_file() and path.stat().st_nlink > 1) for path in folder.rglob("*"))
    path = archive_of(tmp_path, zipped(("d/a", b"1"), ("d/z", b"a", stat.S_IFLNK | 0o777)), "x.zip")
    unpack(path, folder, strip=0, **LIMITS)
    assert not (folder / "d" / "z").is_symlink()
    assert (folder / "d" / "z").read_bytes() == b"1"


def test_a_second_archive_joins_the_tree_and_equal_files_stay(tmp_path, folder):
    unpack(archive_of(tmp_path, tarred(("readme", b"same"), ("wav/1", b"1"))), folder, strip=0, **LIMITS)
    before = (folder / "readme").stat()
    unpack(archive_of(tmp_path, tarred(("readme", b"same"), ("wav/2", b"2"))), folder, strip=0, **LIMITS)
    assert tree(folder) == {"readme": b"same", "wav/1": b"1", "wav/2": b"2"}
    assert (folder / "readme").stat() == before


@pytest.mark.parametrize("there", ["other file", "folder", "link", "dangling link"])
def test_what_lies_there_is_never_replaced(tmp_path, folder, there):
    folder.mkdir(parents=True)
    (tmp_path / "same").write_bytes(b"new")
    place = folder / "a"
    {
        "other file": lambda: place.write_bytes(b"old"),
        "folder": place.mkdir,
        "link": lambda: place.symlink_to(tmp_path / "same"),
        "dangling link": lambda: place.symlink_to("nowhere"),
    }[there]()
    path = archive_of(tmp_path, tarred(("0", b"first"), ("a", b"new")))
    with pytest.raises(InputError, match=f"{path}: found 'a' and something else at {place}, expected nothing there"):
        unpack(path, folder, strip=0, **LIMITS)
    assert [each.name for each in folder.iterdir()] == ["a"]
    assert (tmp_path / "same").read_bytes() == b"new"


@pytest.mark.parametrize("there", ["file", "link"])
def test_a_folder_goes_only_where_there_is_a_folder(tmp_path, folder, there):
    folder.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (folder / "d").symlink_to(tmp_path / "elsewhere") if there == "link" else (folder / "d").touch()
    with pytest.raises(InputError, match=f"found 'd' and something else at {folder / 'd'}"):
        unpack(archive_of(tmp_path, tarred(("d/a", b"new"))), folder, strip=0, **LIMITS)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_what_an_earlier_call_left_half_done_is_done_again(tmp_path, folder):
    (folder / ".voxbench-unpack" / "d").mkdir(parents=True)
    (folder / ".voxbench-unpack" / "d" / "half").write_bytes(b"ha")
    (folder / "d").mkdir()
    (folder / "d" / "a").write_bytes(b"1")  # moved before the kill
    unpack(archive_of(tmp_path, tarred(("d/a", b"1"), ("d/b", b"2"))), folder, strip=0, **LIMITS)
    assert tree(folder) == {"d/a": b"1", "d/b": b"2"}


def test_a_link_in_place_of_the_working_folder_is_not_followed(tmp_path, folder):
    folder.mkdir(parents=True)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (folder / ".voxbench-unpack").symlink_to(tmp_path / "precious")
    with pytest.raises(InputError, match=f"found that {folder} cannot be written"):
        unpack(archive_of(tmp_path, tarred(("a", b"1"))), folder, strip=0, **LIMITS)
    assert (tmp_path / "precious" / "file").is_file()


def test_a_kill_leaves_no_part_and_the_next_call_the_whole(tmp_path, folder):
    members = [(f"{number // 100}/{number}", b"x" * 3000) for number in range(3000)]
    path = archive_of(tmp_path, tarred(*members))
    code = (
        "import sys; from pathlib import Path; from voxbench.archives import unpack; "
        "unpack(Path(sys.argv[1]), Path(sys.argv[2]), strip=0, max_bytes=10**9, max_members=10**6)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, path, folder], stderr=subprocess.DEVNULL)
    stage = folder / ".voxbench-unpack"
    while not (stage / "5").exists() and process.poll() is None:
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it was killed"
    assert [each.name for each in folder.iterdir()] == [".voxbench-unpack"]
    assert list(folder.parent.iterdir()) == [folder], "the root of a disk has no room beside it"
    found = unpack(path, folder, strip=0, max_bytes=10**9, max_members=10**6)
    assert found == Unpacked(3000, 9_000_000, "29/2999")
    assert not stage.exists()
    assert sum(path.stat().st_size == 3000 for path in folder.rglob("*") if path.is_file()) == 3000


def test_progress_is_in_megabytes_of_the_archive(tmp_path, folder, capsys):
    members = [(str(number), bytes(6_000_000)) for number in range(4)]
    unpack(archive_of(tmp_path, tarred(*members)), folder, strip=0, max_bytes=10**8, max_members=4)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" [")[0] for line in lines] == [f"unpack x.tar {mb}/24" for mb in (12, 24)]


def test_only_known_endings_are_archives():
    assert all(is_archive(name) for name in BUILT)
    assert not any(is_archive(name) for name in ("veri_test.txt", "zip", "x.gz", "x.tar.gzaa", "x.7z"))


def test_a_zip_in_parts_of_other_systems_is_read(tmp_path, folder):
    info = zipfile.ZipInfo("d/a")
    info.create_system, info.external_attr = 0, 0xFFFF0020  # not a Unix mode
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(info, b"1")
    unpack(tmp_path / "x.zip", folder, strip=0, **LIMITS)
    assert tree(folder) == {"d/a": b"1"}
