"""`trickle serve`: run a server."""

from __future__ import annotations

import enum
import logging
import signal
from dataclasses import replace
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
from trickle_cli.commands.serving import (
    MAX_WORKERS,
    Job,
    finishing,
    listen_for,
    load_again,
    prepare_process,
    remove,
    serve_on,
    url_of,
)
from trickle_cli.commands.talking import talking
from trickle_cli.display.manner import Manner
from trickle_cli.protocol.names import DEFAULT_PORT

if TYPE_CHECKING:
    import trio

    from trickle_cli.commands.access_log import AccessLog
    from trickle_cli.display.talk import Talk
    from trickle_cli.server import Entry, Server
    from trickle_cli.statistics import ServerStatistics

EPILOG = """\b
Example, a server on which every first publisher makes its channel:
  trickle serve --autocreate"""


class SyncChoice(enum.Enum):
    """The values of --sync."""

    NONE = "none"
    SEGMENT = "segment"
    ALWAYS = "always"


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
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=MAX_WORKERS,
            help="Share the channels among so many processes, behind one address.",
        ),
    ] = None,
) -> None:
    """Run a server, until it is interrupted.

    SIGHUP has it read tokens and certificates again; SIGUSR2 restarts its workers."""
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
    job = Job(
        config=config,
        secure=secure,
        host=host,
        port=port,
        uds=uds,
        uds_mode=uds_mode,
        permanent=permanent,
        access_log=access_log,
        workers=workers,
        manner=talk,
    )
    run("serve", lambda: _begin(job))


async def _begin(job: Job) -> ExitCode:
    """In this process alone, or with others; or as one of those."""
    if job.workers is None:
        return await _serve(job)
    from trickle_cli.commands.supervising import supervise
    from trickle_cli.commands.working import inherited_link, work

    link = inherited_link()
    return await (supervise(job) if link is None else work(job, link))


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


async def _serve(job: Job) -> ExitCode:
    import trio

    from trickle_cli.commands.access_log import AccessLog
    from trickle_cli.commands.signals import interruptible
    from trickle_cli.display.talk import TalkHandler, open_talk
    from trickle_cli.errors import StorageFailed
    from trickle_cli.server import Server

    prepare_process()
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

    async def look() -> ServerStatistics:
        return server.statistics()

    listeners = await listen_for(job)
    url = url_of(job, listeners[0])
    async with (
        open_talk("serve", job.manner) as talk,
        interruptible(lambda: talk.say(finishing(job))) as interruption,
        trio.open_nursery() as nursery,
    ):
        logging.getLogger("trickle_cli").addHandler(TalkHandler(talk))
        if talk.is_verbose:
            records.append(lambda entry: talk.say(entry.line()))
        if log is not None:
            await nursery.start(log.run, talk)
        await nursery.start(_obey_signals, server, job.secure, log, talk)
        try:
            await nursery.start(server.run, listeners)
            for name, type_ in job.permanent:
                server.hub.create(name, type_, permanent=True)
            await serve_on(talk, url, interruption, nursery, look)
            await server.stop()
        finally:
            remove(job)
        nursery.cancel_scope.cancel()
    return interruption.code or ExitCode.DONE


async def _obey_signals(
    server: Server,
    secure: Securing,
    log: AccessLog | None,
    talk: Talk,
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    """SIGHUP: read tokens and certificates again; connections go on. If anything is
    wrong with them, all stays as it is. SIGUSR2 is for servers of several processes."""
    import trio

    from trickle_cli.server.systemd import notify, notify_reloading

    with trio.open_signal_receiver(signal.SIGHUP, signal.SIGUSR2) as signals:
        task_status.started()
        async for number in signals:
            if number == signal.SIGUSR2:
                talk.warn("a graceful restart takes --workers: nothing is done")
                continue
            notify_reloading()
            if log is not None:
                log.reopen()
            if (loaded := load_again(secure, talk)) is not None:
                server.access, server.tls = loaded
                talk.say("tokens and certificates are read again")
            notify("READY=1")
