"""``python -m bench [ROW …] [--rounds N] [--folder DIR] [--write FILE]``"""

import argparse

from bench.report import table, write
from bench.run import measure
from bench.states import ROWS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Holdfast beside its peers.")
    parser.add_argument("rows", nargs="*", help=f"which rows; all of {', '.join(ROWS)} if none is named")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", help="where to write; the file system decides much of the result")
    parser.add_argument("--write", metavar="FILE", help="write the table to this Markdown file, too")
    arguments = parser.parse_args()
    unknown = set(arguments.rows) - ROWS.keys()
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    rows = arguments.rows or list(ROWS)
    results = {row: measure(row, arguments.rounds, arguments.folder) for row in rows}
    print(table(results))
    if arguments.write:
        write(
            arguments.write, results, arguments.rounds, f"python -m bench {' '.join(rows)} --rounds {arguments.rounds}"
        )


if __name__ == "__main__":
    main()
