from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.commands.programs import Http, Programs


@pytest.fixture
def programs() -> Iterator[Programs]:
    """Starts commands, which end with the test at the latest."""
    programs = Programs()
    yield programs
    programs.kill()


@pytest.fixture(scope="session")
def common() -> Iterator[Http]:
    """A server for all tests that leave it as it is: each uses a channel of its own."""
    programs = Programs()
    yield programs.serve("--autocreate")[1]
    programs.kill()


@pytest.fixture
def name(request: pytest.FixtureRequest, common: Http) -> str:
    """A channel of this test alone."""
    return f"{abs(hash(request.node.nodeid)):x}"


@pytest.fixture
def pub(common: Http) -> tuple[str, ...]:
    """How a command is told of the common server."""
    return ("pub", "-s", common.url)


@pytest.fixture
def sub(common: Http) -> tuple[str, ...]:
    return ("sub", "-s", common.url)


@pytest.fixture
def nowhere() -> Iterator[str]:
    """The URL of a port where nobody listens, and nobody else will."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
