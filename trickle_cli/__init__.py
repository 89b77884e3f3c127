"""Trickle: segmented publish and subscribe over HTTP, live to the byte.

`trickle_cli.server` serves channels, `trickle_cli.client` publishes to them and
subscribes to them, `trickle_cli.relay` holds them in memory without any HTTP,
`trickle_cli.access` says who may do what. What programs need of these is here, too; it
is imported when it is first asked for, because nobody needs all of it.
"""

from __future__ import annotations

from trickle_cli.version import __version__

#: Not from `typing`: until the command has begun, Ctrl-C shows where imports are.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from trickle_cli.access import (
        Access as Access,
        Caller as Caller,
        Grant as Grant,
        Right as Right,
        SigningKey as SigningKey,
        TokenFile as TokenFile,
    )
    from trickle_cli.client import (
        ClientConfig as ClientConfig,
        Control as Control,
        Endpoint as Endpoint,
        Head as Head,
        Publisher as Publisher,
        SegmentInfo as SegmentInfo,
        SegmentReader as SegmentReader,
        SegmentWriter as SegmentWriter,
        Subscriber as Subscriber,
        tls_context as tls_context,
    )
    from trickle_cli.errors import (
        BadAddress as BadAddress,
        BadConfiguration as BadConfiguration,
        ChannelClosed as ChannelClosed,
        ChannelNotFound as ChannelNotFound,
        ChannelVanished as ChannelVanished,
        ConnectionFailed as ConnectionFailed,
        FirstByteTimeout as FirstByteTimeout,
        LimitReached as LimitReached,
        NotAllowed as NotAllowed,
        ProtocolViolation as ProtocolViolation,
        SegmentConflict as SegmentConflict,
        SegmentNotFound as SegmentNotFound,
        SegmentTooLarge as SegmentTooLarge,
        TrickleError as TrickleError,
        UnexpectedStatus as UnexpectedStatus,
    )
    from trickle_cli.protocol.names import CHANGEFEED as CHANGEFEED
    from trickle_cli.protocol.responses import (
        is_end_of_channel as is_end_of_channel,
        latest_of as latest_of,
        seq_of as seq_of,
    )
    from trickle_cli.protocol.sequence import SequenceStart as SequenceStart
    from trickle_cli.relay import (
        Change as Change,
        Changefeed as Changefeed,
        Channel as Channel,
        Hub as Hub,
        Limits as Limits,
        LocalPublisher as LocalPublisher,
        LocalSegment as LocalSegment,
        LocalSubscriber as LocalSubscriber,
        Reader as Reader,
        Segment as Segment,
        Window as Window,
    )
    from trickle_cli.server import (
        Entry as Entry,
        HeadLimits as HeadLimits,
        HookRequest as HookRequest,
        Patience as Patience,
        Peers as Peers,
        Refused as Refused,
        Server as Server,
        ServerConfig as ServerConfig,
        listen as listen,
        listen_unix as listen_unix,
        server_context as server_context,
    )
    from trickle_cli.statistics import (
        ChannelStatistics as ChannelStatistics,
        PublisherStatistics as PublisherStatistics,
        ServerStatistics as ServerStatistics,
        SubscriberStatistics as SubscriberStatistics,
    )

_HOMES = {
    "access": ("Access", "Caller", "Grant", "Right", "SigningKey", "TokenFile"),
    "client": (
        *("ClientConfig", "Control", "Endpoint", "Head", "Publisher", "SegmentInfo"),
        *("SegmentReader", "SegmentWriter", "Subscriber", "tls_context"),
    ),
    "errors": (
        *("BadAddress", "BadConfiguration", "ChannelClosed", "ChannelNotFound"),
        *("ChannelVanished", "ConnectionFailed", "FirstByteTimeout", "LimitReached"),
        *("NotAllowed", "ProtocolViolation", "SegmentConflict", "SegmentNotFound"),
        *("SegmentTooLarge", "TrickleError", "UnexpectedStatus"),
    ),
    "protocol.names": ("CHANGEFEED",),
    "protocol.responses": ("is_end_of_channel", "latest_of", "seq_of"),
    "protocol.sequence": ("SequenceStart",),
    "relay": (
        *("Change", "Changefeed", "Channel", "Hub", "Limits", "LocalPublisher"),
        *("LocalSegment", "LocalSubscriber", "Reader", "Segment", "Window"),
    ),
    "server": (
        *("Entry", "HeadLimits", "HookRequest", "Patience", "Peers", "Refused"),
        *("Server", "ServerConfig", "listen", "listen_unix", "server_context"),
    ),
    "statistics": (
        *("ChannelStatistics", "PublisherStatistics", "ServerStatistics"),
        "SubscriberStatistics",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *_HOME_OF]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
