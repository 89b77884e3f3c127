from __future__ import annotations

from tests.commands.conftest import common as common, programs as programs
