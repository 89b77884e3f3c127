"""`trickle serve`: run a server."""

from __future__ import annotations

import enum
import gc
import logging
import signal
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from trickle_cli.commands.groups import takes
from trickle_cli.commands.limiting import Limiting, limiting
from trickle_cli.commands.options import (
    parse_base_path,
    parse_mode,
    parse_time,
    parse_type,
)
from trickle_cli.commands.running import ExitCode, run
from trickle_cli.commands.securing import Securing, securing
from trickle_cli.commands.talking import talking
from trickle_cli.display.manner import Manner
from trickle_cli.protocol.names import DEFAULT_PORT

if TYPE_CHECKING:
    import socket

    import trio

    from trickle_cli.commands.access_log import AccessLog
    from trickle_cli.display.talk import Talk
    from trickle_cli.server import Entry, Server, ServerConfig

EPILOG = """\b
Example, a server on which every first publisher makes its channel:
  trickle serve --autocreate"""


#: Seconds between looks at the channels, and how much of the time they may take: with
#: thousands of channels, a look takes long enough to be felt.
_WATCH_INTERVAL = 0.25
_WATCH_SHARE = 0.02
#: Objects made and not let go of before the cycle collector looks at them: Python's own
#: 700 are a few dozen segments.
_COLLECT_AFTER = 20_000
_AGAIN = "interrupt again to leave at once"
_CLOSING = f"closing the channels; {_AGAIN}"
_KEEPING = f"stopping; the channels stay on disk; {_AGAIN}"


class SyncChoice(enum.Enum):
    """The values of --sync."""

    NONE = "none"
    SEGMENT = "segment"
    ALWAYS = "always"


@dataclass(frozen=True, kw_only=True)
class _Job:
    config: ServerConfig
    secure: Securing
    host: str
    port: int
    uds: str | None
    uds_mode: int
    permanent: list[tuple[str, str]]
    access_log: str | None
    manner: Manner


@takes(limit=limiting, secure=securing, talk=talking)
def serve(
    limit: Limiting,
    secure: Securing,
    talk: Manner,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", envvar="TRICKLE_HOST", help="The address to listen on."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            metavar="PORT",
            envvar="TRICKLE_PORT",
            min=0,
            max=65535,
            help="The port, 0 for a free one.",
        ),
    ] = DEFAULT_PORT,
    uds: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="Listen on a Unix socket there, and nowhere else."
        ),
    ] = None,
    uds_mode: Annotated[
        int,
        typer.Option(
            metavar="MODE", parser=parse_mode, help="Its permissions: who may connect."
        ),
    ] = "600",  # type: ignore[assignment] # typer parses defaults, too
    base_path: Annotated[
        str,
        typer.Option(
            metavar="PATH",
            parser=parse_base_path,
            help="Serve channels below this path.",
        ),
    ] = "/",
    autocreate: Annotated[
        bool,
        typer.Option(
            "--autocreate", help="Let the first segment that is posted make a channel."
        ),
    ] = False,
    no_create: Annotated[
        bool,
        typer.Option(
            "--no-create", help="Let nobody make channels by asking for it, either."
        ),
    ] = False,
    lossless: Annotated[
        bool,
        typer.Option(
            "--lossless",
            help="Make all channels so that they keep what readers have not taken, and"
            " hold their publishers back.",
        ),
    ] = False,
    data_dir: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Keep the channels on disk there, too, and bring them back from it.",
        ),
    ] = None,
    sync: Annotated[
        SyncChoice,
        typer.Option(
            help="Before what the disk itself is to have what was written: nothing,"
            " the end of a segment, or every acknowledgement."
        ),
    ] = SyncChoice.NONE,
    changefeed: Annotated[
        bool, typer.Option(help="Publish what channels come and go, as _changes.")
    ] = True,
    channel: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=MIME]",
            help="Have this channel from the start, and for ever. May be repeated.",
        ),
    ] = None,
    idle_timeout: Annotated[
        float,
        typer.Option(
            metavar="TIME",
            parser=parse_time,
            help="Close a channel that got no byte for so long.",
        ),
    ] = "5m",  # type: ignore[assignment]
    sweep_interval: Annotated[
        float,
        typer.Option(
            metavar="TIME", parser=parse_time, help="How often to look for those."
        ),
    ] = "1m",  # type: ignore[assignment]
    access_log: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Write a line of JSON for each request there; '-': standard output.",
        ),
    ] = None,
) -> None:
    """Run a server, until it is interrupted."""
    from trickle_cli.server import ServerConfig, Sync

    if uds is not None and secure.cert is not None:
        raise typer.BadParameter("--cert is of no use with --uds: nobody listens in")
    if sync is not SyncChoice.NONE and data_dir is None:
        raise typer.BadParameter("--sync is of no use without --data-dir")
    permanent = [_parse_channel(text) for text in channel or []]
    config = ServerConfig(
        base_path=base_path,
        autocreate=autocreate,
        allow_create=not no_create,
        lossless=lossless,
        data_dir=data_dir,
        sync=Sync(sync.value),
        changefeed=changefeed,
        idle_timeout=idle_timeout,
        sweep_interval=sweep_interval,
        limits=limit.limits,
        head=limit.head,
        patience=limit.patience,
        peers=limit.peers,
        cors=secure.cors,
    )
    job = _Job(
        config=config,
        secure=secure,
        host=host,
        port=port,
        uds=uds,
        uds_mode=uds_mode,
        permanent=permanent,
        access_log=access_log,
        manner=talk,
    )
    run("serve", lambda: _serve(job))


def _parse_channel(text: str) -> tuple[str, str]:
    from trickle_cli.errors import BadAddress
    from trickle_cli.protocol.names import (
        DEFAULT_TYPE,
        RESERVED_PREFIX,
        check_channel_name,
    )

    name, _, type_ = text.partition("=")
    try:
        check_channel_name(name)
    except BadAddress as error:
        raise typer.BadParameter(f"--channel {text}: {error}") from None
    if name.startswith(RESERVED_PREFIX):
        raise typer.BadParameter(
            f"--channel {text}: names that begin with '{RESERVED_PREFIX}' are"
            " the server's, and nobody could publish there"
        )
    return name, parse_type(type_) if type_ else DEFAULT_TYPE


async def _serve(job: _Job) -> ExitCode:
    import trio

    from trickle_cli.commands.access_log import AccessLog
    from trickle_cli.commands.signals import interruptible
    from trickle_cli.display.talk import TalkHandler, open_talk
    from trickle_cli.errors import StorageFailed
    from trickle_cli.server import Server
    from trickle_cli.server.systemd import notify

    _raise_descriptor_limit()
    _collect_seldom()
    log = AccessLog(job.access_log) if job.access_log is not None else None
    records = [] if log is None else [log.record]

    def record(entry: Entry) -> None:
        for each in records:
            each(entry)

    config = replace(
        job.config,
        access=job.secure.load_access(),
        access_log=record if records or job.manner.verbose else None,
    )
    tls = job.secure.load_tls()
    try:
        server = Server(config, tls=tls)
    except StorageFailed as error:
        raise StorageFailed(f"--data-dir {error}") from error.__cause__
    listeners = await _listen(job)
    url = _url_of(server, listeners[0])
    finishing = _CLOSING if job.config.data_dir is None else _KEEPING
    async with (
        open_talk("serve", job.manner) as talk,
        interruptible(lambda: talk.say(finishing)) as interruption,
        trio.open_nursery() as nursery,
    ):
        logging.getLogger("trickle_cli").addHandler(TalkHandler(talk))
        if talk.is_verbose:
            records.append(lambda entry: talk.say(entry.line()))
        if log is not None:
            await nursery.start(log.run, talk)
        await nursery.start(_reload_on_hangup, server, job.secure, log, talk)
        try:
            await nursery.start(server.run, listeners)
            for name, type_ in job.permanent:
                server.hub.create(name, type_, permanent=True)
            talk.say(f"listening on {url}")
            notify("READY=1")
            nursery.start_soon(_watch, server, url, talk)
            with trio.CancelScope() as serving:
                interruption.cancel = serving.cancel
                await trio.sleep_forever()
            notify("STOPPING=1")
            await server.stop()
        finally:
            _remove(job)
        nursery.cancel_scope.cancel()
    return interruption.code or ExitCode.DONE


async def _listen(job: _Job) -> list[socket.socket]:
    """On what systemd hands over, if it does, or else where the options say."""
    from trickle_cli.server import listen, listen_unix
    from trickle_cli.server.systemd import inherited_sockets

    if inherited := inherited_sockets():
        return inherited
    if job.uds is not None:
        return [listen_unix(job.uds, job.uds_mode)]
    return await listen(job.host, job.port)


def _remove(job: _Job) -> None:
    from trickle_cli.server import remove_unix

    if job.uds is not None:
        remove_unix(job.uds)


def _url_of(server: Server, listener: socket.socket) -> str:
    bound = listener.getsockname()
    if isinstance(bound, str):
        base = server.base_path.rstrip("/")
        return f"unix:{bound}{base and f':{base}'}"
    address = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
    scheme = "http" if server.tls is None else "https"
    return f"{scheme}://{address}:{bound[1]}{server.base_path}".rstrip("/")


async def _reload_on_hangup(
    server: Server,
    secure: Securing,
    log: AccessLog | None,
    talk: Talk,
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    """SIGHUP: read tokens and certificates again; connections go on. If anything is
    wrong with them, all stays as it is."""
    import trio

    from trickle_cli.errors import BadConfiguration
    from trickle_cli.server.systemd import notify, notify_reloading

    with trio.open_signal_receiver(signal.SIGHUP) as signals:
        task_status.started()
        async for _ in signals:
            notify_reloading()
            if log is not None:
                log.reopen()
            try:
                access, tls = secure.load_access(), secure.load_tls()
            except BadConfiguration as error:
                talk.warn(f"{error}; the old settings stay")
            except OSError as error:
                reason = error.strerror or error
                talk.warn(f"{error.filename}: {reason}; the old settings stay")
            else:
                server.access, server.tls = access, tls
                talk.say("tokens and certificates are read again")
            notify("READY=1")


def _collect_seldom() -> None:
    """Let the cycle collector look less often: what a server holds is not garbage, and
    what it lets go of has no cycles, except in what goes wrong."""
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 100)


def _raise_descriptor_limit() -> None:
    """Every connection takes a descriptor: allow as many as we may have."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _watch(server: Server, url: str, talk: Talk) -> None:
    """Show the channels, and say which come and go."""
    import trio

    from trickle_cli.display.channels import ChannelWatch

    watch = ChannelWatch(url)
    talk.show(watch)
    while True:
        began = trio.current_time()
        for line in watch.look(server.statistics()):
            talk.say(line)
        spent = trio.current_time() - began
        await trio.sleep(max(_WATCH_INTERVAL, spent / _WATCH_SHARE))
