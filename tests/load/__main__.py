"""Load run: many visitors at once on one server, each with a picture of their own; prints JSON, 1 means it failed.

    python -m tests.load                                  50 visitors for 5 minutes, the embedded model on the CPU
    python -m tests.load --visitors 8 --seconds 15        a short one

What must hold: no answer of 500 or above, every result is the picture that a direct call of the Studio makes of that
visitor's photo, memory stays flat after the first minute, and light events (settings, tabs, page loads) answer within
300 ms in the median while others train.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from tests.load.run import Plan, run
from tests.visitor import serve


def main() -> int:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, default=50, help="tabs open at once (default 50)")
    parser.add_argument("--seconds", type=float, default=300.0, help="how long they stay (default 300)")
    parser.add_argument("--trainers", type=int, default=2, help="how many of them train styles (default 2)")
    parser.add_argument("--steps", type=int, default=20, help="steps of each training run (default 20)")
    parser.add_argument("--data", type=Path, help="the server's data folder; a passing one by default")
    given = parser.parse_args()
    plan = Plan(visitors=given.visitors, seconds=given.seconds, trainers=given.trainers, steps=given.steps)
    with tempfile.TemporaryDirectory(prefix="styleidentity-load-") as passing:
        data = given.data or Path(passing) / "data"
        with serve(data, module="app", fresh=True, STYLEIDENTITY_LIMIT_WAITING=str(4 * plan.visitors)) as server:
            report = asyncio.run(run(server, plan))
    print(json.dumps(report, indent=2))
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
