"""``prune-study export``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

if TYPE_CHECKING:
    from study.exporting.export import Exported
    from study.exporting.sizes import Sizes


@click.command()
@click.argument("directory", metavar="DIR")
@click.option("--trial", "trial_id", required=True, metavar="ID", help="A trial, or a replicate.")
@click.option(
    "--round",
    "round_",
    type=int,
    metavar="K",
    help="Of it; 0 is dense; default: its last.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    help="Ends in .onnx, .safetensors or .pt2; an older file is replaced.",
)
@click.option("--shrink", is_flag=True, help="Leave dead channels, neurons and heads out.")
@click.option("--quantize", type=click.Choice(["int8"]), help="Of .onnx: int8 weights.")
@click.option("--sparse", is_flag=True, help="Of .safetensors: a bit a weight, and the values.")
@click.option("--trust-code", is_flag=True, help="Import the modules that the folder names.")
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table")
def export(
    directory: str,
    trial_id: str,
    round_: int | None,
    output: str,
    shrink: bool,
    quantize: Literal["int8"] | None,
    sparse: bool,
    trust_code: bool,
    format_: str,
) -> None:
    """Write a network of a study into a file, and say what it takes.

    \b
    .onnx         for ONNX Runtime and others; compared with torch before it is kept
    .safetensors  the weights under their names, loadable without this package
    .pt2          a program of torch.export; compared with torch before it is kept

    The weights are those of the round, with zeros where it is pruned; with --shrink, without the
    channels, neurons and heads that are dead, so that it is really smaller and faster. Each file
    says inside which network it is.
    """
    from study.exporting.export import export_network
    from study.exporting.trusting import refuse_untrusted
    from study.storage import Folder
    from study.visible import visible

    refuse_untrusted(Folder(directory), trial_id, trust_code)
    done = export_network(
        Folder(directory),
        trial_id,
        output,
        round_,
        shrink=shrink,
        quantize=quantize,
        sparse=sparse,
    )
    if format_ == "json":
        import json
        from dataclasses import asdict

        click.echo(json.dumps(asdict(done), indent=2))
        return
    for what, told in _rows(done):
        click.echo(visible(f"{what:<15} {told}"))


def _rows(done: Exported) -> list[tuple[str, str]]:
    sizes, parity, cost = done.sizes, done.parity, done.quantization
    rows = [
        ("file", done.path),
        ("network", f"trial {done.trial}, round {done.round} of {done.study}"),
        ("parameters", _parameters(sizes)),
        (
            "not zero",
            _smaller(sizes.nonzero_parameters, sizes.dense_parameters, "", "fewer than dense"),
        ),
        ("on disk", f"{sizes.file_bytes:,} bytes"),
        ("gzip", _smaller(sizes.gzip_bytes, sizes.file_bytes, " bytes", "smaller than the file")),
        ("dense weights", f"{sizes.dense_bytes:,} bytes in memory"),
        (
            "sparse storage",
            _smaller(sizes.sparse_bytes, sizes.dense_bytes, " bytes", "smaller than dense"),
        ),
    ]
    if parity is not None:
        rows.append(("free axes", "batch, sequence" if parity.lengths else "batch"))
        which = "" if cost is None else "in float32, "
        batches = ", ".join(map(str, parity.sizes))
        told = f"{which}on batches of {batches}; largest difference {parity.largest:.1e}"
        rows.append(("as in torch", told))
    if cost is not None:
        told = f"{cost.before:.4f} in float32, {cost.after:.4f} in int8"
        rows.append((cost.column, f"{told} ({cost.examples:,} validation examples)"))
    return rows


def _parameters(sizes: Sizes) -> str:
    """How many, and of a network of which something was left out also how many there were."""
    if sizes.parameters == sizes.dense_parameters:
        return f"{sizes.parameters:,}"
    fewer = _smaller(sizes.parameters, sizes.dense_parameters, "", "fewer")
    return f"{fewer}; dense {sizes.dense_parameters:,}"


def _smaller(few: int, many: int, unit: str, than: str) -> str:
    ratio = f" ({many / few:.1f} x {than})" if few else ""
    return f"{few:,}{unit}{ratio}"
