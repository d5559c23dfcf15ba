"""Downloads from a server that can be made to fail in every way that servers do."""

import hashlib
import io
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from downloads.content import BODY, HASH, LIMIT
from voxbench import downloads
from voxbench.downloads import ATTEMPTS, fetch
from voxbench.schema import InputError

SHA256 = f"sha256:{HASH}"
MD5 = f"md5:{hashlib.md5(BODY).hexdigest()}"


def partial(path):
    return path.with_name("file.bin.partial")


def leave_partial(path, content):
    path.parent.mkdir()
    partial(path).write_bytes(content)


@pytest.mark.parametrize("expected", [SHA256, f"sha256:{HASH[:8]}", MD5, None])
@pytest.mark.parametrize("lengths", [True, False])
def test_the_file_arrives_whole_and_its_hash_is_returned(url, path, do, expected, lengths):
    do.lengths = lengths
    assert fetch(url, path, checksum=expected, max_bytes=len(BODY)) == HASH
    assert path.read_bytes() == BODY
    assert [each.name for each in path.parent.iterdir()] == ["file.bin"]


def test_a_file_with_the_right_hash_is_not_fetched_again(url, path, do):
    fetch(url, path, checksum=SHA256, max_bytes=LIMIT)
    fetch(url, path, checksum=f"sha256:{HASH[:10]}", max_bytes=LIMIT)
    assert len(do.asked) == 1
    path.write_bytes(b"something else")
    fetch(url, path, checksum=f"sha256:{HASH[:10]}", max_bytes=LIMIT)
    assert path.read_bytes() == BODY


def test_a_connection_that_breaks_is_taken_up_where_it_ended(url, path, do):
    do.cut_after = [1000, 0, 300_000]
    fetch(url, path, checksum=SHA256, max_bytes=LIMIT)
    assert do.asked == [None, "bytes=1000-", "bytes=1000-", "bytes=301000-"]
    assert path.read_bytes() == BODY


def test_a_later_call_continues_what_an_earlier_one_left(url, path, do):
    do.cut_after = [100] * ATTEMPTS
    with pytest.raises(InputError, match=rf"found 500 bytes of .*at attempt {ATTEMPTS} of {ATTEMPTS}.*500 bytes are"):
        fetch(url, path, checksum=SHA256, max_bytes=LIMIT)
    assert len(do.asked) == ATTEMPTS
    assert partial(path).read_bytes() == BODY[:500]
    assert not path.exists()
    fetch(url, path, checksum=SHA256, max_bytes=LIMIT)
    assert do.asked[ATTEMPTS:] == ["bytes=500-"]
    assert path.read_bytes() == BODY


def test_a_server_without_ranges_sends_all_of_it_again(url, path, do):
    do.ranges, do.cut_after = False, [1000]
    fetch(url, path, checksum=SHA256, max_bytes=LIMIT)
    assert do.asked == [None, "bytes=1000-"]
    assert path.read_bytes() == BODY


def test_a_file_that_changes_between_attempts_is_fetched_anew(url, path, do):
    do.etag, do.cut_after, do.next_version = '"old"', [1000], ('"new"', b"another" * 1000)
    fetch(url, path, checksum=None, max_bytes=LIMIT)
    assert do.asked == [None, "bytes=1000-"]
    assert path.read_bytes() == b"another" * 1000


def test_a_partial_file_of_another_content_is_found_out_and_deleted(url, path, do):
    leave_partial(path, b"x" * 1000)
    with pytest.raises(InputError, match=f"expected {HASH}; it began with what an earlier call left"):
        fetch(url, path, checksum=SHA256, max_bytes=LIMIT)
    assert not list(path.parent.iterdir())
    fetch(url, path, checksum=SHA256, max_bytes=LIMIT)


@pytest.mark.parametrize("extra", [b"", b"too long"])
def test_a_partial_file_as_long_as_the_whole_needs_no_body_or_all_of_it(url, path, do, extra):
    leave_partial(path, BODY + extra)
    fetch(url, path, checksum=SHA256, max_bytes=LIMIT)
    assert do.asked == ([f"bytes={len(BODY + extra)}-", None] if extra else [])
    assert path.read_bytes() == BODY


def test_an_unknown_content_is_never_continued_from_an_earlier_call(url, path, do):
    leave_partial(path, b"x" * 1000)
    assert fetch(url, path, checksum=None, max_bytes=LIMIT) == HASH
    assert do.asked == [None]


def test_a_range_that_was_not_asked_for_is_thrown_away(url, path, do):
    do.shift, do.cut_after = 5, [1000]
    fetch(url, path, checksum=SHA256, max_bytes=LIMIT)
    assert do.asked == [None, "bytes=1000-", None]
    assert path.read_bytes() == BODY


def test_a_wrong_hash_is_refused_and_the_old_file_stays(url, path):
    path.parent.mkdir()
    path.write_bytes(b"old")
    with pytest.raises(InputError, match=rf"{url}: found a file with SHA-256 {HASH}, expected 01234567\.\.\.; what"):
        fetch(url, path, checksum="sha256:01234567", max_bytes=LIMIT)
    assert path.read_bytes() == b"old"
    assert not partial(path).exists()


@pytest.mark.parametrize("lengths", [True, False])
def test_a_file_that_is_too_large_is_refused(url, path, do, lengths):
    do.lengths = lengths
    found = f"{len(BODY):,}" if lengths else "more than 1,000"
    with pytest.raises(InputError, match=f"{url}: found {found} bytes, expected at most 1,000"):
        fetch(url, path, checksum=SHA256, max_bytes=1000)
    assert not list(path.parent.iterdir())
    assert len(do.asked) == 1


def test_a_body_without_end_is_left_at_the_limit():
    blocks = downloads._blocks(io.BytesIO(bytes(10**7)), most=1000)
    assert sum(map(len, blocks)) == downloads.BLOCK_BYTES


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/file"])
def test_a_redirection_away_from_http_is_refused(url, path, do, target):
    do.redirect = target
    with pytest.raises(InputError, match=f"{url}: .*{target}' is not allowed"):
        fetch(url, path, checksum=None, max_bytes=LIMIT)
    assert len(do.asked) == 1


def test_a_redirection_is_followed_and_keeps_the_range(url, path, do):
    do.redirect, do.cut_after = "/elsewhere", [1000]
    fetch(url, path, checksum=SHA256, max_bytes=LIMIT)
    assert do.asked == [None, None, "bytes=1000-", "bytes=1000-"]


def test_a_missing_file_is_refused_at_once(url, path, do):
    do.statuses = [404]
    with pytest.raises(InputError, match=rf"{url}: found HTTP status 404 \(Not Found\), expected 200"):
        fetch(url, path, checksum=SHA256, max_bytes=LIMIT)
    assert len(do.asked) == 1


def test_a_busy_server_is_asked_again(url, path, do):
    do.statuses = [503, 429]
    fetch(url, path, checksum=SHA256, max_bytes=LIMIT)
    assert len(do.asked) == 3


def test_a_server_that_stays_busy_is_given_up(url, path, do):
    do.statuses = [503] * 99
    with pytest.raises(InputError, match=rf"{url}: found HTTP status 503 .* at attempt {ATTEMPTS} of {ATTEMPTS}"):
        fetch(url, path, checksum=SHA256, max_bytes=LIMIT)
    assert len(do.asked) == ATTEMPTS


def test_no_connection_is_said_at_once_and_names_the_other_way(path):
    closed = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    closed.server_close()
    unreachable = f"http://127.0.0.1:{closed.server_port}/file"
    with pytest.raises(
        InputError, match=rf"{unreachable}: found no connection \(.*refused.*attempt 1 .*file at {path}"
    ):
        fetch(unreachable, path, checksum=SHA256, max_bytes=LIMIT)


def test_a_silent_server_is_not_waited_for(monkeypatch, path):
    monkeypatch.setattr(downloads, "TIMEOUT_SECONDS", 0.1)
    mute = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    try:
        with pytest.raises(InputError, match=r"found no connection \(.*timed out"):
            fetch(f"http://127.0.0.1:{mute.server_port}/file", path, checksum=SHA256, max_bytes=LIMIT)
    finally:
        mute.server_close()


@pytest.mark.parametrize(
    "address", ["file:///etc/hostname", "ftp://host/file", "host/file", "http://", "http://host:port/", "http://h/a b"]
)
def test_other_addresses_are_refused(address, path):
    with pytest.raises(InputError, match="expected http://HOST/PATH or https://HOST/PATH"):
        fetch(address, path, checksum=None, max_bytes=LIMIT)


@pytest.mark.parametrize(
    "wrong", ["", HASH, *(f"sha256:{each}" for each in ("0123456", "ABCDEF01", "x" * 64, "0" * 65)), MD5[:-1]]
)
def test_a_hash_that_is_none_is_refused(url, path, wrong):
    with pytest.raises(InputError, match="expected md5: and 32 lower-case hex digits, or sha256: and the first 8"):
        fetch(url, path, checksum=wrong, max_bytes=LIMIT)


def test_a_place_that_cannot_be_written_is_named(url, tmp_path):
    (tmp_path / "folder").write_text("a file where the folder should be", encoding="utf-8")
    path = tmp_path / "folder" / "file.bin"
    with pytest.raises(InputError, match=f"{url}: found that {path} cannot be written"):
        fetch(url, path, checksum=SHA256, max_bytes=LIMIT)


def test_progress_reaches_the_whole_in_megabytes(url, path, do, capsys):
    do.body = bytes(23_400_000)
    fetch(url, path, checksum=None, max_bytes=10**8)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" [")[0] for line in lines] == [f"download file.bin {mb}/23" for mb in (10, 20, 23)]
