"""How a download of known or unknown content is taken up again by a later call, and for how long one call tries."""

import hashlib

import pytest

from downloads.content import BODY, HASH, LIMIT
from voxbench import downloads
from voxbench.downloads import ATTEMPTS, fetch
from voxbench.schema import InputError

TIME = "Wed, 21 Oct 2015 07:28:00 GMT"


def break_off(url, path, do, checksum=None):
    do.cut_after = [100] * ATTEMPTS
    with pytest.raises(InputError, match="500 bytes are kept"):
        fetch(url, path, checksum=checksum, max_bytes=LIMIT)
    del do.asked[:], do.wanted[:]


@pytest.mark.parametrize(
    ("etag", "modified", "word"), [('"a"', TIME, '"a"'), (None, TIME, TIME), ('W/"a"', TIME, TIME)]
)
def test_an_unknown_content_that_the_server_calls_the_same_is_continued(url, path, do, etag, modified, word):
    do.etag, do.modified = etag, modified
    break_off(url, path, do)
    assert fetch(url, path, checksum=None, max_bytes=LIMIT) == HASH
    assert (do.asked, do.wanted) == (["bytes=500-"], [word])
    assert [each.name for each in path.parent.iterdir()] == ["file.bin"]


@pytest.mark.parametrize("etag", [None, 'W/"a"', "a\tb", "x" * 201])
def test_an_unknown_content_without_a_word_to_compare_is_fetched_anew(url, path, do, etag):
    do.etag = etag
    break_off(url, path, do)
    assert fetch(url, path, checksum=None, max_bytes=LIMIT) == HASH
    assert do.asked == [None]


def test_an_unknown_content_that_changed_meanwhile_is_fetched_anew(url, path, do):
    do.etag = '"old"'
    break_off(url, path, do)
    do.etag, do.body = '"new"', b"another" * 1000
    fetch(url, path, checksum=None, max_bytes=LIMIT)
    assert do.asked == ["bytes=500-"]
    assert path.read_bytes() == b"another" * 1000


def test_a_changed_file_is_seen_though_the_server_ignores_the_condition(url, path, do):
    do.etag, do.conditional = '"old"', False
    break_off(url, path, do)
    do.etag, do.body = '"new"', b"another" * 1000
    fetch(url, path, checksum=None, max_bytes=LIMIT)
    assert do.asked == ["bytes=500-", None]
    assert path.read_bytes() == b"another" * 1000


def test_the_word_of_a_refused_file_is_forgotten(url, path, do):
    do.etag = '"a"'
    break_off(url, path, do)
    with pytest.raises(InputError, match="expected at most 600"):
        fetch(url, path, checksum=None, max_bytes=600)
    assert not list(path.parent.iterdir())


def test_attempts_that_bring_much_are_not_counted(url, path, do, monkeypatch):
    monkeypatch.setattr(downloads, "PROGRESS_BYTES", 50_000)
    do.cut_after = [50_000] * 15
    fetch(url, path, checksum=f"sha256:{HASH}", max_bytes=LIMIT)
    assert len(do.asked) == 16
    assert path.read_bytes() == BODY


def test_a_server_that_begins_anew_each_time_is_given_up(url, path, do, monkeypatch):
    monkeypatch.setattr(downloads, "PROGRESS_BYTES", 50_000)
    do.ranges, do.cut_after = False, [60_000] * 99
    with pytest.raises(InputError, match=f"found 60,000 bytes of .* at attempt {ATTEMPTS} of {ATTEMPTS}"):
        fetch(url, path, checksum=f"sha256:{HASH}", max_bytes=LIMIT)
    assert len(do.asked) == ATTEMPTS


def test_an_md5_is_compared_and_the_sha256_returned(url, path):
    md5 = hashlib.md5(BODY).hexdigest()
    with pytest.raises(InputError, match=f"found a file with MD5 {md5}, expected {'0' * 32}; what"):
        fetch(url, path, checksum="md5:" + "0" * 32, max_bytes=LIMIT)
    assert fetch(url, path, checksum=f"md5:{md5}", max_bytes=LIMIT) == HASH
