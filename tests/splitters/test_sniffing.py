"""What the first bytes tell, and for which more are awaited."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from tests.splitters.streams import box, key, pat, picture, pmt
from trickle_cli.splitters import Kind, sniff
from trickle_cli.splitters.sniffing import ENOUGH

STREAM = pat() + pmt() + key() + picture(packets=9)

KNOWN = {
    b"": "application/octet-stream",
    b"some text\n": "text/plain",
    "Grüße".encode(): "text/plain",
    "Grü".encode()[:-1]: "text/plain",
    b"GO\n": "text/plain",
    b"G" * 400: "text/plain",
    b'{"a": 1}\n{"b": 2}\n{"c"': "application/json",
    b'{"a": 1}\n': "application/json",
    b'{"a": 1}\nno\n': "text/plain",
    b"{\n": "text/plain",
    b"[1]\n": "text/plain",
    b"a\0b": "application/octet-stream",
    b"a\xffb": "application/octet-stream",
    bytes(100): "application/octet-stream",
    STREAM: "video/mp2t",
    STREAM[100:]: "video/mp2t",
    box(b"ftyp", b"isom...."): "video/mp4",
    box(b"styp", b"msdh"): "video/mp4",
    box(b"ftyp", b"M4A ...."): "audio/mp4",
    box(b"ftyp", b"avif...."): "image/avif",
    b"\x1a\x45\xdf\xa3" + b"\x42\x82\x84webm".ljust(80, b"\0"): "video/webm",
    b"\x1a\x45\xdf\xa3" + b"\x42\x82\x88matroska".ljust(80): "video/x-matroska",
    b"OggS\0": "application/ogg",
    b"fLaC\0": "audio/flac",
    b"ID3\4": "audio/mpeg",
    b"\xff\xfb\x90": "audio/mpeg",
    b"\xff\xf1\x50": "audio/aac",
    b"RIFF....WAVEfmt ": "audio/wav",
    b"RIFF....WEBP": "image/webp",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff\xe0": "image/jpeg",
    b"GIF89a": "image/gif",
    b"%PDF-1.7\n": "application/pdf",
    b"\x1f\x8b\x08": "application/gzip",
}


@pytest.mark.parametrize("data", KNOWN)
def test_the_first_bytes_tell_the_type(data: bytes) -> None:
    content = sniff(data, is_all=True)
    assert content is not None
    assert content.type == KNOWN[data]
    if data:
        assert sniff(data, is_all=False) == content


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"G",
        b"O",
        b"%PD",
        b"\0\0\0",
        box(b"ftyp", b"isom")[:7],
        b"RIFF....",
        b"\x1a\x45\xdf\xa3",
        b'{"a": 1',
        STREAM[:188],
        STREAM[: 4 * 188],
    ],
)
def test_more_is_awaited_where_it_would_tell(data: bytes) -> None:
    assert sniff(data, is_all=False) is None
    assert sniff(data, is_all=True) is not None


def test_a_few_packets_are_a_stream_if_that_is_all() -> None:
    content = sniff(STREAM[: 2 * 188], is_all=True)
    assert content is not None
    assert content.kind is Kind.TRANSPORT_STREAM


def test_what_can_be_cut_in_its_own_way_is_told() -> None:
    for data, kind in [
        (STREAM, Kind.TRANSPORT_STREAM),
        (box(b"ftyp", b"isom...."), Kind.MP4),
        (box(b"ftyp", b"avif...."), Kind.BYTES),
        (b"text", Kind.BYTES),
    ]:
        content = sniff(data, is_all=True)
        assert content is not None
        assert content.kind is kind


@settings(deadline=None)
@given(st.binary(max_size=400), st.sampled_from([b"", b"G", b"{", b"\0\0", b"RIFF"]))
def test_in_the_end_there_is_an_answer(data: bytes, head: bytes) -> None:
    assert sniff(head + data, is_all=True) is not None
    long = (head + data or b"x") * ENOUGH
    assert sniff(long[:ENOUGH], is_all=False) is not None
