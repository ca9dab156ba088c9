"""Bad input, made by the thousand from a seed, and what the commands make of it.

python -m benchmarks.fuzz study_files                 3,000 bad study files, and right ones
python -m benchmarks.fuzz folders                     1,500 damaged study folders
python -m benchmarks.fuzz folders --cases 50 --seed 3
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported
os.environ.setdefault("MPLBACKEND", "agg")

import click

from benchmarks.fuzz.folders import folders
from benchmarks.fuzz.study_files import study_files


@click.group(help=__doc__.partition("\n")[0])
def main() -> None:
    """Choose what is damaged."""


main.add_command(study_files)
main.add_command(folders)

if __name__ == "__main__":
    main()
