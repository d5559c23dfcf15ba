"""Archives (tar, tar.gz, zip) that are unpacked whole or not at all, and never outside their folder."""

from __future__ import annotations

from voxbench.archives.unpacking import Unpacked, is_archive, unpack

__all__ = ["Unpacked", "is_archive", "unpack"]
