"""CIFAR-10 (Krizhevsky 2009) from the official archives, python or binary, in a local folder."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from study.errors import UsageError
from study.tasks.data.images import standardise
from study.tasks.data.splits import Data, Split
from study.tasks.data.splitting import SPLIT_SEED, stratified_split
from study.tasks.datasets.cifar10_pickle import decode_pickle

ARCHIVES = {
    "cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a",
    "cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530",
}
"""MD5 sums of the official archives, as their author publishes them."""

FOLDERS = ("cifar-10-batches-py", "cifar-10-batches-bin")
TRAIN_FILES = tuple(f"data_batch_{number}" for number in range(1, 6))
_ROW = 1 + 3 * 32 * 32

Reader = Callable[[str], bytes]


def cifar10(data_dir: Path | None = None) -> Data:
    """Load CIFAR-10: inputs (n, 3, 32, 32) float32.

    45,000 of the official training images train and 5,000 (stratified) validate; the official
    10,000 test images are read only when they are asked for.

    Parameters
    ----------
    data_dir
        Folder with an official archive, or with what one unpacks to.

    Raises
    ------
    UsageError
        If nothing is there, a checksum differs, or a file is damaged.
    """
    if data_dir is None:
        raise UsageError(
            "task.data_dir: cifar10 needs the folder with cifar-10-python.tar.gz or "
            "cifar-10-binary.tar.gz (or what they unpack to); it is not downloaded."
        )
    read, binary = _open(data_dir)
    parts = [_batch(read, name, binary) for name in TRAIN_FILES]
    images = torch.cat([part.inputs for part in parts])
    labels = torch.cat([part.targets for part in parts])
    stays, held_out = stratified_split(labels, 0.1, SPLIT_SEED)
    train = Split(images[stays], labels[stays])
    scaled = standardise(train, Split(images[held_out], labels[held_out]))
    return Data(
        "cifar10",
        scaled[0],
        scaled[1],
        lambda: standardise(train, _batch(read, "test_batch", binary))[1],
        classes=10,
    )


def _open(data_dir: Path) -> tuple[Reader, bool]:
    """How to read a batch by name, and whether the batches are binary."""
    for folder in FOLDERS:
        for place in (data_dir / folder, data_dir):
            suffix = ".bin" if folder.endswith("bin") else ""
            if (place / f"{TRAIN_FILES[0]}{suffix}").is_file():
                return _from_folder(place), bool(suffix)
    for archive, md5 in ARCHIVES.items():
        if (data_dir / archive).is_file():
            return _from_archive(data_dir / archive, md5), "binary" in archive
    raise UsageError(
        f"task.data_dir: there is no CIFAR-10 in {data_dir}. It should hold one of "
        f"{', '.join((*ARCHIVES, *FOLDERS))}."
    )


def _from_folder(folder: Path) -> Reader:
    def read(name: str) -> bytes:
        path = folder / name
        if not path.is_file():
            raise UsageError(f"task.data_dir: {path} is missing.")
        return path.read_bytes()

    return read


def _from_archive(path: Path, md5: str) -> Reader:
    content = path.read_bytes()
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5:
        raise UsageError(
            f"task.data_dir: {path} has MD5 {found}, and the official archive has {md5}; "
            "it is damaged or another file."
        )

    def read(name: str) -> bytes:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            for member in archive:
                if member.isfile() and member.name.rsplit("/", 1)[-1] == name:
                    file = archive.extractfile(member)
                    assert file is not None
                    return file.read()
        raise UsageError(f"task.data_dir: {path} holds no {name}.")

    return read


def _batch(read: Reader, name: str, binary: bool) -> Split:
    data = read(f"{name}.bin" if binary else name)
    pixels, labels = (_decode_binary if binary else decode_pickle)(name, data)
    if labels.size == 0 or labels.max() > 9 or pixels.shape != (labels.size, _ROW - 1):
        raise UsageError(f"task.data_dir: {name} does not hold CIFAR-10 images and labels.")
    images = torch.from_numpy(pixels.reshape(-1, 3, 32, 32).copy()).float().div(255)
    return Split(images, torch.from_numpy(labels.astype(np.int64)))


def _decode_binary(name: str, data: bytes) -> tuple[np.ndarray, np.ndarray]:
    if len(data) % _ROW:
        raise UsageError(
            f"task.data_dir: {name}.bin is {len(data):,} bytes long, no multiple of {_ROW}."
        )
    rows = np.frombuffer(data, np.uint8).reshape(-1, _ROW)
    return rows[:, 1:], rows[:, 0]
