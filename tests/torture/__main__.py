"""``python -m tests.torture``: kill, pause and break servers at random, then compare what is left."""

import argparse
import json
import random
import signal
import sys
from pathlib import Path

from tests.torture.run import Plan, torture


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--database", choices=["sqlite", "postgres", "both"], default="both")
    parser.add_argument("--seed", default=str(random.randrange(10**6)))
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--kill-every", type=float, default=1.0, metavar="SECONDS", help="mean time between strikes")
    parser.add_argument("--kills", type=int, default=None, help="end after so many kills")
    parser.add_argument("--json", type=Path, default=None, help="also write the summary to this file")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # so that engine and database are put away
    databases = ["sqlite", "postgres"] if given.database == "both" else [given.database]
    summaries = []
    for database in databases:
        plan = Plan(database, given.minutes, given.seed, given.clients, given.kill_every, given.kills)
        summary = torture(plan)
        summaries.append(summary.tree())
        print(summary.text(), flush=True)
    if given.json:
        given.json.write_text(json.dumps(summaries, indent=1))
    return any(summary["violations"] for summary in summaries)


if __name__ == "__main__":
    sys.exit(main())
