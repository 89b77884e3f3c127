from __future__ import annotations

from tests.commands.conftest import common as common
from tests.commands.conftest import programs as programs
