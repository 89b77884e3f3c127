"""Many tiny segments, as quickly as they go."""

from __future__ import annotations

from tests.commands.programs import Programs

LINES = b"".join(b"%d\n" % number for number in range(1, 20_001))


def test_twenty_thousand_lines_arrive_in_order(programs: Programs) -> None:
    _, http = programs.serve("--autocreate")
    subscriber = programs.start("sub", f"{http.url}/c")
    subscriber.says("waiting")
    publisher = programs.run("pub", "--newline", f"{http.url}/c", given=LINES)
    assert publisher.process.returncode == 0, publisher.err
    assert "sent 20000 segments" in publisher.err
    assert subscriber.ends(60) == 0, subscriber.err
    assert subscriber.out == LINES


def test_who_comes_late_still_gets_all_of_them(programs: Programs) -> None:
    _, http = programs.serve("--autocreate")
    programs.run("pub", "--newline", f"{http.url}/c", given=LINES)
    subscriber = programs.run("sub", f"{http.url}/c", "--from", "oldest")
    assert subscriber.process.returncode == 0, subscriber.err
    assert subscriber.out == LINES
