"""What is launched: a study, where its folder is, and the command that runs or resumes it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from study.configuration.loading import StudyConfig, load_config, presets
from study.errors import UsageError, unknown_name

SCHEMES = ("abfs", "abfss", "gcs", "gs", "hdfs", "s3")
"""Of URIs behind which studies are kept, as pyarrow has them. Only the cluster may reach them: that
they answer is found out there, before anything is written."""


@dataclass(frozen=True)
class Launch:
    """A study that is to run elsewhere.

    Parameters
    ----------
    study
        The study file; the name of a preset, where it is one.
    config
        What it says, changes included.
    changes
        Each as ``--set`` takes it.
    num_samples
        Trials, where the command line says how many.
    """

    study: str
    config: StudyConfig
    changes: tuple[str, ...] = ()
    num_samples: int | None = None

    @property
    def name(self) -> str:
        """The study's."""
        return self.config.study.name

    @property
    def storage_path(self) -> str:
        """Folder or URI in which the study's folder is."""
        return self.config.study.storage_path

    @property
    def is_remote(self) -> bool:
        """Whether the studies are behind a URI, and not in a folder."""
        return "://" in self.storage_path

    @property
    def location(self) -> str:
        """Of the study's folder."""
        return f"{self.storage_path.rstrip('/')}/{self.name}"

    @property
    def file(self) -> Path | None:
        """The study file; None of a preset."""
        return None if self.study in presets() else Path(self.study).absolute()

    def command(self, study: str | None = None, *further: str) -> list[str]:
        """What runs the study there, or resumes it where it was begun before.

        Parameters
        ----------
        study
            Path of the study file there; None: as it is here.
        further
            Options for the cluster.
        """
        own = self.study if self.file is None else (study or str(self.file))
        samples = [] if self.num_samples is None else ["--num-samples", str(self.num_samples)]
        changes = [word for change in self.changes for word in ("--set", change)]
        place = ["--name", self.name, "--storage-path", self.storage_path]
        return ["prune-study", "run-or-resume", own, *place, *samples, *changes, *further]

    def short_name(self, most: int = 40) -> str:
        """The name in lower-case letters, digits and '-', as clusters want them."""
        plain = re.sub("[^a-z0-9]+", "-", self.name.lower()).strip("-")
        return plain[:most].strip("-") or "study"


def plan_launch(
    study: str,
    changes: Sequence[str] = (),
    *,
    name: str | None = None,
    storage_path: str | None = None,
    num_samples: int | None = None,
) -> Launch:
    """Read the study, and see that its folder will be where every machine finds it.

    Raises
    ------
    UsageError
        If the study file is wrong, the study's folder is named by a path that is not absolute,
        or a URI has credentials in it.
    """
    own = {"name": name, "storage_path": storage_path, "num_samples": num_samples}
    given = [(f"study.{key}", value) for key, value in own.items() if value is not None]
    config = load_config(study, [*changes, *given])
    place = config.study.storage_path
    if "://" in place:
        parts = urlsplit(place)
        if "@" in parts.netloc or parts.query:
            raise UsageError(
                "study.storage_path: credentials and options do not belong into a URI that is "
                f"written into files of a cluster; write {parts.scheme}://bucket/path, and give "
                "them to the machines in their environment."
            )
        if parts.scheme not in SCHEMES:
            raise unknown_name("study.storage_path", parts.scheme, SCHEMES)
    elif not Path(place).is_absolute():
        raise UsageError(
            f"study.storage_path: {place!r} is relative, and every machine would look for it "
            "somewhere else. Give an absolute path that all of them share, or a URI: "
            "--storage-path /shared/studies, --storage-path s3://bucket/studies."
        )
    return Launch(study, config, tuple(changes), num_samples)


def check_room(launch: Launch, cpus: float, gpus: float, *, machine: str) -> int:
    """How many trials fit on one machine.

    Raises
    ------
    UsageError
        If none does.
    """
    resources = launch.config.resources
    for kind, needs, has in (
        ("cpus", resources.cpus_per_trial, cpus),
        ("gpus", resources.gpus_per_trial, gpus),
    ):
        if needs > has:
            raise UsageError(
                f"resources.{kind}_per_trial is {needs:g}, and a {machine} has {has:g} "
                f"(--{kind}); no trial could start."
            )
    fit = int(cpus / resources.cpus_per_trial)
    # The nearest double of 1 / 0.1 is not above 10, but that of 1 / 0.05 could be below 20.
    on_gpus = int(gpus / resources.gpus_per_trial + 1e-9) if resources.gpus_per_trial else fit
    return min(fit, on_gpus)


def as_shell(words: Sequence[str]) -> str:
    """A command as a line of a shell."""
    return shlex.join(words)
