"""A server of several processes behind one port: `trickle serve --workers N`.

Every worker accepts from the same listening sockets. A channel belongs to one of them
(`owners`); a connection whose request names a channel of another is handed to that one,
as it is (`moving`, `letters`), or by way of a pump if it is encrypted (`pump`). What
is the server's as a whole is in memory that all of them share (`table`, `sharing`), or
they ask each other (`asking`). Who keeps them running is in `commands/supervising.py`.

A worker is called by its *seat*, a number that a worker inherits which replaces one
that has died; after a graceful restart the workers have other seats.
"""

from trickle_cli.relay import lock_directory
from trickle_cli.server.workers.asking import ask, join
from trickle_cli.server.workers.letters import Letter, Link
from trickle_cli.server.workers.outbox import Outbox
from trickle_cli.server.workers.owners import Owners
from trickle_cli.server.workers.table import Table
from trickle_cli.server.workers.worker import Team, Worker

__all__ = [
    "Letter",
    "Link",
    "Outbox",
    "Owners",
    "Table",
    "Team",
    "Worker",
    "ask",
    "join",
    "lock_directory",
]
