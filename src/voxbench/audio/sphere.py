"""NIST SPHERE headers, asked for what they promise.

Source: the SPHERE package of NIST, file `doc/sphere.txt`: eight bytes `NIST_1A` and newline, eight with the
size of the header, then lines `name -type value` up to `end_head`, then the samples and nothing else. Files
compressed with shorten (`sample_coding -s26 pcm,embedded-shorten-v2.00`) have to be expanded first.
"""

from __future__ import annotations

import re

from voxbench.audio.promise import Promise, cut, unreadable

CODINGS = (b"pcm", b"ulaw", b"mu-law", b"alaw")


def sphere_promise(data: bytes) -> Promise:
    """Return the frames, rate and channels that a SPHERE file promises.

    Raises AudioError: truncated for fewer bytes than the sample count asks for, unreadable for more, and for
    a header without its numbers.
    """
    size = re.fullmatch(rb"\s*(\d+)\s*", data[8:16])
    if size is None:
        raise unreadable(f"the header gives its size as {data[8:16]!r}")
    header_bytes = int(size[1])
    header = data[:header_bytes].partition(b"\nend_head")[0]
    coding = re.search(rb"^sample_coding -s\d+ (.*)$", header, re.MULTILINE)
    if coding and coding[1].strip() not in CODINGS:
        raise unreadable(f"sample_coding {coding[1][:40]!r}; expected one of {', '.join(map(repr, CODINGS))}")
    count, rate_hz = _number(header, b"sample_count"), _number(header, b"sample_rate")
    channels, sample_bytes = _number(header, b"channel_count", 1), _number(header, b"sample_n_bytes", 1)
    expected, available = count * channels * sample_bytes, len(data) - header_bytes
    if available < expected:
        raise cut(max(available, 0), expected, "the header")
    if available > expected:
        raise unreadable(f"the header promises {expected} bytes of samples but {available} follow")
    return Promise(count, rate_hz, channels)


def _number(header: bytes, name: bytes, absent: int | None = None) -> int:
    """Return the integer of a header line; raise where two lines disagree, or where there is none.

    libsndfile writes some numbers with the type of a text (`-s1 1`).
    """
    found = set(re.findall(rb"^" + name + rb" -[is]\d* (\d{1,18})\s*$", header, re.MULTILINE))
    if not found and absent is not None and name not in header:
        return absent
    if len(found) != 1:
        raise unreadable(f"the header has {len(found)} values of {name.decode()}; expected 1")
    return int(found.pop())
