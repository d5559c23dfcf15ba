"""What an archive holds, one member after another, as `tarfile` and `zipfile` read it; nothing is written here.

`tarfile` takes a damaged header for the end of the archive, reads long names and extended headers whole, whatever
length they state, and keeps a list of all members: the end mark is checked here, headers are bounded, and the list
is thrown away.
"""

from __future__ import annotations

import gzip
import posixpath
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

ENDINGS = (".tar", ".tar.gz", ".tgz", ".zip")
FILE, FOLDER, LINK = "a file", "a folder", "a link"
BLOCK_BYTES = 2**18
# Of one tar member, all its headers together. The regular expressions that `tarfile` parses extended headers with
# take quadratic time, so the bound is not far above what names and times need.
HEADER_BYTES = 2**14
LINK_BYTES = 1024
# Systems whose zip entries hold Unix modes: Unix and Darwin (APPNOTE.TXT, section 4.4.2).
UNIX = (3, 19)
# Bits 0, 6 and 13: encryption, strong encryption, an encrypted directory (APPNOTE.TXT, section 4.4.4).
ENCRYPTED = 0x2041
DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    struct.error,
    EOFError,
    LookupError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    ValueError,
)
"""What a damaged archive makes the standard library raise."""


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of an archive, as it describes itself.

    `kind` is `FILE`, `FOLDER`, `LINK`, or words for what else it is. `target` is the name in the archive to which a
    link leads. `blocks` gives the content, once, while the member is the latest. `read_bytes` tells how many bytes of
    the archive lie behind.
    """

    name: str
    kind: str
    size_bytes: int
    target: str
    blocks: Iterable[bytes]
    read_bytes: int


def members(archive: Path, stack: ExitStack) -> Iterator[Member]:
    """Yield the members of `archive`, which stays open as long as `stack`; damage raises one of `DAMAGE`."""
    raw = stack.enter_context(archive.open("rb"))
    name = archive.name.lower()
    if name.endswith(".zip"):
        return _zip_members(stack.enter_context(zipfile.ZipFile(raw)))
    if name.endswith(".tar"):
        return _tar_members(raw, raw)
    return _tar_members(cast(IO[bytes], stack.enter_context(gzip.GzipFile(fileobj=raw))), raw)


class _Headers:
    """What `tarfile` sees of a stream: at most `HEADER_BYTES` for each member, and its end only once."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.tell, self.seek, self._stream = stream.tell, stream.seek, stream
        self.left = HEADER_BYTES
        self.last = bytes(1)

    def read(self, count: int) -> bytes:
        """Read `count` bytes; a hostile header asks for gigabytes, for less than nothing, or beyond the end."""
        self.left -= count
        if count < 0 or self.left < 0 or not self.last:
            raise EOFError(f"its headers have no end or more than {HEADER_BYTES:,} bytes")
        self.last = self._stream.read(count)
        return self.last


def _tar_members(stream: IO[bytes], raw: IO[bytes]) -> Iterator[Member]:
    headers = _Headers(stream)
    with tarfile.TarFile(fileobj=cast(IO[bytes], headers), encoding="utf-8") as tar:
        while (info := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # the type stubs do not name it
            headers.left = HEADER_BYTES
            target = info.linkname if info.islnk() else _beside(info.name, info.linkname)
            blocks = _span(stream, info.offset_data, info.size)
            yield Member(info.name, _tar_kind(info), info.size, target, blocks, raw.tell())
    if len(headers.last) < tarfile.BLOCKSIZE or any(headers.last):
        raise EOFError("no end mark follows")
    while rest := stream.read(BLOCK_BYTES):
        if rest.strip(b"\0"):
            raise EOFError("data follows the end mark")


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.isdir():
        return FOLDER
    if info.issym() or info.islnk():
        return LINK
    return FILE if info.isreg() and not info.issparse() else "a device, a pipe or a file with holes"


def _beside(name: str, target: str) -> str:
    """Return the name in the archive to which a symbolic link leads; a `..` that leads out of it is left."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), target))


def _span(stream: IO[bytes], begin: int, size: int) -> Iterator[bytes]:
    stream.seek(begin)
    while size > 0 and (block := stream.read(min(size, BLOCK_BYTES))):
        size -= len(block)
        yield block


def _zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
    read_bytes = 0
    for info in archive.infolist():
        # `filename` ends at the first NUL and has slashes where the archive has another system's separators.
        name, kind, target = info.orig_filename, _zip_kind(info), ""
        if kind == LINK:
            with archive.open(info) as stream:
                target = _beside(name, stream.read(LINK_BYTES).decode())
        yield Member(name, kind, info.file_size, target, _content(archive, info), read_bytes)
        read_bytes += info.compress_size


def _zip_kind(info: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(info.external_attr >> 16) if info.create_system in UNIX else 0
    if info.flag_bits & ENCRYPTED:
        return "encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"compressed by method {info.compress_type}, which is not read"
    if info.is_dir():
        return FOLDER if kind in (0, stat.S_IFDIR) and not info.file_size else "a folder with content"
    return {0: FILE, stat.S_IFREG: FILE, stat.S_IFLNK: LINK}.get(kind, "a device, a pipe or a socket")


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    with archive.open(info) as stream:
        while block := stream.read(BLOCK_BYTES):
            yield block
