"""A study as a job of a Ray cluster that is up: sent, followed, stopped, its report fetched."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from study.clusters.launch import Launch, as_shell
from study.errors import UsageError
from study.files.outputs import write_output
from study.records import REPORT_FILE
from study.storage import Folder
from study.tuning.ray.packing import IS_LEFT_OUT, MOST_MB, files_beside, refuse_large

Say = Callable[[str], None]

POLL_S = 0.5

STOP_S = 60
"""Seconds that a stopped job has to finish its records."""

AGENT_S = 60
"""Seconds in which a cluster that is just coming up begins to take jobs."""

API_SERVER = "RAY_API_SERVER_ADDRESS"

INTERRUPTED = 130
"""Exit code, as of the command line."""

TOKEN = (
    "Ray's clusters ask for a token, and this one's is not here, or is another. Set "
    "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to a file with it (RAY_AUTH_TOKEN to the token "
    "itself); on the head node, `ray get-auth-token` prints it."
)


def connect(address: str | None) -> Any:
    """A client of a cluster's Jobs API.

    Parameters
    ----------
    address
        Of the cluster's dashboard, such as ``http://127.0.0.1:8265``; None: what
        RAY_API_SERVER_ADDRESS says, or the cluster on this machine.

    Raises
    ------
    UsageError
        If the extra ``cluster`` is not installed, or nothing answers there that lets us in.
    """
    try:
        import aiohttp  # noqa: F401  of ray[default]
        from ray.job_submission import JobSubmissionClient
    except ImportError as error:
        raise UsageError(
            "--backend job: needs Ray's Jobs API. Run: pip install 'prune-study[cluster]'"
        ) from error
    where = address or os.environ.get(API_SERVER) or "http://127.0.0.1:8265"
    if not where.startswith(("http://", "https://")):
        raise UsageError(
            f"--address: {where!r} is not that of a dashboard. Write http://HOST:8265 (the port "
            "of `ray start --dashboard-port`)."
        )
    logging.getLogger("ray").setLevel(logging.WARNING)  # what is sent, and when, is said by us
    # Ray would take what its variables say, and look for clusters of this machine, for an address
    # that is given.
    before = os.environ.get(API_SERVER)
    os.environ[API_SERVER] = where
    try:
        return JobSubmissionClient(where)
    except Exception as error:  # each kind of refusal has a type of its own, some of them private
        if any(word in str(error) for word in ("401", "403", "uthenticat")):
            raise UsageError(f"--address: {where} does not let us in. {TOKEN}") from error
        raise UsageError(
            f"--address: no Ray dashboard answers at {where}. Write http://HOST:8265, as "
            "`ray start --head` tells it; it is there if 'ray[default]' is installed there."
        ) from error
    finally:
        os.environ.pop(API_SERVER)
        if before is not None:
            os.environ[API_SERVER] = before


def run_job(launch: Launch, client: Any, say: Say) -> int:
    """Send a study, show what it prints until it ends, and return its exit code.

    The study file's folder goes with it and is the working folder there. An interrupt asks the
    job to stop, and what was finished is kept: the same command goes on with it. A second one
    leaves the job alone.

    Parameters
    ----------
    launch
        The study.
    client
        Of the cluster, see :func:`connect`.
    say
        Takes what the job prints, line by line, and what happens to it.

    Returns
    -------
    int
        As ``prune-study run`` there ended; 130 if it was stopped.
    """
    with _working_folder(launch) as folder:
        file = launch.file
        working_dir = {} if folder is None else {"working_dir": str(folder)}
        job_id = _submit(
            client,
            entrypoint=as_shell(launch.command(None if file is None else file.name)),
            runtime_env={**working_dir, "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_S)}},
            submission_id=f"prune-study-{launch.short_name()}-{time.time_ns() // 1_000_000}",
            metadata={"study": launch.location},
        )
    say(f"job {job_id}: {launch.location}")
    log, stopped = _Log(client, job_id, say), False
    while True:
        try:
            asyncio.run(log.follow())
            if stopped or not log.is_cut_off:
                return _exit_code(_end_of(client, job_id), say)
            time.sleep(POLL_S)
        except KeyboardInterrupt:
            if stopped:
                say(f"left alone: ray job logs {job_id} --follow, ray job stop {job_id}")
                return INTERRUPTED
            stopped = True
            say("stopping the job; what was finished is kept (Ctrl-C again: leave it alone)")
            client.stop_job(job_id)


def fetch_report(launch: Launch, output: str, say: Say) -> None:
    """Copy the study's report here, where its folder can be read from here."""
    try:
        data = Folder(launch.location).read(REPORT_FILE)
    except (OSError, UsageError) as error:
        say(f"no report at {launch.location} that can be read from here: {error}")
        return
    write_output(output, data)


class _Log:
    """What a job prints, shown once, however often the connection is lost."""

    def __init__(self, client: Any, job_id: str, say: Say) -> None:
        self._client, self._job_id, self._say = client, job_id, say
        self._shown = 0
        self.is_cut_off = False

    async def follow(self) -> None:
        """Show all that comes until the job has ended, or the connection is lost."""
        passed, rest = 0, ""
        try:
            async for chunk in self._client.tail_job_logs(self._job_id):
                *lines, rest = (rest + chunk).split("\n")
                for line in lines:
                    passed += 1
                    self._show(passed, line)
            if rest:
                self._show(passed + 1, rest)
            self.is_cut_off = False
        except (RuntimeError, OSError) as error:
            if not self.is_cut_off:
                self._say(f"the connection was lost, and is tried again: {error}")
            self.is_cut_off = True

    def _show(self, number: int, line: str) -> None:
        """Each connection begins with the first line."""
        if number > self._shown:
            self._shown = number
            self._say(line)


def _submit(client: Any, **job: Any) -> str:
    """Send a job; a head that has just come up is given time.

    Raises
    ------
    UsageError
        If the cluster does not take it.
    """
    until = time.monotonic() + AGENT_S
    while True:
        try:
            return str(client.submit_job(**job))
        except RuntimeError as error:
            if "No available agent" not in str(error) or time.monotonic() > until:
                raise UsageError(
                    f"--backend job: the cluster takes no job: {error} (No agent: another "
                    "Ray on that machine may have its port; start the head with "
                    "--dashboard-agent-listen-port.)"
                ) from error
            time.sleep(POLL_S)


def _end_of(client: Any, job_id: str) -> Any:
    """What is known of a job once it has ended; its output may end a moment before."""
    while not (info := client.get_job_info(job_id)).status.is_terminal():
        time.sleep(POLL_S)
    return info


def _exit_code(info: Any, say: Say) -> int:
    status = str(info.status)
    if status == "SUCCEEDED":
        return 0
    if status == "STOPPED":
        say("the job was stopped; the same command goes on with the study")
        return INTERRUPTED
    if info.driver_exit_code is None:  # it never ran: no environment, no room
        say(f"the job failed: {info.message}")
        return 1
    return int(info.driver_exit_code)


@contextmanager
def _working_folder(launch: Launch) -> Iterator[Path | None]:
    """A copy of the study file's folder, with what is to be sent and nothing else."""
    if launch.file is None:
        yield None
        return
    root, own = launch.file.parent, files_beside(launch.file)
    remedy = (
        "Keep the study file and its modules in a folder of their own, and data where the nodes "
        f"find them. Left out anyway: {IS_LEFT_OUT}."
    )
    refuse_large(root, own, MOST_MB * 1_000_000, remedy)
    with TemporaryDirectory() as scratch:
        for path in own:
            (Path(scratch) / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / path, Path(scratch) / path)
        yield Path(scratch)
