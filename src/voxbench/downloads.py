"""Downloads that survive a broken connection and are taken for what they are only after their hash was checked.

The body is written to `PATH.partial`, checked there, and renamed. A partial file is continued by an HTTP Range request
(RFC 9110, section 14), in the same call or in a later one, with a server that answers such requests; with another the
download starts again. The server's word for this version of the file lies in `PATH.validator` until then. Only http
and https are spoken, through the proxy that the environment names, and a redirection elsewhere is refused. The file's
name is the caller's, never the server's. Two processes must not fetch one path at the same time.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO, cast
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from voxbench import __version__
from voxbench.progress import Progress
from voxbench.schema import InputError

TIMEOUT_SECONDS = 60.0
ATTEMPTS = 5
# An attempt that brings so much is none: large files come over connections that break now and then.
PROGRESS_BYTES = 10**7
PAUSE_SECONDS = 1.0
BLOCK_BYTES = 2**18
SCHEMES = ("http", "https")
NAMES = {"md5": "MD5", "sha256": "SHA-256"}
# The server is busy or restarting: RFC 9110, sections 15.5.9 and 15.6, and RFC 6585, section 4.
PASSING_STATUS = (408, 429, 500, 502, 503, 504)


class _BrokenConnection(Exception):
    """What was received so far lies in the partial file; another attempt may bring the rest."""


class _NoConnection(_BrokenConnection):
    """The server did not answer at all."""


class _HttpRedirects(HTTPRedirectHandler):
    """Follow redirections to http and https alone; the standard library would follow one to ftp as well."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """Return the next request, or raise `HTTPError` for another scheme."""
        if urlsplit(newurl).scheme not in SCHEMES:
            raise HTTPError(req.full_url, code, f"{msg} - Redirection to url '{newurl}' is not allowed", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(url: str, path: Path, *, checksum: str | None, max_bytes: int) -> str:
    """Download `url` to `path` and return the SHA-256 of the file in 64 hex digits.

    `checksum` is `md5:` and 32 hex digits, or `sha256:` and the first 8 or more of 64; a `path` that has it already is
    left alone. With None nothing is known of the content: a partial file of an earlier call is continued only if the
    server says, by ETag or Last-Modified, that the file is still the same. A body of more than `max_bytes` is refused.
    A connection that breaks, stays silent for `TIMEOUT_SECONDS`, or meets a busy server is taken up again where it
    ended, with `ATTEMPTS` attempts (those that bring `PROGRESS_BYTES` are not counted) and pauses that double from
    `PAUSE_SECONDS`; no answer at the first attempt ends the call at once. Progress goes to standard error in MB where
    the server tells the length.

    Every failure is an `InputError`. After one, `path` is what it was before; the partial file stays where a later
    call can continue it, and is deleted where its content was refused.
    """
    _require_address(url)
    if checksum is not None and not re.fullmatch("md5:[0-9a-f]{32}|sha256:[0-9a-f]{8,64}", checksum):
        raise InputError(
            f"{url}: found the checksum {checksum!r}, expected md5: and 32 lower-case hex digits, "
            f"or sha256: and the first 8 to 64"
        )
    try:
        return _fetch(url, path, checksum, max_bytes)
    except OSError as error:
        raise InputError(
            f"{url}: found that {path} cannot be written ({error}), expected a folder with room for it; "
            f"make room there or change the folder's rights"
        ) from error


def _fetch(url: str, path: Path, checksum: str | None, max_bytes: int) -> str:
    if checksum is not None and path.is_file() and _fits(found := _hashes(path), checksum):
        return found["sha256"]
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    if checksum is None and not _known_version(partial):
        _discard(partial)
    resumed = partial.is_file()
    # A call that ended between the last byte and the renaming has nothing left to ask the server for.
    if not (resumed and checksum is not None and _fits(_hashes(partial), checksum)):
        _download(url, path, partial, max_bytes)
    found = _hashes(partial)
    if checksum is not None and not _fits(found, checksum):
        _discard(partial)
        kind, _, expected = checksum.partition(":")
        more = "..." if len(expected) < len(found[kind]) else ""
        cause = "it began with what an earlier call left, so the file may have changed since; " if resumed else ""
        raise InputError(
            f"{url}: found a file with {NAMES[kind]} {found[kind]}, expected {expected}{more}; "
            f"{cause}what was downloaded is deleted: try again, and if this repeats, use another source"
        )
    os.replace(partial, path)
    _discard(partial)
    return found["sha256"]


def _require_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in SCHEMES and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    if not sound or re.search(r"[\s\x00-\x1f\x7f]", url):
        raise InputError(f"found the address {url!r}, expected http://HOST/PATH or https://HOST/PATH")


def _hashes(path: Path) -> dict[str, str]:
    """Return the MD5 and the SHA-256 of a file, which is read once."""
    # MD5 finds damage, no forgery; that is what it is published for.
    totals = {"md5": hashlib.md5(usedforsecurity=False), "sha256": hashlib.sha256()}
    with path.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            for total in totals.values():
                total.update(block)
    return {kind: total.hexdigest() for kind, total in totals.items()}


def _fits(found: dict[str, str], checksum: str) -> bool:
    kind, _, digits = checksum.partition(":")
    return found[kind].startswith(digits)


def _download(url: str, path: Path, partial: Path, max_bytes: int) -> None:
    """Fill `partial` with the body of `url`, in as many attempts as are allowed."""
    attempt, most = 0, _size(partial)
    while True:
        attempt += 1
        try:
            with _open(url, partial) as response:
                _receive(url, response, partial, max_bytes)
            return
        except _BrokenConnection as error:
            if _size(partial) >= most + PROGRESS_BYTES:
                attempt, most = 1, _size(partial)
            elif attempt == ATTEMPTS or (attempt == 1 and isinstance(error, _NoConnection)):
                kept = f" ({_size(partial):,} bytes are kept and will be continued)" if partial.is_file() else ""
                raise InputError(
                    f"{url}: {error} at attempt {attempt} of {ATTEMPTS}, expected the whole file; "
                    f"check the network and run the command again{kept}, or put the file at {path} yourself"
                ) from error
        time.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _open(url: str, partial: Path) -> HTTPResponse:
    """Ask for what `partial` lacks; its validator makes a server that has another file by now send all of it."""
    request = Request(url, headers={"User-Agent": f"voxbench/{__version__}", "Accept-Encoding": "identity"})
    if received := _size(partial):
        request.add_header("Range", f"bytes={received}-")
        if word := _known_version(partial):
            request.add_header("If-Range", word)
    opener = OpenerDirector()
    for handler in (ProxyHandler, HTTPHandler, HTTPSHandler, _HttpRedirects, HTTPDefaultErrorHandler):
        opener.add_handler(handler())
    opener.add_handler(HTTPErrorProcessor())
    try:
        return cast(HTTPResponse, opener.open(request, timeout=TIMEOUT_SECONDS))
    except HTTPError as error:
        with error:
            status = f"found HTTP status {error.code} ({error.msg})"
            if error.code == 416 and request.has_header("Range"):
                # The partial file is as long as the whole one and its hash differs, so it is none of its parts.
                _discard(partial)
                raise _BrokenConnection(status) from error
            if error.code in PASSING_STATUS:
                raise _BrokenConnection(status) from error
            raise InputError(f"{url}: {status}, expected 200 (OK); check the address") from error
    except (OSError, HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise _NoConnection(f"found no connection ({reason})") from error


def _receive(url: str, response: HTTPResponse, partial: Path, max_bytes: int) -> None:
    """Append the body to `partial`, or write it anew where the server sends all of it."""
    received = _offset(response, partial)
    if not received:
        partial.with_suffix(".validator").unlink(missing_ok=True)
    total = None if response.length is None else received + response.length
    if total is None or total <= max_bytes:
        with partial.open("ab" if received else "wb") as stream:
            if not received:
                partial.with_suffix(".validator").write_text(_version(response), encoding="ascii")
            for block in _reported(_blocks(response, max_bytes - received), partial.stem, received, total):
                stream.write(block)
                received += len(block)
    if max(received, total or 0) > max_bytes:
        _discard(partial)
        size = f"{total:,}" if total is not None else f"more than {max_bytes:,}"
        raise InputError(f"{url}: found {size} bytes, expected at most {max_bytes:,}; check the address")
    if total is not None and received < total:
        raise _BrokenConnection(f"found {received:,} bytes of {total:,}")


def _offset(response: HTTPResponse, partial: Path) -> int:
    """Return at which byte of the file the body begins: 0, or where `partial` ends."""
    if response.status != 206:
        return 0
    span = response.headers.get("Content-Range", "")
    begin = re.match(r"bytes (\d+)-", span)
    size = _size(partial)
    # Servers are about that know Range and not If-Range.
    changed = _known_version(partial) and _version(response) not in ("", _known_version(partial))
    if begin is None or int(begin[1]) != size or changed:
        _discard(partial)
        raise _BrokenConnection(f"found the range {span!r}, expected one of the same file from byte {size}")
    return size


def _discard(partial: Path) -> None:
    partial.unlink(missing_ok=True)
    partial.with_suffix(".validator").unlink(missing_ok=True)


def _version(response: HTTPResponse) -> str:
    """Return what a server calls this version of the file: its strong ETag or its time, empty where it has neither."""
    tag = response.headers.get("ETag", "")
    word = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")
    return word if re.fullmatch("[ -~]{1,200}", word) else ""


def _known_version(partial: Path) -> str:
    """Return the version of which `partial` is the beginning, empty where the server named none."""
    validator = partial.with_suffix(".validator")
    return validator.read_text(encoding="latin-1") if validator.is_file() else ""


def _reported(blocks: Iterator[bytes], name: str, received: int, total: int | None) -> Iterator[bytes]:
    """Yield `blocks`; where the length of the whole is known, report about every twentieth part, 10 MB at least."""
    if total is None:
        yield from blocks
        return
    with Progress(f"download {name}", round(total / 1e6)) as progress:
        for block in blocks:
            received += len(block)
            steps = round(received / 1e6) - progress.done
            if steps >= max(10, progress.total // 20) or (steps and received == total):
                progress.advance("MB", steps)
            yield block


def _blocks(response: HTTPResponse, most: int) -> Iterator[bytes]:
    """Yield the body until it ends, or until more than `most` bytes of it have come."""
    while most >= 0:
        try:
            block = response.read(BLOCK_BYTES)
        except (OSError, HTTPException) as error:
            raise _BrokenConnection(f"found a broken connection ({error!r})") from error
        if not block:
            return
        most -= len(block)
        yield block
