"""What `voxbench download` says and refuses before anything is fetched, and what it says where nothing can be."""

import re
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from stages.offered import BODIES, WHOLE, Offer, archive
from tiny import tiny_params
from unreliable_server import Behaviour, serving
from voxbench.corpora import sheets
from voxbench.schema import InputError
from voxbench.stages.download import readable_size

STEPS = ("Ask for a key at https://example.org.", "Fetch tiny.zip with it and unpack it.")


@pytest.fixture
def offer(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving({path: Behaviour(body) for path, body in BODIES.items()}) as address:
        files = {}
        yield Offer(address, files, tmp_path, monkeypatch)


def answer(monkeypatch, word):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: print(question) or word)


def disk(monkeypatch, free):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, free))


def test_the_licence_and_all_sizes_are_shown_first(offer, monkeypatch, capsys):
    disk(monkeypatch, 74_123_000_000)
    sizes = {"/a/train.tar.gz": 6_387_309_499, "/b/train.zip": 999_949, "/dev.tar": 999_950, "/list.txt": 7}
    offer.state([archive(offer.address, path, size_bytes=size) for path, size in sizes.items()])
    offer.download(list_only=True)
    assert capsys.readouterr().out == (
        "Tiny\nlicence:  CC0 1.0\nhomepage: https://example.org\n"
        f"root:     {offer.root} (74.1 GB free)\n\n"
        "part   file              size  checksum  state\n"
        "train  train.tar.gz    6.4 GB  md5       to fetch\n"
        "train  train.zip     999.9 kB  sha256    to fetch\n"
        "dev    dev.tar         1.0 MB  sha256    to fetch\n"
        "lists  list.txt       7 bytes  sha256    to fetch\n"
        "total                  6.4 GB            6.4 GB to fetch\n"
        "\ncheck with: voxbench doctor tiny\n"
    )
    assert not offer.root.exists()


def test_the_list_tells_what_is_there(offer, capsys):
    offer.download("train")
    capsys.readouterr()
    offer.download(list_only=True)
    states = [line.split()[-1] for line in capsys.readouterr().out.splitlines()[6:10]]
    assert states == ["there", "there", "fetch", "fetch"]


def test_without_a_terminal_only_yes_is_an_answer(offer, monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(InputError, match=f"found no terminal to ask whether .* into {offer.root}, expected --yes"):
        offer.download(yes=False)
    assert not offer.root.exists()


@pytest.mark.parametrize("word", ["", "n", "nope", "yess"])
def test_anything_but_yes_is_a_no(offer, monkeypatch, capsys, word):
    answer(monkeypatch, word)
    offer.download(yes=False)
    said = capsys.readouterr().out
    assert said.index("licence:  CC0 1.0") < said.index("total") < said.index("under the licence above? [y/N]")
    assert said.endswith("nothing was fetched\n")
    assert not offer.root.exists()


def test_the_end_of_input_is_a_no(offer, monkeypatch, capsys):
    def ended(_):
        raise EOFError

    answer(monkeypatch, "")
    monkeypatch.setattr("builtins.input", ended)
    offer.download(yes=False)
    assert capsys.readouterr().out.endswith("nothing was fetched\n")


@pytest.mark.parametrize("word", ["y", " YES "])
def test_a_yes_fetches(offer, monkeypatch, word):
    answer(monkeypatch, word)
    offer.download(yes=False)
    assert offer.tree() == WHOLE


@pytest.mark.parametrize(("keep", "needed"), [(False, 1000 + 1300 + 1300 + 10 + 1000), (True, 1000 + 2610 + 3000)])
def test_the_disk_must_hold_the_archives_and_what_comes_out(offer, monkeypatch, keep, needed):
    sizes = {"/a/train.tar.gz": 1000, "/b/train.zip": 1000, "/dev.tar": 1000, "/list.txt": 10}
    offer.state([archive(offer.address, path, size_bytes=size * 10**6) for path, size in sizes.items()])
    disk(monkeypatch, needed * 10**6 - 1)
    with pytest.raises(
        InputError, match=r"found 4\.6 GB free, expected about 4\.6 GB" if not keep else r"6\.6 GB free"
    ):
        offer.download(keep_archives=keep)
    disk(monkeypatch, needed * 10**6)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(InputError, match="expected --yes"):
        offer.download(keep_archives=keep, yes=False)


def test_unknown_names_are_refused_with_the_closest(offer):
    with pytest.raises(
        InputError, match=r"unknown corpus 'tinny' \(did you mean 'tiny'\?\), expected one of: tiny, .*table"
    ):
        offer.download(name="tinny")
    with pytest.raises(
        InputError, match=r"found the part 'trian' of tiny \(did you mean 'train'\?\), expected one of: tr"
    ):
        offer.download("trian")
    assert not offer.root.exists()


def test_a_reader_needs_a_root_and_goes_where_it_is_told(offer, tmp_path):
    with pytest.raises(
        InputError, match=r"found no root for table, expected .*give --root FOLDER, or set corpora\.table"
    ):
        offer.download(name="table")
    offer.download(name="table", list_only=True)
    offer.root = tmp_path / "else" / "where"
    offer.download(name="table", root=offer.root)
    assert offer.tree() == WHOLE


def test_a_root_may_be_given_for_a_row_too(offer, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    offer.download("lists", root=Path("mine"))
    assert capsys.readouterr().out.endswith(f"check with: voxbench doctor tiny --root {tmp_path / 'mine'}\n")
    assert (tmp_path / "mine" / "meta" / "list.txt").is_file()
    assert not offer.root.exists()


@pytest.mark.parametrize("root", ["data/raw/timit", "data/raw/timit/deeper", "data", "data/raw/../raw/timit"])
def test_a_twin_keeps_its_root(offer, tmp_path, root):
    assert tiny_params()["twins"]["timit"]["root"] == "data/raw/timit"
    with pytest.raises(InputError, match=r"belongs to the synthetic twin .*give --root FOLDER"):
        offer.download(root=tmp_path / root)
    assert not (tmp_path / "data").exists()


def test_a_link_to_a_twins_root_is_seen_through(offer, tmp_path):
    (tmp_path / "data" / "raw" / "timit").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "data" / "raw" / "timit")
    with pytest.raises(InputError, match="belongs to the synthetic twin timit"):
        offer.download(root=tmp_path / "link")


def test_what_needs_a_registration_is_told_step_by_step(offer, capsys):
    offer.state([], steps=STEPS, tree=("wav/NUMBER.wav", "list.txt"))
    offer.download(yes=False)
    assert capsys.readouterr().out.partition(" free)\n")[2] == (
        f"\nWhat cannot be fetched for you:\n1. {STEPS[0]}\n2. {STEPS[1]}\n\nROOT is {offer.root}\n"
        "and looks like this:\n  wav/NUMBER.wav\n  list.txt\n\ncheck with: voxbench doctor tiny\n"
    )
    with pytest.raises(InputError, match="found the part 'train' of tiny, expected none, for none can be fetched"):
        offer.download("train")


def test_steps_never_send_anyone_to_a_twins_root(offer, tmp_path, capsys):
    offer.state([], steps=STEPS)
    offer.download(root=tmp_path / "data" / "raw" / "timit")
    said = capsys.readouterr().out
    assert "ROOT is a folder of your own: give --root FOLDER, or set corpora.tiny.root in params.yaml" in said
    assert said.endswith("check with: voxbench doctor tiny --root ROOT\n")
    offer.download(name="table")
    assert "ROOT is a folder of your own: give --root" in capsys.readouterr().out
    offer.state(offer.archives, steps=STEPS)
    with pytest.raises(InputError, match="found no root for table"):
        offer.download(name="table")
    assert "1. Ask for a key" in capsys.readouterr().out


def test_the_open_part_is_fetched_and_the_steps_follow(offer, capsys):
    offer.state(offer.archives[-1:], steps=STEPS)
    offer.download()
    said = capsys.readouterr().out
    assert said.index("lists: list.txt is there: 7 bytes") < said.index("What cannot be fetched for you:")
    assert set(offer.tree()) == {"meta/list.txt"}


@pytest.mark.parametrize("name", [name for name in sheets if sheets[name].archives])
def test_every_sheet_names_files_that_can_be_fetched(offer, tmp_path, name):
    offer.download(name=name, root=tmp_path / "own", list_only=True)
    for line in sheets[name].archives:
        assert line.checksum is None or re.fullmatch("md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", line.checksum)
        assert line.url.startswith("https://")
        assert line.size_bytes > 0
        assert line.strip >= 0
        assert tmp_path in (tmp_path / line.folder / "x").resolve().parents


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (999, "999 bytes"),
        (1049, "1.0 kB"),
        (1050, "1.1 kB"),
        (10**12, "1.0 TB"),
        (3 * 10**15, "3000.0 TB"),
        (2**63, "9223372.0 TB"),
    ],
)
def test_sizes_are_rounded_exactly(size, shown):
    assert readable_size(size) == shown
