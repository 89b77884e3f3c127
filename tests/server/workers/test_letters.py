"""Letters between processes, and the boxes that they wait in."""

from __future__ import annotations

import os
import socket

import trio

from trickle_cli.server.workers import Letter, Link, Outbox


async def test_a_letter_arrives_as_it_was_sent_however_long_it_is() -> None:
    here, there = Link.pair()
    for size in (0, 1, 16 * 1024, 16 * 1024 + 1, 3_000_000):
        data = os.urandom(size)
        descriptor = os.open(os.devnull, os.O_RDONLY)
        letter = Letter(
            kind="any",
            fields={"name": "cam\n\0é", "number": size},
            data=data,
            descriptors=(descriptor, descriptor),
        )
        assert here.send_nowait(letter)
        os.close(descriptor)
        received = there.receive_nowait()
        assert received is not None
        assert (received.kind, received.fields, received.data) == (
            letter.kind,
            letter.fields,
            data,
        )
        assert len(received.descriptors) == 2
        for descriptor in received.descriptors:
            assert not os.get_inheritable(descriptor)
        received.close()
    here.close()
    assert there.receive_nowait() is None
    there.close()


async def test_a_box_keeps_their_order_when_there_is_no_room(
    nursery: trio.Nursery,
) -> None:
    here, there = Link.pair()
    box = Outbox(here)
    nursery.start_soon(box.run)
    for number in range(1000):
        box.post(Letter(kind="any", fields={"number": number}, data=b"x" * 10_000))
    assert box.is_busy
    for number in range(1000):
        letter = await there.receive()
        assert letter is not None
        assert letter.fields["number"] == number
    await box.emptied()
    box.close()
    there.close()


async def test_a_connection_that_cannot_be_sent_in_time_is_closed(
    nursery: trio.Nursery,
) -> None:
    here, there = Link.pair()
    box = Outbox(here)
    while here.send_nowait(Letter(kind="any", data=b"x" * 10_000)):
        pass
    nursery.start_soon(box.run)
    ours, theirs = socket.socketpair()
    with ours:
        letter = Letter(kind="any", descriptors=(theirs.fileno(),))
        box.post(letter, (theirs,), patience=0.1)
        assert theirs.fileno() >= 0
        with trio.fail_after(10):
            await box.emptied()
        assert ours.recv(1) == b""
    box.close()
    there.close()


async def test_what_waits_for_one_that_has_gone_is_closed(
    nursery: trio.Nursery,
) -> None:
    here, there = Link.pair()
    box = Outbox(here)
    nursery.start_soon(box.run)
    there.close()
    ours, theirs = socket.socketpair()
    box.post(Letter(kind="any", descriptors=(theirs.fileno(),)), (theirs,))
    assert theirs.fileno() < 0
    assert ours.recv(1) == b""
    ours.close()
    box.close()
    box.close()
