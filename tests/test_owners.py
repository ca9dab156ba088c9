"""Who holds a study's folder, and what others see of it."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from study import owners
from study.errors import UsageError
from study.owners import claim, claimed, holder, one_line, this_machine
from study.records import OWNERS_DIR, Owner, Sign
from study.storage import Folder


def object_store(path: Path) -> Folder:
    """A folder that is treated as one behind an object store."""
    folder = Folder(path)
    folder._is_local = False
    return folder


@pytest.fixture(params=["file system", "object store"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    place = tmp_path / "study"
    return Folder(place) if request.param == "file system" else object_store(place)


def owned_by(folder: Folder, pid: int, machine: str, silent_s: float) -> None:
    at = (datetime.now(UTC) - timedelta(seconds=silent_s)).isoformat()
    owner = Owner(owner="ann@elsewhere", machine=machine, pid=pid, claimed_at=at)
    folder.write(owner.to_json(), OWNERS_DIR, "0001.json")
    folder.write(Sign(state="running", at=at).to_json(), OWNERS_DIR, "0001.sign.json")


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_folder_is_held_until_it_is_released(folder: Folder) -> None:
    assert holder(folder) is None
    held = claim(folder, is_new=True)
    seen = holder(folder)
    assert seen is not None
    assert (seen.number, seen.standing, seen.owner.pid) == (1, "running", os.getpid())
    with pytest.raises(UsageError, match=rf"is being run by .*process {os.getpid()}"):
        claim(folder, is_new=False)
    held.release("finished")
    seen = holder(folder)
    assert seen is not None
    assert seen.standing == "finished"


def test_of_many_who_start_one_study_at_once_one_has_it(folder: Folder) -> None:
    def start(_: int) -> bool:
        try:
            claim(folder, is_new=True)
        except UsageError:
            return False
        return True

    with ThreadPoolExecutor(12) as pool:
        assert sum(pool.map(start, range(12))) == 1


def test_a_new_study_is_refused_where_one_ended_and_told_to_resume_where_it_did_not(
    folder: Folder,
) -> None:
    with claimed(folder, is_new=True):
        pass
    with pytest.raises(UsageError, match=r"exists already\. Choose another --name"):
        claim(folder, is_new=True)
    with pytest.raises(KeyboardInterrupt), claimed(folder):
        raise KeyboardInterrupt
    with pytest.raises(UsageError, match=r"was interrupted\. Go on with it: prune-study resume"):
        claim(folder, is_new=True)
    with pytest.raises(OSError, match="full"), claimed(folder):
        raise OSError(28, "disk full")
    with pytest.raises(UsageError, match="its run failed"):
        claim(folder, is_new=True)
    seen = holder(folder)
    assert seen is not None
    assert seen.sign is not None
    assert "disk full" in seen.sign.why
    assert seen.number == 3


def test_of_a_process_of_this_machine_one_sees_at_once_that_it_died(folder: Folder) -> None:
    owned_by(folder, dead_process(), this_machine(), silent_s=1)
    seen = holder(folder)
    assert seen is not None
    assert seen.standing == "dead"
    with pytest.raises(UsageError, match="its run died"):
        claim(folder, is_new=True)
    assert claim(folder, is_new=False).number == 2


@pytest.mark.parametrize(("silent_s", "standing"), [(10, "running"), (3600, "dead")])
def test_an_owner_elsewhere_is_dead_when_it_was_silent(
    folder: Folder, silent_s: float, standing: str
) -> None:
    owned_by(folder, 1, "another machine", silent_s)
    seen = holder(folder)
    assert seen is not None
    assert seen.standing == standing


def test_signs_of_life_are_given_while_it_is_held(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owners, "BEAT_S", 0.05)
    monkeypatch.setattr(owners, "REMOTE_BEAT_S", 0.05)
    held = claim(folder, is_new=True)
    first = holder(folder)
    time.sleep(0.4)
    later = holder(folder)
    held.release("finished")
    assert first is not None
    assert later is not None
    assert first.sign is not None
    assert later.sign is not None
    assert later.sign.at > first.sign.at


def test_who_was_taken_for_dead_and_comes_back_ends(folder: Folder) -> None:
    """In a process of its own: it is ended by a signal to itself."""
    code = (
        "import sys, time\n"
        "from study import owners\n"
        "from study.storage import Folder\n"
        "owners.BEAT_S = 0.05\n"
        "held = owners.claim(Folder(sys.argv[1]), is_new=True)\n"
        "print('held', flush=True)\n"
        "time.sleep(30)\n"
    )
    command = [sys.executable, "-c", code, str(folder._base)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        other = Owner(owner="bob@elsewhere", machine="another machine", pid=1)
        folder.write(other.to_json(), OWNERS_DIR, "0002.json")
        assert process.wait(timeout=20) == -15


def test_a_damaged_claim_hides_nobody(folder: Folder) -> None:
    folder.write("{", OWNERS_DIR, "0001.json")
    assert holder(folder) is None
    assert claim(folder, is_new=False).number == 2


def test_an_error_that_carries_a_traceback_is_told_by_its_last_line() -> None:
    text = "Traceback (most recent call last):\n  File x\nOSError: [Errno 28] No space left\n"
    assert one_line(RuntimeError(text)) == "RuntimeError: OSError: [Errno 28] No space left"
    assert one_line(RuntimeError("one\n two")) == "RuntimeError: one two"
