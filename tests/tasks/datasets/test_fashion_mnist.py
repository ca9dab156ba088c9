import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from study.errors import UsageError
from study.tasks.datasets.fashion_mnist import fashion_mnist, read_idx


def write_idx(path: Path, values: np.ndarray, *, zipped: bool) -> None:
    header = bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape)
    data = header + values.astype(np.uint8).tobytes()
    if zipped:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(data))
    else:
        path.write_bytes(data)


def write_dataset(folder: Path, *, zipped: bool) -> None:
    generator = np.random.default_rng(0)
    for prefix, n in (("train", 100), ("t10k", 20)):
        write_idx(
            folder / f"{prefix}-images-idx3-ubyte",
            generator.integers(0, 256, (n, 28, 28)),
            zipped=zipped,
        )
        write_idx(folder / f"{prefix}-labels-idx1-ubyte", np.arange(n) % 10, zipped=zipped)


@pytest.mark.parametrize("zipped", [True, False])
def test_idx_files_are_read_gzipped_or_not(tmp_path: Path, zipped: bool) -> None:
    write_dataset(tmp_path, zipped=zipped)
    data = fashion_mnist(tmp_path)
    assert data.train.inputs.shape == (90, 1, 28, 28)
    assert data.validation.targets.bincount().tolist() == [1] * 10
    test = data.load_test()
    assert len(test) == 20
    assert test.targets.tolist() == [n % 10 for n in range(20)]


def test_pixels_arrive_where_the_file_has_them(tmp_path: Path) -> None:
    values = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    write_idx(tmp_path / "x", values, zipped=False)
    assert torch.equal(read_idx(tmp_path / "x", 3), torch.from_numpy(values).to(torch.uint8))


def test_a_missing_file_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Install Debian's package"):
        fashion_mnist(tmp_path)


def test_a_cut_off_or_foreign_file_is_refused_by_name(tmp_path: Path) -> None:
    write_dataset(tmp_path, zipped=False)
    images = tmp_path / "train-images-idx3-ubyte"
    whole = images.read_bytes()
    images.write_bytes(whole[:-5])
    with pytest.raises(UsageError, match="train-images-idx3-ubyte should hold 78,400 values"):
        fashion_mnist(tmp_path)
    images.write_bytes(b"PNG" + whole)
    with pytest.raises(UsageError, match="is no IDX file"):
        fashion_mnist(tmp_path)
    images.unlink()
    images.with_name(f"{images.name}.gz").write_bytes(b"not gzip")
    with pytest.raises(UsageError, match="cannot be read"):
        fashion_mnist(tmp_path)


def test_images_and_labels_must_be_as_many(tmp_path: Path) -> None:
    write_dataset(tmp_path, zipped=False)
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.zeros(99), zipped=False)
    with pytest.raises(UsageError, match="100 train images and 99 labels"):
        fashion_mnist(tmp_path)


def test_a_damaged_gzip_stream_is_refused_by_name(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 9, 1000)
    write_idx(tmp_path / "x", values, zipped=True)
    content = bytearray((tmp_path / "x.gz").read_bytes())
    content[30] ^= 0xFF
    content[31] ^= 0xFF
    (tmp_path / "x.gz").write_bytes(content)
    with pytest.raises(UsageError, match=r"x\.gz cannot be read"):
        read_idx(tmp_path / "x.gz", 1)


@pytest.mark.parametrize(("side", "classes"), [(5, 10), (28, 11)])
def test_images_and_labels_of_another_dataset_are_refused(
    tmp_path: Path, side: int, classes: int
) -> None:
    images = np.zeros((50, side, side))
    write_idx(tmp_path / "train-images-idx3-ubyte", images, zipped=False)
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.arange(50) % classes, zipped=False)
    with pytest.raises(UsageError, match="28 x 28 pixels and labels from 0 to 9"):
        fashion_mnist(tmp_path)
