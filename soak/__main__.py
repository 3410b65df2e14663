"""``python -m soak CAMPAIGN [--count N] [--minutes M] [--seed S] [--only VARIANT] [--jobs J] [--write]``

Ends with 0 when nothing was wrong, 1 when something was.
"""

import argparse
import sys

from soak import report
from soak.campaign import CAMPAIGNS, Budget, campaign


def main() -> int:
    arguments = parsed(sys.argv[1:])
    module = campaign(arguments.campaign)
    variants = getattr(module, "VARIANTS", {})
    unknown = [one for one in arguments.only if one not in variants]
    if unknown:
        sys.exit(
            f"soak: {arguments.campaign} has no {', '.join(unknown)}; it has {', '.join(variants) or 'no variants'}"
        )
    seconds = None if arguments.minutes is None else arguments.minutes * 60
    count = 1000 if arguments.count is None and seconds is None else arguments.count
    budget = Budget(count, seconds, arguments.seed, tuple(arguments.only), arguments.jobs)
    print(f"{arguments.campaign}: {CAMPAIGNS[arguments.campaign]}; seed {budget.seed}", file=sys.stderr)
    tally = module.run(budget)
    for failure in tally.failures:
        print(f"  {failure}", file=sys.stderr)
    print(f"{report.told(tally.counts)}; wrong: {report.told(tally.wrong)}; {report.duration(budget.spent)}")
    if arguments.write:
        command = " ".join(["scripts/soak", *(one for one in sys.argv[1:] if one != "--write")])
        name = report.named(arguments.campaign, budget.variants)
        report.write(name, report.line(name, budget, tally, command))
    return 0 if tally.well else 1


def parsed(line: list[str]) -> argparse.Namespace:
    known = "\n".join(f"  {name:10} {text}" for name, text in CAMPAIGNS.items())
    parser = argparse.ArgumentParser(
        prog="scripts/soak",
        description="Try a promise very often.",
        epilog=f"campaigns:\n{known}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("campaign", choices=CAMPAIGNS, metavar="CAMPAIGN")
    parser.add_argument("--count", type=int, help="tries (1,000 when neither this nor --minutes is given)")
    parser.add_argument("--minutes", type=float, help="stop after so long")
    parser.add_argument("--seed", type=int, default=1, help="the same seed tries the same things")
    parser.add_argument("--only", action="append", default=[], metavar="VARIANT", help="may be given several times")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once, for fuzz and mutate")
    parser.add_argument("--write", action="store_true", help="put the figures into the table of docs/trust.md")
    return parser.parse_args(line)


if __name__ == "__main__":
    sys.exit(main())
