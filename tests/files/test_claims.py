"""Of those who claim a folder behind an object store at once, never two have it.

All orders in which two of them can take their steps are gone through, and each may be killed.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from queue import Queue
from threading import Thread

import pytest

from study.files.claims import made


class Killed(BaseException):
    """What ends a process in a test, without a word."""


class Steps:
    """A folder in memory whose every request waits until it is told to go on."""

    local_path = None

    def __init__(self, objects: dict[str, str]) -> None:
        self.objects = objects
        self.allowed: Queue[bool] = Queue()
        self.taken: Queue[bool] = Queue()
        self.steps = 0

    def _step(self) -> None:
        self.taken.put(True)
        if not self.allowed.get():
            raise Killed
        self.steps += 1

    def write(self, content: str, _: str, name: str) -> None:
        self._step()
        self.objects[name] = content

    def files(self, _: str) -> list[str]:
        self._step()
        return sorted(self.objects)

    def remove(self, _: str, name: str) -> None:
        self._step()
        self.objects.pop(name, None)


def run(order: Iterator[int], killed_after: int | None) -> tuple[list[str | None], dict[str, str]]:
    """Let two claim, a step of one of them at a time; the first one may be killed."""
    objects: dict[str, str] = {}
    folders, names = [Steps(objects), Steps(objects)], [None, None]
    over = [False, False]

    def start(which: int) -> None:
        with contextlib.suppress(Killed):
            names[which] = made(folders[which], 1)  # type: ignore[arg-type, call-overload]
        over[which] = True
        folders[which].taken.put(False)

    threads = [Thread(target=start, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    waits = [folder.taken.get() for folder in folders]
    for which in itertools.chain(order, [0] * 9, [1] * 9):
        if waits[which]:
            lives = which == 1 or killed_after is None or folders[0].steps < killed_after
            folders[which].allowed.put(lives)
            waits[which] = folders[which].taken.get()
    for thread in threads:
        thread.join()
    return names, objects


@pytest.mark.parametrize("killed_after", [None, 0, 1, 2, 3])
def test_of_two_at_once_at_most_one_has_it_in_whatever_order(killed_after: int | None) -> None:
    ends = set()
    for firsts in itertools.combinations(range(10), 5):
        order = (0 if place in firsts else 1 for place in range(10))
        names, objects = run(order, killed_after)
        had = [name for name in names if name is not None]
        assert len(had) <= 1, firsts
        claimed = [name for name in objects if "sign" not in name]
        if killed_after is None:
            assert claimed == had, "who has it not takes its claim away"
        ends.add((names[0] is not None, names[1] is not None))
    if killed_after is None:
        assert ends == {(True, False), (False, True), (False, False)}


def test_who_was_taken_for_stale_before_it_signed_has_nothing() -> None:
    class Swept(Steps):
        def _step(self) -> None: ...

        def write(self, content: str, _: str, name: str) -> None:
            super().write(content, _, name)
            if "sign" in name:
                self.objects.pop(name.replace(".sign", ""))
                self.objects["0001-other.json"] = ""

    folder = Swept({})
    assert made(folder, 1) is None  # type: ignore[arg-type]
    assert list(folder.objects) == ["0001-other.json"]
