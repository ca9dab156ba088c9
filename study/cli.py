"""The command line. Commands import what they need when they run, so that --help is quick."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

import click

from study.commands.clusters.launch import launch
from study.commands.clusters.run_or_resume import run_or_resume
from study.commands.confirm import confirm
from study.commands.export import export
from study.commands.look import compare, report, status, table_
from study.commands.names import doctor, list_
from study.commands.options import CRASH, NOTHING, OK, USAGE
from study.commands.replicate import replicate
from study.commands.resume import resume
from study.commands.run import run
from study.commands.sensitivity import sensitivity
from study.errors import NothingToReportError, StudyFailedError, UsageError
from study.files.locations import hide_secrets
from study.interrupts import Interrupts, exit_code
from study.visible import visible


class _Group(click.Group):
    """Turns the errors that are the user's to mend into one message and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with Interrupts(), warnings.catch_warnings():
                warnings.showwarning = _say_warning  # type: ignore[assignment]
                return super().invoke(ctx)
        except click.UsageError as error:  # click repeats what it does not understand
            said = visible(hide_secrets(error.format_message()))
            raise click.UsageError(said, error.ctx) from error
        except UsageError as error:
            _say(error)
            ctx.exit(USAGE)
        except NothingToReportError as error:
            _say(error)
            ctx.exit(NOTHING)
        except StudyFailedError as error:
            _say(f"the study failed: {error}")
            ctx.exit(CRASH)
        except KeyboardInterrupt as error:
            _say("interrupted; what was finished is kept")
            ctx.exit(exit_code(error))
        except BrokenPipeError:
            # Whoever read the output has seen enough. Python would complain again at its exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(OK)
        except OSError as error:
            # A full or vanished disk, an object store that does not answer: nobody's program is
            # wrong, and a traceback would say no more.
            _say(f"{type(error).__name__}: {error}")
            ctx.exit(CRASH)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="prune-study")
def main() -> None:
    """Find how far a network prunes, which layers can take it, and which schedule gets it there.

    \b
    prune-study run                    the default study, about a minute on two cores
    prune-study run my-study.toml      your own
    prune-study table DIR pareto       what it found
    """


for command in (
    run,
    resume,
    run_or_resume,
    launch,
    sensitivity,
    confirm,
    export,
    replicate,
    status,
    table_,
    compare,
    report,
    list_,
    doctor,
):
    main.add_command(command)


def _say_warning(message: Warning | str, *_: Any) -> None:
    """A line for a person, without where in the program it came from."""
    _say(message)


def _say(message: object) -> None:
    click.echo(visible(hide_secrets(f"prune-study: {message}")), err=True)


if __name__ == "__main__":
    main()
