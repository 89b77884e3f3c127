"""`python -m bench [NAMES] [--quick] [--rounds N] [--write]`: measure, and say so."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime

from bench import (
    against,
    channels,
    clients,
    commands,
    distance,
    fanout,
    growth,
    idle,
    latency,
    report,
    small,
    workers,
)
from bench.measuring import Measure, Scale

#: In the order of their worth: what was measured stands, if a run is cut short.
GROUPS: dict[str, Measure] = {
    "fanout": fanout.measure,
    "small": small.measure,
    "latency": latency.measure,
    "idle": idle.measure,
    "clients": clients.measure,
    "commands": commands.measure,
    "pipeline": commands.measure_pipeline,
    "distance": distance.measure,
    "tls": fanout.measure_tls,
    "kept": small.measure_kept,
    "channels": channels.measure,
    "growth": growth.measure,
    "workers": workers.measure,
    "against": against.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(GROUPS)}; all")
    parser.add_argument("--quick", action="store_true", help="only see that it works")
    parser.add_argument("--rounds", type=int, help="of each figure (5; quick: 1)")
    parser.add_argument("--json", action="store_true", help="print the results so")
    parser.add_argument("--write", action="store_true", help="into bench/results, too")
    parser.add_argument(
        "--reference",
        metavar="COMMAND",
        default="",
        help="another server to be held against: refserve {port}",
    )
    given = parser.parse_args()
    if unknown := set(given.names) - set(GROUPS):
        parser.error(f"there is no {', '.join(sorted(unknown))}: {', '.join(GROUPS)}")
    if "against" in given.names and "{port}" not in given.reference:
        parser.error("against takes --reference COMMAND, with {port} in it")
    scale = Scale(
        rounds=given.rounds or (1 if given.quick else 5),
        quick=given.quick,
        reference=given.reference,
    )
    begun = datetime.now(UTC)
    figures = []
    for name in given.names or GROUPS:
        for figure in GROUPS[name](scale):
            figures.append(figure)
            print(report.line(report.told(figure)), file=sys.stderr, flush=True)
    run = report.results(figures, scale, begun)
    if given.json:
        print(json.dumps(run, ensure_ascii=False))
    if given.write:
        report.write(run, given.names)


if __name__ == "__main__":
    main()
