"""`trickle serve`: run a server."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated

import typer

from trickle_cli.commands.options import parse_base_path, parse_time, parse_type
from trickle_cli.commands.running import ExitCode, run
from trickle_cli.protocol.names import DEFAULT_PORT

if TYPE_CHECKING:
    from trickle_cli.display.talk import Talk
    from trickle_cli.server import Server, ServerConfig

EPILOG = """\b
Example, a server on which every first publisher makes its channel:
  trickle serve --autocreate"""


#: Seconds between looks at the channels, and how much of the time they may take: with
#: thousands of channels, a look takes long enough to be felt.
_WATCH_INTERVAL = 0.25
_WATCH_SHARE = 0.02
_FINISHING = "closing the channels; interrupt again to leave at once"


def serve(
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
    ] = "5m",  # type: ignore[assignment] # typer parses defaults, too
    sweep_interval: Annotated[
        float,
        typer.Option(
            metavar="TIME", parser=parse_time, help="How often to look for those."
        ),
    ] = "1m",  # type: ignore[assignment]
) -> None:
    """Run a server, until it is interrupted."""
    from trickle_cli.server import ServerConfig

    permanent = [_parse_channel(text) for text in channel or []]
    config = ServerConfig(
        base_path=base_path,
        autocreate=autocreate,
        allow_create=not no_create,
        changefeed=changefeed,
        idle_timeout=idle_timeout,
        sweep_interval=sweep_interval,
    )
    run("serve", lambda: _serve(config, host, port, permanent))


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


async def _serve(
    config: ServerConfig, host: str, port: int, permanent: list[tuple[str, str]]
) -> ExitCode:
    import trio

    from trickle_cli.commands.signals import interruptible
    from trickle_cli.display.talk import TalkHandler, open_talk
    from trickle_cli.server import Server, listen

    server = Server(config)
    listeners = await listen(host, port)
    _raise_descriptor_limit()
    bound = listeners[0].getsockname()
    address = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
    url = f"http://{address}:{bound[1]}{server.base_path}".rstrip("/")
    async with (
        open_talk("serve") as talk,
        interruptible(lambda: talk.say(_FINISHING)) as interruption,
        trio.open_nursery() as nursery,
    ):
        logging.getLogger("trickle_cli").addHandler(TalkHandler(talk))
        await nursery.start(server.run, listeners)
        for name, type_ in permanent:
            server.hub.create(name, type_, permanent=True)
        talk.say(f"listening on {url}")
        nursery.start_soon(_watch, server, url, talk)
        with trio.CancelScope() as serving:
            interruption.cancel = serving.cancel
            await trio.sleep_forever()
        await server.stop()
        nursery.cancel_scope.cancel()
    return interruption.code or ExitCode.DONE


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
    if talk.is_live:
        talk.show(watch.render)
    while True:
        began = trio.current_time()
        for line in watch.look(server.statistics()):
            talk.say(line)
        spent = trio.current_time() - began
        await trio.sleep(max(_WATCH_INTERVAL, spent / _WATCH_SHARE))
