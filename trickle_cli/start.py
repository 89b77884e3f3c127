"""Where the installed command begins: before anything that takes time to import.

Python itself shows a KeyboardInterrupt when Ctrl-C comes while it starts. That cannot
be helped from here, but the time can be kept short: `_signal` is a part of Python that
is always loaded, while `signal` has to be imported.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]


def main() -> None:
    """`trickle`. Ctrl-C ends it, from now on: until a command listens for it, there is
    nothing to finish, and where imports have got to is nobody's business."""
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    import gc

    gc.disable()  # imports leave no garbage: see `commands.running.run`
    from trickle_cli.__main__ import main as run

    run()
