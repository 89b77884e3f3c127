"""MPEG-TS: where it is cut, and what is put in front."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from tests.splitters.streams import (
    AAC,
    AUDIO,
    H264,
    HEVC,
    MPEG2,
    PLACES,
    PMT,
    PRIVATE,
    VIDEO,
    chunks,
    cut,
    key,
    packet,
    pat,
    pes,
    picture,
    pmt,
    sound,
    table,
)
from trickle_cli.errors import BadContent
from trickle_cli.splitters import CUT, FormatSplitter, Splitter, TransportStream

TABLES = pat() + pmt()
NULL = packet(0x1FFF, b"\0" * 184)
SDT = table(0x11, b"\x42" + b"." * 30)


def gop(*data: bytes) -> list[bytes]:
    return cut(FormatSplitter(TransportStream()), data)


def test_a_cut_is_made_before_the_tables_before_a_keyframe() -> None:
    first = TABLES + key() + picture(b"a")
    second = SDT + TABLES + key() + picture(b"b")
    third = TABLES + key()
    assert gop(first + second + third) == [first, second, third]


def test_where_there_are_no_tables_the_last_ones_are_repeated() -> None:
    data = [TABLES + key() + picture(), key() + picture(), key()]
    assert gop(b"".join(data)) == [data[0], TABLES + data[1], TABLES + data[2]]


def test_tables_that_are_not_all_are_repeated() -> None:
    data = [TABLES + key(), SDT + pat() + key(), SDT + key()]
    expected = [data[0], TABLES + data[1], TABLES + data[2]]
    assert gop(b"".join(data)) == expected


def test_tables_elsewhere_are_no_place_to_cut() -> None:
    data = TABLES + key() + TABLES + picture() + SDT + picture() + TABLES
    assert gop(data) == [data]


def test_stuffing_may_stand_between_tables_and_a_keyframe() -> None:
    clock = packet(VIDEO)
    second = pat() + NULL + pmt() + NULL + clock + key()
    assert gop(TABLES + key() + NULL + second) == [TABLES + key() + NULL, second]


def test_what_is_before_the_first_keyframe_goes_with_it() -> None:
    data = picture() + TABLES + picture() + key() + picture()
    assert gop(data + TABLES + key()) == [data, TABLES + key()]


def test_tables_of_several_packets_are_repeated_whole() -> None:
    long = pmt((H264, VIDEO), about=600)
    assert len(long) == 4 * 188
    first = pat() + long + key()
    assert gop(first + key()) == [first, pat() + long + key()]
    second = pat() + long + key()
    assert gop(first + second) == [first, second]


def test_a_table_is_understood_though_other_packets_are_between() -> None:
    long = pmt((H264, VIDEO), about=600)
    parts = [long[at : at + 188] for at in range(0, len(long), 188)]
    first = pat() + (picture(packets=3) + NULL).join(parts) + key()
    assert gop(first + key()) == [first, pat() + long + key()]


def test_a_table_that_is_broken_changes_nothing() -> None:
    good = pmt((H264, VIDEO))
    bad = pmt((H264, 0x1F0)).replace(b"\xe1\xf0", b"\xe1\xf1")
    data = [pat() + good + key() + bad + picture(), key()]
    assert gop(b"".join(data)) == [data[0], pat() + good + data[1]]


def test_a_new_table_may_change_the_video() -> None:
    moved = pmt((H264, 0x1F0))
    data = [TABLES + key(), pat() + moved + key(pid=0x1F0), key(pid=0x1F0) + key()]
    expected = [data[0], data[1], pat() + moved + data[2]]
    assert gop(b"".join(data)) == expected


def test_of_several_programs_the_first_video_counts() -> None:
    tables = pat(0x200, PMT, 0x300)
    tables += pmt((AAC, AUDIO), pid=0x200)
    tables += pmt((PRIVATE, 0x1F0), (H264, VIDEO)) + pmt((H264, 0x1F1), pid=0x300)
    data = [tables + key() + key(pid=0x1F1) + sound(1), key() + key(pid=0x1F1)]
    assert gop(b"".join(data)) == [data[0], tables + data[1]]


@pytest.mark.parametrize(
    ("kind", "content", "is_key"),
    [
        (H264, b"\0\0\0\1\x09\xf0\0\0\0\1\x67\x42", True),
        (H264, b"\0\0\1\x65\x88", True),
        (H264, b"\0\0\0\1\x09\xf0\0\0\1\x41\x9a", False),
        (H264, b"\0\0\1\x06\x05", False),
        (HEVC, b"\0\0\0\1\x46\1\x10\0\0\0\1\x40\1", True),
        (HEVC, b"\0\0\1\x26\1", True),
        (HEVC, b"\0\0\1\x2a\1", True),
        (HEVC, b"\0\0\1\x02\1", False),
        (HEVC, b"\0\0\1\x42\1", False),
        (MPEG2, b"\0\0\1\xb3\x14", True),
        (MPEG2, b"\0\0\1\xb8\0", False),
        (MPEG2, b"\0\0\1\0\0\x10", False),
    ],
)
def test_where_nobody_says_it_the_picture_shows_what_it_is(
    kind: int, content: bytes, is_key: bool
) -> None:
    first = pat() + pmt((kind, VIDEO)) + key()
    second = packet(VIDEO, pes(content, 3.0), begins=True)
    tables = pat() + pmt((kind, VIDEO))
    expected = [first, tables + second] if is_key else [first + second]
    assert gop(first + second) == expected


def test_sound_alone_is_cut_each_second_of_its_own() -> None:
    tables = pat() + pmt((AAC, AUDIO))
    sounds = [sound(100 + number / 4) for number in range(11)]
    found = gop(tables + b"".join(sounds))
    assert found[0] == tables + b"".join(sounds[:4])
    assert found[1:] == [
        tables + b"".join(sounds[4:8]),
        tables + b"".join(sounds[8:]),
    ]


def test_time_is_that_of_the_content_even_where_it_begins_anew() -> None:
    end = (1 << 33) / 90_000
    keys = [key(end - 2 + number, name=b"%d" % number) for number in range(7)]
    cutter = FormatSplitter(TransportStream(), seconds=3)
    assert cut(cutter, [TABLES + b"".join(keys)]) == [
        TABLES + b"".join(keys[:3]),
        TABLES + b"".join(keys[3:6]),
        TABLES + keys[6],
    ]


def test_without_times_in_it_our_clock_counts() -> None:
    cutter = FormatSplitter(TransportStream(), seconds=2)
    feeds = [(10.0, TABLES * 2 + key()), (11.0, key()), (12.0, key())]
    found = [piece for now, data in feeds for piece in cutter.feed(data, now)]
    assert found == [TABLES * 2 + key(), key(), CUT, TABLES + key()]


def test_with_a_size_the_next_keyframe_after_it_counts() -> None:
    cutter = FormatSplitter(TransportStream(), size=5 * 188)
    data = TABLES + key() + key() + picture() + key()
    assert cut(cutter, [data]) == [data[:-188], TABLES + key()]


def test_garbage_goes_along_in_front_between_and_at_the_end() -> None:
    head = b"noise \x47" * 9
    first = head + TABLES + key() + picture()
    second = b"\x47\x47 noise" + TABLES * 3 + key() + picture(packets=9) + b"end"
    found = gop(first + second)
    assert b"".join(found) == first + second
    assert len(found) == 2
    assert found[1].endswith(key() + picture(packets=9) + b"end")


def test_what_is_no_stream_is_refused_before_a_byte_of_it_comes_out() -> None:
    for data in (b"no video at all", b"G" + b"." * 5000, bytes(100_000)):
        splitter = FormatSplitter(TransportStream())
        with pytest.raises(BadContent, match="no MPEG-TS"):
            assert not cut(splitter, chunks(data, range(0, len(data), 999)))


def test_a_few_packets_are_a_stream() -> None:
    assert gop(TABLES) == [TABLES]
    assert gop(pat()) == [pat()]
    assert gop(b"") == [b""]


def test_where_it_stops_being_one_something_else_may_go_on() -> None:
    data = TABLES + key() + picture(packets=9)
    noise = b"\1" * 200_000
    cutter = FormatSplitter(TransportStream(), otherwise=Splitter(size=50_000))
    found = cut(cutter, chunks(data + noise, range(0, 300_000, 4096)))
    assert b"".join(found) == data + noise
    assert len(found) > 2
    with pytest.raises(BadContent):
        gop(data + noise)


def test_what_has_no_keyframes_is_cut_before_it_is_too_large() -> None:
    cutter = FormatSplitter(TransportStream())
    part = picture(packets=300)
    found = cut(cutter, [TABLES + key(), *[part] * (30 * 1024 * 1024 // len(part))])
    assert len(found) == 2
    assert len(found[0]) < 25 * 1024 * 1024
    assert found[1].startswith(TABLES + picture(packets=1))


def test_a_packet_is_passed_on_as_soon_as_it_is_whole() -> None:
    cutter = FormatSplitter(TransportStream())
    list(cutter.feed(TABLES + key() + picture(packets=4), 0))
    one = packet(VIDEO, b"x" * 184)
    assert list(cutter.feed(one[:100], 0)) == []
    assert list(cutter.feed(one[100:] + one + one[:3], 0)) == [one + one]
    assert list(cutter.feed(one[3:] + TABLES, 0)) == [one]
    assert list(cutter.feed(key(), 0)) == [CUT, TABLES + key()]


PARTS = st.lists(
    st.sampled_from(
        [
            *(pat(), pmt(), TABLES, SDT, NULL, key(), picture(), sound(1)),
            *(packet(VIDEO), packet(PMT, b".." * 92), pmt((HEVC, VIDEO), about=400)),
            *(b"garbage\x47", pat(PMT, 0x200), pmt((AAC, AUDIO), pid=0x200)),
        ]
    ),
    max_size=25,
)


@settings(deadline=None)
@given(PARTS, PLACES)
def test_however_it_comes_in_the_segments_are_the_same(
    parts: list[bytes], places: list[int]
) -> None:
    data = TABLES * 3 + b"".join(parts)
    assert gop(*chunks(data, places)) == gop(data)


@settings(deadline=None)
@given(PARTS, PLACES)
def test_but_for_repeated_tables_the_segments_are_the_stream(
    parts: list[bytes], places: list[int]
) -> None:
    data = TABLES * 3 + b"".join(parts)
    splitter = FormatSplitter(TransportStream())
    rest = data
    for number, segment in enumerate(cut(splitter, chunks(data, places))):
        if number and not rest.startswith(segment):
            assert segment.startswith(pat()[:4])
            tails = (segment[at:] for at in range(0, 20 * 188, 188))
            segment = next(tail for tail in tails if rest.startswith(tail))
        assert rest.startswith(segment)
        rest = rest[len(segment) :]
    assert rest == b""


@settings(deadline=None)
@given(st.binary(max_size=3000), PLACES)
def test_any_bytes_are_passed_on_or_refused(data: bytes, places: list[int]) -> None:
    cutter = FormatSplitter(TransportStream(), otherwise=Splitter())
    assert b"".join(cut(cutter, chunks(data, places))) == data


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            lambda pid, rest: b"\x47" + (0x4000 | pid).to_bytes(2) + rest,
            st.sampled_from([0, PMT, VIDEO, 0x11]),
            st.binary(min_size=185, max_size=185),
        ),
        max_size=20,
    ),
    PLACES,
)
def test_packets_of_any_content_do_no_harm(
    packets: list[bytes], places: list[int]
) -> None:
    data = TABLES * 3 + key() + b"".join(packets)
    found = b"".join(cut(FormatSplitter(TransportStream()), chunks(data, places)))
    assert len(found) >= len(data)
    assert found.replace(TABLES, b"") == data.replace(TABLES, b"")
