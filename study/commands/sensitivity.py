"""``prune-study sensitivity``."""

from __future__ import annotations

import sys

import click

from study.commands.options import FORMATS, changes_option, settings, teller
from study.errors import UsageError


@click.command()
@click.argument("study", default="digits-mlp", metavar="[STUDY.toml|PRESET|DIR]")
@click.option("--name", help="Name of the folder; default: the study's and -sensitivity.")
@click.option("--storage-path", metavar="DIR", help="Where its folder is made; a path or a URI.")
@click.option("--seed", type=int, metavar="S", help="Seed of the first dense network.")
@click.option("--trial", "trial_id", metavar="ID", help="With DIR: start from a trial's masks.")
@click.option("--round", "round_", type=int, metavar="K", help="Of the trial; default: its last.")
@click.option("--trust-code", is_flag=True, help="Import the modules that the folder names.")
@changes_option
@click.option("--format", "format_", type=click.Choice(FORMATS[:3]), default="table")
def sensitivity(
    study: str,
    name: str | None,
    storage_path: str | None,
    seed: int | None,
    trial_id: str | None,
    round_: int | None,
    changes: tuple[str, ...],
    trust_code: bool,
    format_: str,
) -> None:
    """Scan how much each layer can take on its own, and print what it found.

    The scan starts from the dense network; or, with the folder of a study and --trial, from the
    masks of one of its networks.
    """
    import pandas as pd

    from analysis.tables import render_table

    if trial_id is not None:
        from study.exporting.trusting import refuse_untrusted
        from study.storage import Folder
        from study.tuning.afterwards.conditional_scan import scan_round

        refuse_untrusted(Folder(study), trial_id, trust_code)
        records = scan_round(Folder(study), trial_id, round_)
        found = pd.DataFrame([record.model_dump() for record in records])
        drop = next(name for name in found.columns if name.endswith("_drop"))
        place, quality = study, f"val_{drop.removesuffix('_drop')}"
    elif round_ is not None:
        raise UsageError("--round: says which round of a trial; give --trial too.")
    else:
        from analysis import load

        place = _scan_dense(study, name, storage_path, seed, changes)
        results = load(place)
        found, quality = results.sensitivity, results.quality.column
    if format_ == "table":
        found = found.pivot_table(index="sparsity", columns="layer", values=quality)
        found = found.reset_index()
    sys.stdout.buffer.write(render_table(found, format_))
    click.echo(place, err=True)


def _scan_dense(
    study: str, name: str | None, storage_path: str | None, seed: int | None,
    changes: tuple[str, ...],
) -> str:  # fmt: skip
    from study.configuration.loading import load_config
    from study.tuning.launching import scan_only
    from study.tuning.preparing import prepare

    plain = load_config(study, changes)
    own = settings(
        {
            "study.name": name or f"{plain.study.name}-sensitivity",
            "study.storage_path": storage_path,
            "study.seed": seed,
        }
    )
    config = load_config(study, [*changes, *own])
    return scan_only(prepare(config, tell=teller(quiet=False)), lambda *_: None).location
