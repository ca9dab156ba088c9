"""Fashion-MNIST (Xiao et al. 2017) from local IDX files, gzipped or not."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from study.errors import UsageError
from study.tasks.data.images import standardise
from study.tasks.data.splits import Data, Split
from study.tasks.data.splitting import SPLIT_SEED, stratified_split

DEBIAN_DIR = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package ``dataset-fashion-mnist`` puts the files."""


def fashion_mnist(data_dir: Path | None = None) -> Data:
    """Load Fashion-MNIST: inputs (n, 1, 28, 28) float32.

    54,000 of the official training images train and 6,000 (stratified) validate; the official
    10,000 test images are read only when they are asked for.

    Parameters
    ----------
    data_dir
        Folder with ``train-images-idx3-ubyte`` and its three siblings, each with or without
        ``.gz``; unset: Debian's.

    Raises
    ------
    UsageError
        If a file is missing or is not what its name says.
    """
    folder = data_dir or DEBIAN_DIR
    everything = _read_pair(folder, "train")
    stays, held_out = stratified_split(everything.targets, 0.1, SPLIT_SEED)
    train = Split(everything.inputs[stays], everything.targets[stays])
    validation = Split(everything.inputs[held_out], everything.targets[held_out])
    scaled = standardise(train, validation)
    _find(folder, "t10k-images-idx3-ubyte")
    return Data(
        "fashion_mnist",
        scaled[0],
        scaled[1],
        lambda: standardise(train, _read_pair(folder, "t10k"))[1],
        classes=10,
    )


def read_idx(path: Path, dimensions: int) -> Tensor:
    """Read an IDX file of unsigned bytes: uint8, of the shape that its header states.

    Parameters
    ----------
    path
        The file; gzipped where it ends in ``.gz``.
    dimensions
        Dimensions that it must have: 3 for images, 1 for labels.

    Raises
    ------
    UsageError
        If the file is damaged or of another kind.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"task.data_dir: {path} cannot be read: {error}") from error
    header = 4 + 4 * dimensions
    if data[:4] != bytes((0, 0, 8, dimensions)) or len(data) < header:
        raise UsageError(
            f"task.data_dir: {path} is no IDX file of unsigned bytes in {dimensions} dimensions."
        )
    shape = [int(size) for size in np.frombuffer(data, ">u4", dimensions, 4)]
    if len(data) != header + math.prod(shape):
        raise UsageError(
            f"task.data_dir: {path} should hold {math.prod(shape):,} values and holds "
            f"{len(data) - header:,}; it is damaged."
        )
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=header).reshape(shape).copy())


def _read_pair(folder: Path, prefix: str) -> Split:
    images = read_idx(_find(folder, f"{prefix}-images-idx3-ubyte"), 3)
    labels = read_idx(_find(folder, f"{prefix}-labels-idx1-ubyte"), 1)
    if len(images) != len(labels):
        raise UsageError(
            f"task.data_dir: {folder} holds {len(images)} {prefix} images and {len(labels)} labels."
        )
    if len(images) == 0 or images.shape[1:] != (28, 28) or labels.max() > 9:
        raise UsageError(
            f"task.data_dir: the {prefix} files in {folder} should hold images of 28 x 28 pixels "
            f"and labels from 0 to 9; the images are {tuple(images.shape)}."
        )
    return Split(images.float().div(255).unsqueeze(1), labels.long())


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise UsageError(
        f"task.data_dir: there is no {name} or {name}.gz in {folder}. Install Debian's package "
        "dataset-fashion-mnist, or set data_dir to a folder with the four IDX files."
    )
