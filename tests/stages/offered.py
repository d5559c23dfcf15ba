"""A corpus that a server on this machine offers, and the project that asks for it."""

import hashlib
from dataclasses import dataclass, field

from hostile_archives import tarred, zipped, zipped_tar
from tiny import tiny_params, write_params
from unreliable_server import Behaviour
from voxbench.corpora import sheets
from voxbench.corpora.sheets import Archive, Sheet
from voxbench.stages.download import DownloadOptions, download
from voxbench.stages.workspace import open_workspace

README = ("top/readme", b"the same in every archive")
BODIES = {
    "/a/train.tar.gz": zipped_tar(README, ("top/wav/1.wav", b"1" * 5000)),
    "/b/train.zip": zipped(README, ("top/wav/2.wav", b"2" * 5000)),
    "/dev.tar": tarred(README, ("top/wav/3.wav", b"3" * 5000)),
    "/list.txt": b"a list\n",
}
TREES = {
    "/a/train.tar.gz": {"readme": README[1], "wav/1.wav": b"1" * 5000},
    "/b/train.zip": {"readme": README[1], "wav/2.wav": b"2" * 5000},
    "/dev.tar": {"readme": README[1], "wav/3.wav": b"3" * 5000},
    "/list.txt": {"meta/list.txt": b"a list\n"},
}
WHOLE = {path: content for tree in TREES.values() for path, content in tree.items()}
PARTS = {"/a/train.tar.gz": "train", "/b/train.zip": "train", "/dev.tar": "dev", "/list.txt": "lists"}


def md5(content):
    return f"md5:{hashlib.md5(content).hexdigest()}"


def sha256(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def archive(address, path, **changes):
    """Return the sheet's line of what the server offers at `path`."""
    body = BODIES[path]
    where = {"folder": "meta"} if path.endswith(".txt") else {"strip": 1}
    checksum = md5(body) if path.endswith("gz") else sha256(body)
    return Archive(
        **{"part": PARTS[path], "url": address + path, "size_bytes": len(body), "checksum": checksum} | where | changes
    )


@dataclass
class Offer:
    """The server's files, the sheet that names them, and a project with one corpus `tiny` of that sheet's reader."""

    address: str
    files: dict[str, Behaviour]
    folder: object
    monkeypatch: object
    archives: list[Archive] = field(default_factory=list)

    def __post_init__(self):
        self.archives = self.archives or [archive(self.address, path) for path in BODIES]
        self.root = self.folder / "raw"
        self.state(self.archives)

    def state(self, archives, **changes):
        """Let the sheet of the reader `table` offer `archives`."""
        facts = {"title": "Tiny", "homepage": "https://example.org", "licence": "CC0 1.0", "tree": ("wav/NUMBER.wav",)}
        sheet = Sheet(**facts | {"part_of": lambda _: "train", "archives": tuple(archives)} | changes)
        self.monkeypatch.setitem(sheets._entries, "table", sheet)

    def change(self, path, **changes):
        """State something else of one archive."""
        self.archives = [
            archive(self.address, path, **changes) if each.url == self.address + path else each
            for each in self.archives
        ]
        self.state(self.archives)

    def download(self, *parts, name="tiny", root=None, **options):
        """Call the stage as the command line does."""
        workspace = open_workspace(write_params(self.folder, tiny_params()))
        download(workspace, name, parts, root, DownloadOptions(**{"yes": True} | options))

    def asked(self):
        """Return the paths that were asked for since the last call, each as often as it was."""
        found = [path for path, file in self.files.items() for _ in file.asked]
        for file in self.files.values():
            file.asked.clear()
        return found

    def tree(self):
        """Return all files below the root but those of `voxbench download`."""
        found = {path.relative_to(self.root).as_posix(): path for path in self.root.rglob("*") if path.is_file()}
        return {name: path.read_bytes() for name, path in found.items() if not name.startswith(".voxbench-")}
