"""The options of `serve` that bound what it keeps, and what anyone can ask of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from trickle_cli.commands.options import parse_network, parse_size, parse_time

if TYPE_CHECKING:
    from trickle_cli.server import HeadLimits, Limits, Patience, Peers
    from trickle_cli.server.config import Network


@dataclass(frozen=True, kw_only=True)
class Limiting:
    """The bounds of a server."""

    limits: Limits
    head: HeadLimits
    patience: Patience
    peers: Peers


def _size(help_: str) -> object:
    return typer.Option(metavar="SIZE", parser=parse_size, help=help_)


def _time(help_: str) -> object:
    return typer.Option(metavar="TIME", parser=parse_time, help=help_)


def _count(help_: str, *, least: int = 1) -> object:
    return typer.Option(metavar="N", min=least, help=help_)


def limiting(
    keep_segments: Annotated[
        int, _count("Keep so many segments of a channel.")
    ] = 50_000,
    keep_bytes: Annotated[int, _size("Keep so many bytes of a channel.")] = "64MiB",  # type: ignore[assignment] # typer parses defaults, too
    keep_seconds: Annotated[
        float, _time("Keep a segment for so long after its end.")
    ] = "120s",  # type: ignore[assignment]
    keep_newest: Annotated[
        int, _count("Keep so many of a channel's newest segments in any case.")
    ] = 5,
    max_memory: Annotated[
        int, _size("Keep no more than this of all channels together.")
    ] = "1GiB",  # type: ignore[assignment]
    max_segment: Annotated[int, _size("What a segment may have.")] = "32MiB",  # type: ignore[assignment]
    max_channels: Annotated[int, _count("Channels.")] = 10_000,
    max_readers: Annotated[int, _count("Readers of a channel.")] = 10_000,
    max_preconnects: Annotated[int, _count("Open POSTs of a channel.")] = 64,
    max_connections: Annotated[
        int,
        _count("Connections; 0: as many as there are descriptors.", least=0),
    ] = 0,
    max_per_address: Annotated[
        int,
        _count(
            "Connections from one address that is not loopback; 0: any number.",
            least=0,
        ),
    ] = 1000,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NETWORK",
            help="Believe the X-Forwarded-For of proxies there. May be repeated.",
        ),
    ] = None,
    max_head: Annotated[int, _size("What a request's head may have.")] = "16KiB",  # type: ignore[assignment]
    max_fields: Annotated[int, _count("Fields in a request's head.")] = 100,
    max_target: Annotated[int, _size("What a request's target may have.")] = "4KiB",  # type: ignore[assignment]
    head_timeout: Annotated[
        float, _time("How long a request's head may take.")
    ] = "10s",  # type: ignore[assignment]
    keep_alive: Annotated[float, _time("How long a connection may be idle.")] = "75s",  # type: ignore[assignment]
    stall_timeout: Annotated[
        float, _time("How long a reader may take nothing of what is sent.")
    ] = "30s",  # type: ignore[assignment]
    preconnect_timeout: Annotated[
        float, _time("How long a POST may be without a byte while nothing flows.")
    ] = "10s",  # type: ignore[assignment]
    linger: Annotated[
        float, _time("How long a closed channel can still be read.")
    ] = "60s",  # type: ignore[assignment]
    lease: Annotated[
        float,
        _time("How long a lossless channel holds what a reader does not take."),
    ] = "10s",  # type: ignore[assignment]
    resume_window: Annotated[
        float, _time("How long a segment waits for a publisher that broke off.")
    ] = "5s",  # type: ignore[assignment]
) -> Limiting:
    """The group of these options."""
    from trickle_cli.server import HeadLimits, Limits, Patience, Peers, Window

    return Limiting(
        limits=Limits(
            window=Window(
                segments=keep_segments,
                size=keep_bytes,
                seconds=keep_seconds,
                floor=keep_newest,
            ),
            memory=max_memory,
            channels=max_channels,
            readers=max_readers,
            publications=max_preconnects,
            segment_size=max_segment,
            linger=linger,
            resume=resume_window,
            lease=lease,
        ),
        head=HeadLimits(size=max_head, fields=max_fields, target=max_target),
        patience=Patience(
            head=head_timeout,
            idle=keep_alive,
            stall=stall_timeout,
            preconnect=preconnect_timeout,
        ),
        peers=Peers(
            connections=max_connections or None,
            per_address=max_per_address or None,
            trusted_proxies=_networks(trusted_proxy or []),
        ),
    )


def _networks(texts: list[str]) -> tuple[Network, ...]:
    try:
        return tuple(map(parse_network, texts))
    except typer.BadParameter as error:
        error.param_hint = "--trusted-proxy"
        raise
