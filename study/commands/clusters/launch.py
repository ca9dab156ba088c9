"""``prune-study launch``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from study.commands.options import changes_option
from study.errors import UsageError
from study.files.outputs import refuse_output, write_output

BACKENDS = ("job", "kuberay", "slurm")


@click.command()
@click.argument("study", metavar="STUDY.toml|PRESET")
@click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    required=True,
    help="A job of a Ray cluster that is up; a manifest for KubeRay; a script for Slurm.",
)
@click.option("--name", help="Name of the study and its folder.")
@click.option(
    "--storage-path", metavar="DIR", help="Where its folder is: an absolute path that all machines "
    "share, or a URI.",
)  # fmt: skip
@click.option("--num-samples", type=int, metavar="N", help="Trials to run.")
@changes_option
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Of the manifest or script (default: NAME.yaml, NAME.sbatch); job: copy of the report.",
)
@click.option("--address", metavar="URL", help="job: the cluster's dashboard, http://HOST:8265.")
@click.option("--cpus", type=click.IntRange(1), default=8, help="CPUs of a worker or node.")
@click.option("--gpus", type=click.IntRange(0), default=0, help="GPUs of a worker or node.")
@click.option("--image", help="kuberay: with Ray, prune-study and what the task imports.")
@click.option(
    "--workers", default="1-4", metavar="MIN-MAX", help="kuberay: workers, by what is to be done."
)
@click.option("--memory", default="16Gi", metavar="SIZE", help="kuberay: of a worker.")
@click.option("--pvc", metavar="CLAIM", help="kuberay: a claim, mounted at the storage path.")
@click.option("--secret", metavar="NAME", help="kuberay: a secret with AWS_ACCESS_KEY_ID etc.")
@click.option("--service-account", metavar="NAME", help="kuberay: of the pods.")
@click.option("--spot", metavar="LABEL=VALUE", help="kuberay: of the nodes for workers.")
@click.option("--namespace", metavar="NAME", help="kuberay: of the job.")
@click.option("--retries", type=click.IntRange(0), default=3, help="kuberay: fresh clusters.")
@click.option("--nodes", type=click.IntRange(1), default=1, help="slurm: nodes of the job.")
@click.option("--time", default="24:00:00", metavar="LIMIT", help="slurm: of each run of the job.")
@click.option("--sbatch", multiple=True, metavar="--OPTION=VALUE", help="slurm: a further one.")
@click.option("--setup", multiple=True, metavar="LINE", help="slurm: such as 'module load ray'.")
@click.pass_context
def launch(
    ctx: click.Context,
    /,
    study: str,
    backend: str,
    changes: tuple[str, ...],
    name: str | None,
    storage_path: str | None,
    num_samples: int | None,
    output: str | None,
    **options: Any,
) -> None:
    """Run a study on a cluster, or write the file that its scheduler takes.

    What runs there is `prune-study run-or-resume`: sent again, by a person or a scheduler, it goes
    on with the study where it was.
    """
    from study.clusters.launch import plan_launch

    _refuse_options_of_others(ctx, backend)
    if output is not None and Path(output).resolve() == Path(study).resolve():
        raise UsageError(f"--output: {output!r} is the study file itself.")
    planned = plan_launch(
        study, changes, name=name, storage_path=storage_path, num_samples=num_samples
    )
    if backend == "job":
        from study.clusters.job import connect, fetch_report, run_job

        def say(line: str) -> None:
            click.echo(line, err=True)

        if output is not None:
            refuse_output(output)
        code = run_job(planned, connect(options["address"]), say)
        if output is not None:
            fetch_report(planned, output, say)
        click.echo(planned.location)
        ctx.exit(code)
    if backend == "kuberay":
        from study.clusters.kuberay import KubeRayJob, manifest

        if options["image"] is None:
            raise UsageError("--image: kuberay needs one, with Ray and prune-study in it.")
        job = KubeRayJob(
            image=options["image"],
            claim=options["pvc"],
            workers=_range(options["workers"]),
            **{key: options[key] for key in ("secret", "service_account", "cpus", "gpus")},
            **{key: options[key] for key in ("memory", "spot", "retries", "namespace")},
        )
        _write(output or f"{planned.name}.yaml", manifest(planned, job), "kubectl apply -f")
        return
    from study.clusters.slurm import SlurmJob, batch_script

    slurm = SlurmJob(
        options=options["sbatch"],
        setup=options["setup"],
        **{key: options[key] for key in ("nodes", "cpus", "gpus", "time")},
    )
    _write(output or f"{planned.name}.sbatch", batch_script(planned, slurm), "sbatch")


OWN = {
    "job": ("address",),
    "kuberay": ("image", "workers", "memory", "pvc", "secret", "service_account", "spot",
                "namespace", "retries", "cpus", "gpus"),
    "slurm": ("nodes", "time", "sbatch", "setup", "cpus", "gpus"),
}  # fmt: skip
"""Options that mean something to each backend."""


def _refuse_options_of_others(ctx: click.Context, backend: str) -> None:
    given = {
        name
        for name in {name for names in OWN.values() for name in names}
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    }
    for name in sorted(given - set(OWN[backend])):
        others = " and ".join(other for other in BACKENDS if name in OWN[other])
        raise UsageError(
            f"--{name.replace('_', '-')}: means something to {others} only, not to {backend}."
        )


def _range(text: str) -> tuple[int, int]:
    least, dash, most = text.partition("-")
    if not (least.isdecimal() and (most if dash else least).isdecimal()):
        raise UsageError(f"--workers: {text!r} is no range; write 1-8, or 4.")
    return int(least), int(most if dash else least)


def _write(output: str, text: str, next_command: str) -> None:
    """Write the file, print its path, and say what is to be done with it."""
    write_output(output, text.encode())
    click.echo(output)
    click.echo(f"next: {next_command} {shlex.quote(output)}", err=True)
