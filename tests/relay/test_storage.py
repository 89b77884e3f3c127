"""Channels come back from disk as they were, whatever became of the disk."""

from __future__ import annotations

import logging
import os
import resource
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.relay.fakes import Clock, attach, make_hub, publish, write
from trickle_cli.errors import SegmentConflict, StorageFailed
from trickle_cli.relay import Channel, Hub, Limits, Store, Sync, Window, log

LIMITS = Limits(window=Window(segments=1000, size=10**6, floor=1))


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Disk:
    """A data directory, and servers that use it one after another."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        self._store: Store | None = None

    def start(self, sync: Sync = Sync.NONE) -> Hub:
        """Another server, after the one before was killed."""
        if self._store is not None:
            self._store.close()
        self._store = Store(str(self.path), sync)
        return make_hub(self._clock, LIMITS, store=self._store)

    def files(self, channel: str = "cam") -> list[Path]:
        return sorted((self.path / "channels" / channel).glob("*.log"))


@pytest.fixture
def disk(tmp_path: Path, clock: Clock) -> Disk:
    return Disk(tmp_path / "data", clock)


def content(channel: Channel, seq: int) -> bytes:
    segment = channel.look(seq)
    return b"".join(segment.read(0, 0, segment.size)[0])


def contents(channel: Channel) -> dict[int, bytes]:
    return {
        seq: content(channel, seq)
        for seq in range(channel.head)
        if channel._held.get(seq)
    }


def test_a_channel_comes_back_as_it_was(disk: Disk, clock: Clock) -> None:
    channel = disk.start().create("cam", "video/mp2t", lossless=True)
    write(channel, 0, b"zero")
    write(channel, 1, b"")
    publish(channel, 2, owner=b"me").write([b"two", b" and more"], end=True)
    clock.advance(1000)
    back = disk.start().find("cam")
    assert (back.type, back.epoch, back.head) == ("video/mp2t", channel.epoch, 3)
    assert back.lossless
    assert contents(back) == {0: b"zero", 1: b"", 2: b"two and more"}
    assert back.size == channel.size
    assert abs(back.created - clock.now) < 100
    assert back.rate(clock.now) == 0  # all of it came before
    epoch = back.epoch
    publish(back, 2, owner=b"me").write([b"two and more"], end=True)
    assert back.epoch == epoch  # it is known again
    publish(back, 2).write([b"x"], end=True)
    assert back.epoch != epoch


def test_a_segment_cut_short_comes_back_open_for_its_publisher(
    disk: Disk, clock: Clock
) -> None:
    channel = disk.start().create("cam")
    publish(channel, 0, owner=b"me").write([b"abc"])
    hub = disk.start()
    back = hub.find("cam")
    assert not back.find(0).ended
    reader = attach(back, 0)
    with pytest.raises(SegmentConflict):
        publish(back, 0)
    publish(back, 0, owner=b"me", offset=1).write([b"bcdef"], end=True)
    assert reader.got == b"abcdef"
    assert contents(disk.start().find("cam")) == {0: b"abcdef"}


def test_a_publisher_that_does_not_come_leaves_it_incomplete(
    disk: Disk, clock: Clock
) -> None:
    publish(disk.start().create("cam"), 0).write([b"abc"])
    hub = disk.start()
    clock.advance(LIMITS.resume)
    hub.tick()
    assert hub.find("cam").find(0).incomplete
    back = disk.start().find("cam")
    assert back.find(0).incomplete
    assert contents(back) == {0: b"abc"}


def test_numbering_that_began_anew_is_what_comes_back(disk: Disk) -> None:
    channel = disk.start().create("cam")
    for seq in range(3):
        write(channel, seq, b"old")
    write(channel, 1, b"new")
    back = disk.start().find("cam")
    assert (back.epoch, back.head) == (channel.epoch, 2)
    assert contents(back) == {1: b"new"}


def test_a_closed_channel_comes_back_closed_and_goes_for_good(
    disk: Disk, clock: Clock
) -> None:
    hub = disk.start()
    write(hub.create("cam"), 0, b"zero")
    hub.close("cam")
    hub = disk.start()
    back = hub.find("cam")
    assert back.closed
    assert contents(back) == {0: b"zero"}
    clock.advance(LIMITS.linger + 1)
    hub.tick()
    assert not (disk.path / "channels" / "cam").exists()
    assert len(disk.start()) == 0


def test_what_has_left_the_window_leaves_the_disk(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "FILE_SIZE", 10_000)
    channel = disk.start().create("cam")
    for seq in range(5000):
        write(channel, seq, b"x" * 1000)
    assert sum(path.stat().st_size for path in disk.files()) < 1_100_000
    assert len(disk.files()) > 10
    back = disk.start().find("cam")
    assert contents(back) == contents(channel)
    assert back.head == 5000


def test_after_a_cut_at_any_byte_all_before_it_is_there(disk: Disk) -> None:
    channel = disk.start().create("cam")
    for seq in range(4):
        publish(channel, seq).write([b"%d" % seq * 9])
        publish(channel, seq).write([b"-%d" % seq], end=True)
    whole = contents(channel)
    (path,) = disk.files()
    data = path.read_bytes()
    before: dict[int, bytes] = {}
    for size in range(len(data)):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data[:size])
        hub = disk.start()
        if hub.get("cam") is None:
            continue  # not even its name was written
        found = contents(hub.find("cam"))
        assert all(whole[seq].startswith(text) for seq, text in found.items())
        assert sum(map(len, found.values())) >= sum(map(len, before.values()))
        before = found
    assert len(before) == 4
    assert not (disk.path / "quarantine").exists()


@pytest.mark.parametrize("step", [1, 7])
def test_a_flipped_bit_costs_what_it_hit_and_nothing_else(
    disk: Disk, step: int, caplog: pytest.LogCaptureFixture
) -> None:
    channel = disk.start().create("cam")
    for seq in range(6):
        write(channel, seq, b"segment %d" % seq)
    whole = contents(channel)
    (path,) = disk.files()
    data = path.read_bytes()
    first = data.index(b"segment 0") - 30
    for at in range(first, len(data), step * 5):
        for old in disk.files():
            old.unlink()
        caplog.clear()
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
        back = disk.start().find("cam")
        found = contents(back)
        assert found.items() <= whole.items()
        assert len(found) >= 5
        if len(found) < 6:
            assert at > len(data) - 60 or "was damaged" in caplog.text
        again = contents(disk.start().find("cam"))
        assert again == found  # it was stored again


def test_what_is_damaged_is_set_aside_as_it_was(
    disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    hub = disk.start()
    for name in ("cam", "mic"):
        for seq in range(3):
            write(hub.create(name), seq, b"%d" % seq * 100)
    (path,) = disk.files()
    data = bytearray(path.read_bytes())
    data[data.index(b"1" * 100)] = 0
    path.write_bytes(data)
    with caplog.at_level(logging.ERROR):
        hub = disk.start()
    assert contents(hub.find("cam")) == {0: b"0" * 100, 2: b"2" * 100}
    assert len(contents(hub.find("mic"))) == 3
    (aside,) = (disk.path / "quarantine").iterdir()
    assert next(aside.iterdir()).read_bytes() == data
    assert "channel 'cam' was damaged: 2 segments are whole, lost are 1" in caplog.text
    assert "'mic'" not in caplog.text


def test_a_file_that_cannot_be_read_is_told_of(
    disk: Disk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "FILE_SIZE", 1000)
    channel = disk.start().create("cam")
    for seq in range(10):
        write(channel, seq, b"%d" % seq * 400)
    second = disk.files()[1]
    second.unlink()
    second.mkdir()  # which root cannot read as a file, either
    back = disk.start().find("cam")
    assert second.name in caplog.text
    found = contents(back)
    assert 0 < len(found) < 10
    assert found.items() <= contents(channel).items()
    assert back.head == 10


def test_a_stranger_in_the_directory_harms_nobody(
    disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    write(disk.start().create("cam"), 0, b"zero")
    (disk.path / "channels" / "stray").write_text("what is this?")
    assert contents(disk.start().find("cam")) == {0: b"zero"}
    assert "stray" in caplog.text


def test_a_directory_is_one_servers(disk: Disk) -> None:
    disk.start()
    with pytest.raises(StorageFailed, match="another server"):
        Store(str(disk.path))


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond 10 000 bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, ignored)


def test_what_a_full_disk_does_not_take_is_refused_and_harms_nothing(
    disk: Disk, small_files: None
) -> None:
    hub = disk.start()
    channel, other = hub.create("cam"), hub.create("mic")
    write(channel, 0, b"fits")
    writer = publish(channel, 1, owner=b"me")
    writer.write([b"x" * 5000])
    with pytest.raises(StorageFailed):
        writer.write([b"y" * 5000])
    assert channel.find(1).size == 5000
    with pytest.raises(StorageFailed):
        write(channel, 2, b"z" * 8000)
    assert channel.head == 2
    write(channel, 2, b"small")
    write(other, 0, b"fine")
    writer.write([b"-"], end=True)
    expected = {0: b"fits", 1: b"x" * 5000 + b"-", 2: b"small"}
    assert contents(channel) == expected
    hub = disk.start()
    assert contents(hub.find("cam")) == expected
    assert contents(hub.find("mic")) == {0: b"fine"}
    assert not (disk.path / "quarantine").exists()


def test_who_starts_over_where_there_is_no_room_harms_nothing(
    disk: Disk, small_files: None
) -> None:
    channel = disk.start().create("cam")
    for seq in range(3):
        write(channel, seq, b"old")
    epoch = channel.epoch
    again = publish(channel, 1)
    with pytest.raises(StorageFailed):
        again.write([b"x" * 10_000])
    expected = {0: b"old", 1: b"old", 2: b"old"}
    assert (channel.epoch, contents(channel)) == (epoch, expected)
    again.write([b"new"])  # there is room again
    again.write([b"er"], end=True)
    assert channel.epoch != epoch
    assert len(disk.files()) == 1
    for found in channel, disk.start().find("cam"):
        assert contents(found) == {1: b"newer"}
        assert (found.epoch, found.head) == (channel.epoch, 2)


def test_a_channel_that_cannot_be_stored_is_not_made(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = disk.start()

    def fail(*_: object) -> int:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "writev", fail)
    with pytest.raises(StorageFailed, match="no space left"):
        hub.create("cam")
    assert hub.get("cam") is None
    monkeypatch.undo()
    assert len(disk.start()) == 0


@pytest.mark.parametrize(
    "name", ["a" * 255, "ä" * 120, "a b%c", "..x", "CON", "x.log", "~", "📷"]
)
def test_any_name_can_be_stored(disk: Disk, name: str) -> None:
    write(disk.start().create(name), 0, b"zero")
    assert contents(disk.start().find(name)) == {0: b"zero"}


@pytest.mark.parametrize("sync", Sync)
async def test_what_must_be_on_the_disk_itself_is_asked_for(
    disk: Disk, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = disk.start(sync).create("cam")
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    writer = publish(channel, 0)
    writer.write([b"a"])
    assert channel.recording.wants_flush(ended=False) == (sync is Sync.ALWAYS)
    writer.write([b"b"], end=True)
    assert channel.recording.wants_flush(ended=True) == (sync is not Sync.NONE)
    assert channel.recording.log is not None
    await channel.recording.log.flush()
    assert len(synced) == 1
    assert not channel.recording.wants_flush(ended=True)


async def test_nothing_is_acknowledged_while_it_is_still_on_its_way_to_the_disk(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = disk.start(Sync.SEGMENT).create("cam")
    log = channel.recording.log
    assert log is not None
    is_syncing, may_end = threading.Event(), threading.Event()

    def sync(_: int) -> None:
        is_syncing.set()
        assert may_end.wait(10)

    monkeypatch.setattr(os, "fdatasync", sync)
    write(channel, 0, b"zero")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.flush)
        await trio.to_thread.run_sync(is_syncing.wait)
        assert channel.recording.wants_flush(ended=True)
        write(channel, 1, b"one")
        may_end.set()
    assert channel.recording.wants_flush(
        ended=True
    )  # the second came after the sync began
    await log.flush()
    assert not channel.recording.wants_flush(ended=True)


async def test_a_file_that_did_not_reach_the_disk_is_not_gone_on_with(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = disk.start(Sync.SEGMENT).create("cam")
    log = channel.recording.log
    assert log is not None

    def fail(_: int) -> None:
        raise OSError(5, os.strerror(5))

    write(channel, 0, b"zero")
    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(StorageFailed):
        await log.flush()
    monkeypatch.undo()
    assert channel.recording.wants_flush(ended=True)
    write(channel, 1, b"one")
    assert len(disk.files()) == 2
    assert contents(disk.start().find("cam")) == {0: b"zero", 1: b"one"}


def test_a_segment_that_is_ended_while_the_disk_is_full_can_be_evicted(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = disk.start().create("cam")
    publish(channel, 0)

    def fail(*_: object) -> int:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "writev", fail)
    channel.end_segment(0)
    monkeypatch.undo()
    write(channel, 1, b"one")
    channel.shed(10**6)
    assert len(channel) == 0


def test_a_file_that_was_only_made_does_not_cost_the_channel(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the server is killed while it begins one."""
    write(disk.start().create("cam"), 0, b"zero")
    (disk.path / "channels" / "cam" / "00000002.log").touch()
    channel = disk.start().find("cam")
    write(channel, 1, b"one")
    channel._held._evict_oldest()
    assert [path.name for path in disk.files()] == ["00000002.log"]
    assert contents(disk.start().find("cam")) == {1: b"one"}


def test_files_without_a_segment_go_when_another_is_begun(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "FILE_SIZE", 1000)
    channel = disk.start().create("cam")
    for seq in range(6):
        write(channel, seq, bytes(2000))
        channel.shed(10**6)
    assert len(disk.files()) == 1


def test_idle_logs_give_their_descriptors_back(disk: Disk, clock: Clock) -> None:
    hub = disk.start()
    before = len(os.listdir("/proc/self/fd"))
    for number in range(20):
        write(hub.create(f"c{number}"), 0, b"x")
    assert len(os.listdir("/proc/self/fd")) == before + 20
    hub.sweep()
    hub.sweep()
    assert len(os.listdir("/proc/self/fd")) == before
    write(hub.find("c3"), 1, b"y")
    assert contents(disk.start().find("c3")) == {0: b"x", 1: b"y"}
