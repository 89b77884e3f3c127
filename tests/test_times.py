"""Times as they are written."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from trickle_cli.times import stamp


def test_times_are_in_utc_to_the_millisecond() -> None:
    assert stamp(1.5e9 + 0.1234) == "2017-07-14T02:40:00.123Z"
    elsewhere = timezone(timedelta(hours=5, minutes=30))
    time = datetime(2017, 7, 14, 8, 10, 0, 123456, elsewhere)
    assert stamp(time) == "2017-07-14T02:40:00.123Z"
