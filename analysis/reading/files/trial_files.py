"""The files of a study's trials: which there are, whether they changed, and what is in them."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow.fs as pafs

from study.files.documents import SETTLED_S
from study.files.problems import Problems
from study.records import TRIALS_DIR
from study.storage import Folder

BATCH_BYTES = 1 << 24
"""Text held in memory at a time, about."""

_REMOTE_READERS = 32


def read_batches(
    folder: Folder, ids: Sequence[str], file: str, problems: Problems
) -> Iterator[list[tuple[str, bytes]]]:
    """Content of the same file of many trials, in batches of bounded size, in order.

    A trial without the file has empty content, and so has one whose file cannot be read, which is
    told of in ``problems``.
    """
    batch: list[tuple[str, bytes]] = []
    size = 0
    for trial_id, data in zip(ids, _contents(folder, ids, file, problems), strict=True):
        batch.append((trial_id, data))
        size += len(data)
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def stamps(folder: Folder, ids: Iterable[str], file: str) -> dict[str, str]:
    """A text for each trial that is different once its file has changed.

    Files that are missing, are no plain ones, or changed a moment ago, have none.
    """
    settled_ns = time.time_ns() - int(SETTLED_S * 1e9)
    found: dict[str, str] = {}
    if folder.local_path is None:
        filesystem, base = folder.pyarrow
        selector = pafs.FileSelector(
            f"{base.rstrip('/')}/{TRIALS_DIR}", recursive=True, allow_not_found=True
        )
        for info in filesystem.get_file_info(selector):
            if info.base_name == file and (info.mtime_ns or settled_ns) < settled_ns:
                trial_id = info.path.rsplit("/", 2)[-2]
                found[trial_id] = f"{info.mtime_ns}:{info.size}"
        return found
    root = os.path.join(folder.local_path, TRIALS_DIR)  # noqa: PTH118  one Path a file is slow
    for trial_id in ids:
        try:
            info = os.lstat(f"{root}/{trial_id}/{file}")
        except (OSError, ValueError):
            continue
        if stat.S_ISREG(info.st_mode) and info.st_mtime_ns < settled_ns:
            # Records are replaced by a rename, which changes the inode even within one tick.
            found[trial_id] = f"{info.st_mtime_ns}:{info.st_size}:{info.st_ino}"
    return found


def _contents(folder: Folder, ids: Sequence[str], file: str, problems: Problems) -> Iterator[bytes]:
    def read(trial_id: str) -> bytes:
        try:
            return folder.read(TRIALS_DIR, trial_id, file)
        except FileNotFoundError:
            pass
        except Exception as error:
            problems.damaged(f"{TRIALS_DIR}/{trial_id}/{file}", error)
        return b""

    if folder.local_path is not None:
        yield from map(read, ids)
        return
    with ThreadPoolExecutor(_REMOTE_READERS) as pool:
        yield from pool.map(read, ids)
