from __future__ import annotations

import pytest

from tests.relay.fakes import Clock, make_hub
from trickle_cli.relay import Channel


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def channel(clock: Clock) -> Channel:
    return make_hub(clock).create("cam", "video/mp2t")
