"""Where a stream of bytes is cut into segments. Pure: clocks are passed in.

Two things decide. A *boundary* says where a cut may be; a *threshold* (a size, a
time) says when one is due. Without a boundary any byte will do; without a threshold
every boundary is a cut. So a new boundary is one file with a `Boundary` in it, and
one line in `BOUNDARIES`.
"""

from trickle_cli.splitters.boundary import BOUNDARIES, Boundary
from trickle_cli.splitters.splitter import CUT, Cut, Splitter

__all__ = ["BOUNDARIES", "CUT", "Boundary", "Cut", "Splitter"]
