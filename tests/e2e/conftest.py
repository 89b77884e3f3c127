from __future__ import annotations

from tests.commands.conftest import (
    common as common,
    name as name,
    programs as programs,
)
