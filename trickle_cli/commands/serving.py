"""What `serve` does alike with one process and with several."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from trickle_cli.errors import BadConfiguration

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Awaitable, Callable

    import trio

    from trickle_cli.access import Access
    from trickle_cli.commands.securing import Securing
    from trickle_cli.commands.signals import Interruption
    from trickle_cli.display.channels import ChannelWatch
    from trickle_cli.display.manner import Manner
    from trickle_cli.display.talk import Talk
    from trickle_cli.server import ServerConfig
    from trickle_cli.statistics import ServerStatistics

#: More processes than this are of no use.
MAX_WORKERS: Final = 64
#: Seconds between looks at the channels, and how much of the time they may take: with
#: thousands of channels, a look takes long enough to be felt.
_WATCH_INTERVAL: Final = 0.25
_WATCH_SHARE: Final = 0.02
#: Objects made and not let go of before the cycle collector looks at them: Python's own
#: 700 are a few dozen segments.
_COLLECT_AFTER: Final = 20_000
_AGAIN: Final = "interrupt again to leave at once"
_CLOSING: Final = f"closing the channels; {_AGAIN}"
_KEEPING: Final = f"stopping; the channels stay on disk; {_AGAIN}"


@dataclass(frozen=True, kw_only=True)
class Job:
    """What was asked for. `workers`: how many processes, None for this one alone."""

    config: ServerConfig
    secure: Securing
    host: str
    port: int
    uds: str | None
    uds_mode: int
    permanent: list[tuple[str, str]]
    access_log: str | None
    workers: int | None
    manner: Manner


class Speaker(Protocol):
    """Who tells a person what goes wrong."""

    def warn(self, text: str) -> None:
        """Tell it."""


async def listen_for(job: Job) -> list[socket.socket]:
    """On what systemd hands over, if it does, or else where the options say."""
    from trickle_cli.server import listen, listen_unix
    from trickle_cli.server.systemd import inherited_sockets

    if inherited := inherited_sockets():
        return inherited
    if job.uds is not None:
        return [listen_unix(job.uds, job.uds_mode)]
    return await listen(job.host, job.port)


def remove(job: Job) -> None:
    """Nobody listens any more."""
    from trickle_cli.server import remove_unix

    if job.uds is not None:
        remove_unix(job.uds)


def url_of(job: Job, listener: socket.socket) -> str:
    """What clients call the server."""
    base = job.config.base_path.rstrip("/")
    bound = listener.getsockname()
    if isinstance(bound, str):
        return f"unix:{bound}{base and f':{base}'}"
    address = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
    scheme = "http" if job.secure.cert is None else "https"
    return f"{scheme}://{address}:{bound[1]}{base}"


def finishing(job: Job) -> str:
    """What is said at the first interrupt."""
    return _CLOSING if job.config.data_dir is None else _KEEPING


async def serve_on(
    talk: Talk,
    url: str,
    interruption: Interruption,
    nursery: trio.Nursery,
    look: Callable[[], Awaitable[ServerStatistics]],
) -> None:
    """All is ready: say so, and show, in `nursery`, the channels as `look` finds them.
    Returns at the first signal that is to end us."""
    import trio

    from trickle_cli.display.channels import ChannelWatch
    from trickle_cli.server.systemd import notify

    watch = ChannelWatch(url)  # imported by now: later, there may be no descriptors
    talk.say(f"listening on {url}")
    notify("READY=1")
    nursery.start_soon(_watch, talk, watch, look)
    with trio.CancelScope() as serving:
        interruption.cancel = serving.cancel
        await trio.sleep_forever()
    notify("STOPPING=1")


async def _watch(
    talk: Talk, watch: ChannelWatch, look: Callable[[], Awaitable[ServerStatistics]]
) -> None:
    """Show the channels, and say which come and go."""
    import trio

    talk.show(watch)
    while True:
        began = trio.current_time()
        for line in watch.look(await look()):
            talk.say(line)
        spent = trio.current_time() - began
        await trio.sleep(max(_WATCH_INTERVAL, spent / _WATCH_SHARE))


def load_again(
    secure: Securing, talk: Speaker
) -> tuple[Access | None, ssl.SSLContext | None] | None:
    """Tokens and certificates as they are now; None, and it is told why, if anything
    is wrong with them."""
    try:
        return secure.load_access(), secure.load_tls()
    except BadConfiguration as error:
        talk.warn(f"{error}; the old settings stay")
    except OSError as error:
        reason = error.strerror or error
        talk.warn(f"{error.filename}: {reason}; the old settings stay")
    return None


def prepare_process() -> None:
    """Make this process fit for serving.

    Cycles are collected seldom: what a server holds is not garbage, and what it lets go
    of has none, except where something went wrong."""
    raise_descriptor_limit()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 100)


def raise_descriptor_limit() -> None:
    """Every connection takes a descriptor: allow as many as we may have."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
