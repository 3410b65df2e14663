"""The command ``holdfast``: look at files, check them, compare them, convert them.

Strategy: each command opens files as data, builds nothing and imports no framework. What goes wrong is one line on the
error output. Exit codes: 0 all is well; 1 files differ or are damaged; 2 wrong usage, or something cannot be read.

contents.py     an open file: its tree and its arrays
figures.py      what an array holds, how two differ
differences.py  what differs between two files
screen.py       how things are printed
look.py         ls and show
check.py        verify and diff
convert.py      convert
log.py          log, with curve.py and plot.py
"""

import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, Final

import click

from holdfast import __version__
from holdfast.cli.check import diff, verify
from holdfast.cli.convert import convert
from holdfast.cli.log import log
from holdfast.cli.look import ls, show
from holdfast.cli.screen import DIFFERENT, UNREADABLE, complain, worded
from holdfast.errors import ChecksumError, HoldfastError

__all__ = ["main"]

INTERRUPTED: Final = 128 + signal.SIGINT
PIPE_CLOSED: Final = 128 + 13
"""What shells report for a program that SIGPIPE ended."""


class Command(click.Group):
    """A click group whose errors are one line each, without tracebacks."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, *_: Any, **extra: Any) -> Any:
        """Run the command and leave with its exit code."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        extra["standalone_mode"] = False
        sys.exit(self._code(args, prog_name or "holdfast", extra))

    def _code(self, args: Sequence[str] | None, prog_name: str, extra: dict[str, Any]) -> int:
        try:
            result = super().main(args, prog_name, **extra)
        except (KeyboardInterrupt, click.Abort):
            return INTERRUPTED
        except click.ClickException as error:
            complain(error.format_message() + _hint(error))
            return UNREADABLE
        except ChecksumError as error:
            complain(error)
            return DIFFERENT
        except (HoldfastError, OSError) as error:
            complain(worded(error))
            return UNREADABLE
        return result if isinstance(result, int) else 0

    def invoke(self, ctx: click.Context) -> Any:
        """Run what was asked for, until the end or until nobody reads any more (``holdfast ls … | head``)."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the last flush, at exit
            return PIPE_CLOSED
        return result


def _hint(error: click.ClickException) -> str:
    """Where to read how a command is used."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f" Try '{context.command_path} --help'." if context else ""


@click.group(
    "holdfast", cls=Command, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, message="holdfast %(version)s")
@click.pass_context
def main(context: click.Context) -> None:
    """Look at saved models, check them, compare and convert them.

    Reads files of Holdfast's and of Julia's BSON.jl, and .safetensors, .npz, .npy, .pt, .jld2 and .h5. Runs nothing that
    a file names.

    Exit codes: 0 all is well, 1 files differ or are damaged, 2 wrong usage or unreadable.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in (ls, show, verify, diff, convert, log):
    main.add_command(command)
