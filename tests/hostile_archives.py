"""Archives as nobody should send them, built byte by byte where the standard library is too honest."""

import gzip
import io
import stat
import struct
import tarfile
import warnings
import zipfile

ENTRY = b"PK\x01\x02"


def tarred(*members, end=b"\0" * 1024):
    """Return a tar of members, each a name and a content, or a `TarInfo` and one; `end` is what follows them."""
    parts = []
    for member, content in members:
        info = member if isinstance(member, tarfile.TarInfo) else header(member, size=len(content))
        parts += [info.tobuf(tarfile.PAX_FORMAT), content, bytes(-len(content) % 512)]
    return b"".join(parts) + end


def header(name, **attributes):
    """Return the header of a tar member with the attributes of a `TarInfo`."""
    info = tarfile.TarInfo(name)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


def symlink(name, target):
    return header(name, type=tarfile.SYMTYPE, linkname=target), b""


def hard_link(name, target):
    return header(name, type=tarfile.LNKTYPE, linkname=target), b""


def raw_header(name, kind, size):
    """Return the 512 bytes of a tar header whose size may be less than nothing."""
    block = bytearray(tarfile.TarInfo(name).tobuf(tarfile.USTAR_FORMAT))
    block[156:157] = kind
    block[124:136] = b"\xff" + (256**11 + size).to_bytes(11, "big") if size < 0 else b"%011o\0" % size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def zipped(*members, method=zipfile.ZIP_DEFLATED):
    """Return a zip of members, each a name, a content, and the Unix mode if it has one."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, content, *mode in members:
            info = zipfile.ZipInfo("x")
            info.filename, info.compress_type = name, method
            info.external_attr = (mode[0] if mode else stat.S_IFREG | 0o644) << 16
            archive.writestr(info, content)
    return stream.getvalue()


def patched(content, offset, layout, value):
    """Return a zip with a field of its last directory entry replaced."""
    content = bytearray(content)
    struct.pack_into(layout, content, content.rindex(ENTRY) + offset, value)
    return bytes(content)


def with_flag(content, flag):
    return patched(content, 8, "<H", flag)


def with_size(content, size):
    return patched(content, 24, "<I", size)


def with_method(content, method):
    return patched(content, 10, "<H", method)


def zipped_tar(*members, **settings):
    return gzip.compress(tarred(*members, **settings), 1, mtime=0)
