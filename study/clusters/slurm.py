"""A batch script for Slurm: Ray on the nodes of one job, and a study on it that is resumed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from study.clusters.launch import Launch, as_shell, check_room
from study.errors import UsageError

_TIME = re.compile(r"\d+(:\d+){0,2}|\d+-\d+(:\d+){0,2}|UNLIMITED|INFINITE", re.ASCII)

WARNING_S = 120
"""Seconds before the time limit at which Slurm warns the job."""


@dataclass(frozen=True)
class SlurmJob:
    """What is asked of Slurm.

    Parameters
    ----------
    nodes, cpus, gpus
        Nodes; CPUs and GPUs of each.
    time
        Limit of one run, as ``sbatch --time`` takes it; the study goes on in the next.
    options
        Further options of sbatch, such as ``--partition=gpu``.
    setup
        Lines of shell that make ``prune-study`` and ``ray`` callable, such as ``module load``.
    """

    nodes: int = 1
    cpus: int = 8
    gpus: int = 0
    time: str = "24:00:00"
    options: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()


def batch_script(launch: Launch, job: SlurmJob) -> str:
    """Write the script for ``sbatch``.

    It makes a token that only its user can read, starts a Ray node by ``srun`` on every node of
    the job, and runs the study; or resumes it, where an earlier run was cut off. Before the time
    limit the study stops, and the job is put into the queue again; after preemption, and when its
    first node fails, Slurm does that.

    Raises
    ------
    UsageError
        If a node is too small for a trial, or an option is none.
    """
    check_room(launch, job.cpus, job.gpus, machine="node")
    for option in job.options:
        _refuse_lines("--sbatch", option)
    if not _TIME.fullmatch(job.time):
        raise UsageError(
            f"--time: {job.time!r} is no limit of Slurm's. Write minutes, hours:minutes:seconds or "
            "days-hours, such as 90, 24:00:00 or 2-12."
        )
    for option in job.options:
        if not option.startswith("-"):
            raise UsageError(f"--sbatch: {option!r} is no option of sbatch; write --partition=gpu.")
    environment = Environment(
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        comment_start_string="{##",  # the length of an array is ${#name[@]}
    )
    text = files("study.clusters").joinpath("templates", "study.sbatch").read_text(encoding="utf-8")
    return environment.from_string(text).render(
        name=launch.short_name(),
        job=job,
        warning_s=WARNING_S,
        command=as_shell(launch.command(None, "--wait-for-nodes", str(job.nodes))),
    )


def _refuse_lines(option: str, value: str) -> None:
    if not value.isprintable():
        raise UsageError(f"{option}: {value!r} has characters that no line of a script may have.")
