from __future__ import annotations

import os
from contextlib import redirect_stderr

from trickle_cli.display.manner import Manner
from trickle_cli.display.talk import Talk

LINE = "x" * 1000


def test_what_nobody_takes_is_dropped_and_counted() -> None:
    talk = Talk("serve", Manner(), None)
    reading, writing = os.pipe()

    def said() -> list[str]:
        return os.read(reading, 1_000_000).decode().splitlines()

    with open(reading), open(writing, "w") as stderr, redirect_stderr(stderr):
        for _ in range(100):
            talk.say(LINE)
        taken = said()
        assert set(taken) == {f"trickle serve: {LINE}"}
        talk.say("here again")
        talk.say("and again")
        missing = 100 - len(taken)
        assert missing
        assert said() == [
            f"trickle serve: {missing} lines are missing here: nobody took them",
            "trickle serve: here again",
            "trickle serve: and again",
        ]
