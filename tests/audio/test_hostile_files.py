"""What is named like a recording and is none: pipes, devices, links, holes, and names of any bytes."""

import io
import os
import socket
import subprocess
import sys
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from audio.encoded_files import WAVE, encode, fault
from voxbench.audio import AudioError, decode_audio, load_audio, read_bytes
from voxbench.audio.reading import MOST_BYTES

WAV = encode("WAV", "PCM_16")
HOURS_SECONDS, RATE_HZ = 3 * 3600, 8_000
MIB = 1 << 20


def replace_os(monkeypatch, **functions) -> None:
    """Give the reader, and nobody else, other functions of the operating system."""
    monkeypatch.setattr("voxbench.audio.reading.os", SimpleNamespace(**(vars(os) | functions)))


def refusal(path) -> str:
    with pytest.raises(AudioError) as caught:
        load_audio(path)
    assert caught.value.reason == "unreadable"
    caught.value.detail.encode()
    assert caught.value.detail.isprintable()
    return caught.value.detail


def test_a_pipe_is_refused_and_nobody_waits(tmp_path):
    path = tmp_path / "x.wav"
    os.mkfifo(path)
    code = f"from voxbench.audio import load_audio; load_audio({str(path)!r})"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert "unreadable: x.wav: not a regular file" in ended.stderr
    (tmp_path / "link.wav").symlink_to(path)
    assert refusal(tmp_path / "link.wav") == "link.wav: not a regular file"


def test_a_name_that_becomes_a_pipe_is_refused(tmp_path, monkeypatch):
    """The second look, at what was opened, must not wait either."""
    (tmp_path / "a.wav").write_bytes(WAV)
    os.mkfifo(tmp_path / "x.wav")
    regular = os.stat(tmp_path / "a.wav")
    replace_os(monkeypatch, stat=lambda path: regular)
    assert refusal(tmp_path / "x.wav") == "x.wav: not a regular file"


def test_folders_devices_and_sockets_are_refused(tmp_path, monkeypatch):
    assert refusal(tmp_path) == f"{tmp_path.name}: not a regular file"
    for device in ("/dev/zero", "/dev/null", "/dev/tty"):
        if Path(device).exists():
            assert refusal(device).endswith(": not a regular file")
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("x.wav")
        assert refusal(tmp_path / "x.wav") == "x.wav: not a regular file"


def test_links(tmp_path):
    (tmp_path / "a.wav").write_bytes(WAV)
    (tmp_path / "good.wav").symlink_to("a.wav")
    assert load_audio(tmp_path / "good.wav")[0].size == WAVE.size
    (tmp_path / "dangling.wav").symlink_to("absent.wav")
    assert refusal(tmp_path / "dangling.wav") == "dangling.wav: No such file or directory"
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    assert refusal(tmp_path / "loop.wav").startswith("loop.wav: Too many levels of symbolic links")
    assert refusal(tmp_path / "a.wav" / "b.wav") == "b.wav: Not a directory"
    assert refusal(tmp_path / ("n" * 300 + ".wav")).endswith("File name too long")
    assert refusal(f"{tmp_path}/a\0.wav") == r"'a\x00.wav': a zero byte in its name"


def test_permission(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(WAV)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("the superuser may read everything")
    assert refusal(path) == "a.wav: Permission denied"


def test_an_error_while_reading(tmp_path, monkeypatch):
    def broken(*_):
        raise OSError(5, "Input/output error")

    (tmp_path / "a.wav").write_bytes(WAV)
    replace_os(monkeypatch, fstat=broken)
    assert refusal(tmp_path / "a.wav") == "a.wav: Input/output error"


def test_a_file_that_grows_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.wav"
    path.write_bytes(WAV)
    facts = os.stat(path)
    path.write_bytes(WAV + WAV)
    replace_os(monkeypatch, fstat=lambda _: facts)
    assert refusal(path) == f"a.wav: it grew beyond its {len(WAV)} bytes while it was read"


def test_reading_reserves_no_more_than_the_file(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(WAV)
    tracemalloc.start()
    load_audio(path)
    with path.open("rb") as file:
        decode_audio(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * MIB


def test_a_file_of_holes_is_refused_by_its_size(tmp_path):
    path = tmp_path / "holes.wav"
    with path.open("wb") as file:
        file.write(WAV)
        try:
            file.truncate(50 << 30)
        except OSError:
            pytest.skip("the file system makes no holes")
    tracemalloc.start()
    assert refusal(path) == f"holes.wav: {50 << 30} bytes; at most {MOST_BYTES} are read"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MIB


def test_the_limit_holds_for_every_source(tmp_path, monkeypatch):
    monkeypatch.setattr("voxbench.audio.reading.MOST_BYTES", len(WAV))
    path = tmp_path / "a.wav"
    path.write_bytes(WAV)
    assert load_audio(path)[0].size == decode_audio(io.BytesIO(WAV))[0].size == WAVE.size
    longer = WAV + bytes(1)
    path.write_bytes(longer)
    assert refusal(path).startswith(f"a.wav: {len(longer)} bytes")
    for source in (longer, io.BytesIO(longer)):
        with pytest.raises(AudioError, match="unreadable: more than the"):
            decode_audio(source)


NAMES = ["ü 名.wav", "two words.wav", "new\nline.wav", "tab\t.wav", "'\".wav", ";rm -rf.wav", "-rf.wav", "$(x)`x`.wav"]


@pytest.mark.parametrize("name", [*map(os.fsencode, NAMES), b"\xff\xfe.wav", b"..wav", b"%s%n.wav", b"\x1b[31m.wav"])
def test_names(tmp_path, name):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    refusal(path)
    try:
        path.write_bytes(WAV)
    except OSError:
        pytest.skip("the file system takes no such name")
    assert read_bytes(path) == WAV
    assert load_audio(path)[0].size == WAVE.size
    path.write_bytes(b"")
    with pytest.raises(AudioError, match="empty: the file has 0 bytes"):
        load_audio(path)


NO_AUDIO = {
    "text": b"hello, this is text\n" * 99,
    "html": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    "zip": b"PK\3\4" + bytes(200),
    "gzip": b"\x1f\x8b\x08" + bytes(200),
    "pickle": b"\x80\4\x95\x1b\0\0\0\0\0\0\0\x8c\5posix\x8c\6system\x93\x8c\4true\x85R.",
    "script": b"#!/bin/sh\nexit 1\n",
    "playlist": b"#EXTM3U\nfile:///etc/passwd\n",
    "concatenation": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "picture": b"\x89PNG\r\n\x1a\n" + bytes(200),
    "avi": b"RIFF\xff\0\0\0AVI LIST" + bytes(200),
    "matroska": b"\x1a\x45\xdf\xa3" + bytes(200),
    "zeros": bytes(5_000),
    "tag": b"ID3\4\0\0\0\0\0\x0a" + bytes(10),
}


@pytest.mark.parametrize("name", NO_AUDIO)
def test_what_is_no_audio(name):
    reason, detail = fault(NO_AUDIO[name])
    assert reason == "unreadable"
    assert detail.startswith(("the file begins with ", "no MPEG layer III frame at the start"))


@pytest.mark.parametrize("container", ["AIFF", "AU", "W64", "VOC", "HTK", "IRCAM", "MAT5", "PVF", "XI", "AVR", "SVX"])
def test_containers_outside_the_list_never_reach_a_decoder(container):
    data = encode(container, "DPCM_16" if container == "XI" else "PCM_16")
    assert fault(data)[1].endswith("expected one of WAV, FLAC, MP3, Ogg Vorbis or Opus, NIST SPHERE, M4A")


@pytest.mark.parametrize(("container", "subtype"), [("FLAC", "PCM_16"), ("WAV", "PCM_U8")])
def test_hours_of_silence_cost_only_the_limit(container, subtype):
    data = encode(container, subtype, np.zeros(HOURS_SECONDS * RATE_HZ, np.int16), RATE_HZ)
    tracemalloc.start()
    assert fault(data, 60.0) == ("too_long", "more than 60 s")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * MIB
    if container == "FLAC":
        assert fault(data, HOURS_SECONDS + 1.0)[0] == "silent"


def test_eight_channels_cost_no_more_than_one(monkeypatch):
    data = encode("FLAC", "PCM_16", np.zeros((4 << 20, 8), np.int16), 192_000)
    monkeypatch.setattr("voxbench.audio.reading.BLOCK_VALUES", 1 << 18)
    tracemalloc.start()
    assert fault(data, 60.0)[0] == "silent"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * 4 * (4 << 20) + 8 * MIB
