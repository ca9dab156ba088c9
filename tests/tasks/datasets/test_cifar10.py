import os
import pickle
import tarfile
from collections.abc import Callable
from hashlib import md5
from pathlib import Path

import numpy as np
import pytest
import torch

from study.errors import UsageError
from study.tasks.datasets.cifar10 import ARCHIVES, cifar10
from study.tasks.datasets.cifar10_pickle import decode_pickle

PER_BATCH = 20
BATCHES = [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]


def batch(number: int) -> tuple[np.ndarray, list[int]]:
    generator = np.random.default_rng(number)
    pixels = generator.integers(0, 256, (PER_BATCH, 3072)).astype(np.uint8)
    return pixels, [n % 10 for n in range(PER_BATCH)]


def python_file(number: int) -> bytes:
    pixels, labels = batch(number)
    content = {b"data": pixels, b"labels": labels, b"batch_label": b"x", b"filenames": [b"a.png"]}
    return pickle.dumps(content, protocol=2)


def binary_file(number: int) -> bytes:
    pixels, labels = batch(number)
    return np.hstack([np.array(labels, np.uint8)[:, None], pixels]).tobytes()


def write_folder(root: Path, kind: str) -> None:
    folder = root / ("cifar-10-batches-py" if kind == "python" else "cifar-10-batches-bin")
    folder.mkdir()
    for number, name in enumerate(BATCHES):
        if kind == "python":
            (folder / name).write_bytes(python_file(number))
        else:
            (folder / f"{name}.bin").write_bytes(binary_file(number))


def write_archive(root: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(root, kind)
    (folder,) = root.iterdir()
    archive = root / f"cifar-10-{kind}.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname=folder.name)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    checksum = md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setitem(ARCHIVES, archive.name, checksum)


def as_folder(root: Path, kind: str, _: pytest.MonkeyPatch) -> None:
    write_folder(root, kind)


@pytest.mark.parametrize("kind", ["python", "binary"])
@pytest.mark.parametrize("write", [as_folder, write_archive])
def test_official_formats_are_read(
    tmp_path: Path,
    kind: str,
    write: Callable[[Path, str, pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(tmp_path, kind, monkeypatch)
    data = cifar10(tmp_path)
    assert data.train.inputs.shape == (90, 3, 32, 32)
    assert data.validation.targets.bincount().tolist() == [1] * 10
    pixels, labels = batch(5)
    test = data.load_test()
    assert test.targets.tolist() == labels
    # The test images are scaled as the training images are: undo it on two pixels' differences.
    raw = torch.from_numpy(pixels).reshape(-1, 3, 32, 32).float() / 255
    scale = (raw[0, 0, 0, 0] - raw[1, 0, 5, 5]) / (
        test.inputs[0, 0, 0, 0] - test.inputs[1, 0, 5, 5]
    )
    assert 0.2 < scale < 0.4


def test_both_formats_hold_the_same_images(tmp_path: Path) -> None:
    for kind in ("python", "binary"):
        (tmp_path / kind).mkdir()
        write_folder(tmp_path / kind, kind)
    first, second = cifar10(tmp_path / "python"), cifar10(tmp_path / "binary")
    assert torch.equal(first.train.inputs, second.train.inputs)


def test_an_archive_with_another_checksum_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"something else")
    with pytest.raises(UsageError, match=r"has MD5 .* official archive has c58f30"):
        cifar10(tmp_path)


def test_an_empty_folder_says_what_should_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cifar-10-python\.tar\.gz"):
        cifar10(tmp_path)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch /tmp/prune-study-was-here",)


def test_a_pickle_that_wants_to_run_something_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, "python")
    evil = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    evil.write_bytes(pickle.dumps({b"data": Evil(), b"labels": []}))
    with pytest.raises(UsageError, match=r"data_batch_3 .*system, which is not allowed"):
        cifar10(tmp_path)
    assert not Path("/tmp/prune-study-was-here").exists()


@pytest.mark.parametrize("content", [b"", b"\x80\x04garbage", pickle.dumps({b"labels": [1]})])
def test_a_damaged_batch_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    write_folder(tmp_path, "python")
    (tmp_path / "cifar-10-batches-py" / "data_batch_2").write_bytes(content)
    with pytest.raises(UsageError, match="data_batch_2"):
        cifar10(tmp_path)


def test_a_cut_off_binary_batch_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, "binary")
    file = tmp_path / "cifar-10-batches-bin" / "data_batch_1.bin"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UsageError, match="no multiple of 3073"):
        cifar10(tmp_path)


def test_a_batch_can_hold_any_of_the_older_pickle_protocols() -> None:
    for protocol in range(2, 5):
        pixels, labels = batch(0)
        data = pickle.dumps({b"data": pixels, b"labels": labels}, protocol=protocol)
        assert np.array_equal(decode_pickle("x", data)[0], pixels)


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": [300]}, protocol=2),
        pickle.dumps({b"data": np.full((1, 3072), 0.7), b"labels": [1]}, protocol=2),
        pickle.dumps({b"data": np.zeros((1, 3072), object), b"labels": [1]}, protocol=2),
        b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00bogus\x86R.",
        b"\x80\x02c_codecs\nencode\nK\x01X\x06\x00\x00\x00latin1\x86R.",
    ],
    ids=["label 300", "floats", "objects", "unknown codec", "encoding a number"],
)
def test_what_is_not_a_batch_of_bytes_is_refused(content: bytes) -> None:
    with pytest.raises(UsageError, match="x is no batch of CIFAR-10"):
        decode_pickle("x", content)


def test_a_pickle_damaged_anywhere_is_read_or_refused_but_never_crashes() -> None:
    pixels, labels = batch(0)
    whole = pickle.dumps({b"data": pixels, b"labels": labels}, protocol=2)
    head = whole.index(b"dtype") + 60  # where the structure is; the rest are pixels
    generator = np.random.default_rng(0)
    for _ in range(2000):
        damaged = bytearray(whole)
        for place in generator.integers(0, head, 2):
            damaged[place] = generator.integers(256)
        try:
            decoded, _ = decode_pickle("x", bytes(damaged))
        except UsageError:
            continue
        assert decoded.shape[1] == 3072
