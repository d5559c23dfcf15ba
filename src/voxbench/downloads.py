"""Downloads that survive a broken connection and are taken for what they are only after their hash was checked.

The body is written to `PATH.partial`, checked there, and renamed. A partial file is continued by an HTTP Range request
(RFC 9110, section 14), in the same call or in a later one, with a server that answers such requests; with another the
download starts again. Only http and https are spoken, through the proxy that the environment names, and a redirection
elsewhere is refused. Two processes must not fetch one path at the same time.
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
PAUSE_SECONDS = 1.0
BLOCK_BYTES = 2**18
SCHEMES = ("http", "https")
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


def fetch(url: str, path: Path, *, sha256: str | None, max_bytes: int) -> str:
    """Download `url` to `path` and return the SHA-256 of the file in 64 hex digits.

    `sha256` is the expected hash or its first 8 digits or more; a `path` that has it already is left alone. With None
    nothing is known of the content, so a partial file of an earlier call is not continued. A body of more than
    `max_bytes` is refused. A connection that breaks, stays silent for `TIMEOUT_SECONDS`, or meets a busy server is
    taken up again where it ended, with `ATTEMPTS` attempts in all and pauses that double from `PAUSE_SECONDS`; no
    answer at the first attempt ends the call at once. Progress goes to standard error in MB where the server tells
    the length.

    Every failure is an `InputError`. After one, `path` is what it was before; the partial file stays where a later
    call can continue it, and is deleted where its content was refused.
    """
    _require_address(url)
    if sha256 is not None and not re.fullmatch("[0-9a-f]{8,64}", sha256):
        raise InputError(f"{url}: found the SHA-256 {sha256!r}, expected its first 8 to 64 lower-case hex digits")
    try:
        return _fetch(url, path, sha256, max_bytes)
    except OSError as error:
        raise InputError(
            f"{url}: found that {path} cannot be written ({error}), expected a folder with room for it; "
            f"make room there or change the folder's rights"
        ) from error


def _fetch(url: str, path: Path, sha256: str | None, max_bytes: int) -> str:
    if sha256 is not None and path.is_file() and (found := _hash(path)).startswith(sha256):
        return found
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    if sha256 is None:
        partial.unlink(missing_ok=True)
    resumed = partial.is_file()
    # A call that ended between the last byte and the renaming has nothing left to ask the server for.
    if not (sha256 is not None and resumed and _hash(partial).startswith(sha256)):
        _download(url, path, partial, max_bytes)
    found = _hash(partial)
    if sha256 is not None and not found.startswith(sha256):
        partial.unlink()
        cause = "it began with what an earlier call left, so the file may have changed since; " if resumed else ""
        raise InputError(
            f"{url}: found a file with SHA-256 {found}, expected {sha256}{'...' if len(sha256) < 64 else ''}; "
            f"{cause}what was downloaded is deleted: try again, and if this repeats, use another source"
        )
    os.replace(partial, path)
    return found


def _require_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in SCHEMES and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    if not sound or re.search(r"[\s\x00-\x1f\x7f]", url):
        raise InputError(f"found the address {url!r}, expected http://HOST/PATH or https://HOST/PATH")


def _hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _download(url: str, path: Path, partial: Path, max_bytes: int) -> None:
    """Fill `partial` with the body of `url`, in as many attempts as are allowed."""
    validator = None
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with _open(url, partial, validator) as response:
                validator = response.headers.get("ETag") or response.headers.get("Last-Modified")
                _receive(url, response, partial, max_bytes)
            return
        except _BrokenConnection as error:
            if attempt == ATTEMPTS or (attempt == 1 and isinstance(error, _NoConnection)):
                kept = f"{partial.stat().st_size:,} bytes are kept and will be continued" if partial.is_file() else ""
                raise InputError(
                    f"{url}: {error} at attempt {attempt} of {ATTEMPTS}, expected the whole file; "
                    f"check the network and run the command again{f' ({kept})' if kept else ''}, "
                    f"or put the file at {path} yourself"
                ) from error
        time.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))


def _open(url: str, partial: Path, validator: str | None) -> HTTPResponse:
    """Ask for what `partial` lacks; `validator` makes a server that has another file by now send all of it."""
    request = Request(url, headers={"User-Agent": f"voxbench/{__version__}", "Accept-Encoding": "identity"})
    if partial.is_file() and (received := partial.stat().st_size):
        request.add_header("Range", f"bytes={received}-")
        if validator:
            request.add_header("If-Range", validator)
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
                partial.unlink()
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
    total = None if response.length is None else received + response.length
    if total is None or total <= max_bytes:
        with partial.open("ab" if received else "wb") as stream:
            for block in _reported(_blocks(response, max_bytes - received), partial.stem, received, total):
                stream.write(block)
                received += len(block)
    if max(received, total or 0) > max_bytes:
        partial.unlink(missing_ok=True)
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
    size = partial.stat().st_size if partial.is_file() else 0
    if begin is None or int(begin[1]) != size:
        partial.unlink(missing_ok=True)
        raise _BrokenConnection(f"found the range {span!r}, expected one from byte {size}")
    return size


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
