"""Who holds a study's folder, and what others see of it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest

from study import owners
from study.errors import UsageError
from study.owners import Claim, claim, claimed, holder, is_unused, one_line
from study.processes import this_machine
from study.records import OWNERS_DIR, STUDY_FILE, Owner, Sign
from study.storage import Folder
from tests.s3_server import S3Server


@pytest.fixture(autouse=True)
def silenced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Owners that a test leaves give no further signs of life."""
    kept = list[Claim]()

    class Kept(Claim):
        def __init__(self, folder: Folder, name: str) -> None:
            super().__init__(folder, name)
            kept.append(self)

    monkeypatch.setattr(owners, "Claim", Kept)
    yield
    for each in kept:
        each._over.set()
        each._beat.join()


@pytest.fixture(params=["file system", "object store"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, s3: S3Server) -> Folder:
    if request.param == "file system":
        return Folder(tmp_path / "study")
    s3.make_bucket("owners")
    return Folder(s3.uri(f"owners/{tmp_path.name}"))


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
    held = claim(folder, is_new=True)
    folder.write("", STUDY_FILE)
    held.release("finished")
    with pytest.raises(UsageError, match=r"exists already\. Choose another --name"):
        claim(folder, is_new=True)
    claim(folder, is_new=False).release("interrupted")
    with pytest.raises(UsageError, match=r"was interrupted\. Go on with it: prune-study resume"):
        claim(folder, is_new=True)
    claim(folder, is_new=False).release("failed", one_line(OSError(28, "disk full")))
    with pytest.raises(UsageError, match="its run failed"):
        claim(folder, is_new=True)
    seen = holder(folder)
    assert seen is not None
    assert seen.sign is not None
    assert "disk full" in seen.sign.why
    assert seen.number == 3


@pytest.mark.parametrize("state", ["finished", "interrupted", "failed"])
def test_what_is_added_to_a_study_leaves_its_standing_as_it_was(
    folder: Folder, state: Literal["finished", "interrupted", "failed"]
) -> None:
    claim(folder, is_new=True).release(state, "why")
    with claimed(folder), pytest.raises(UsageError, match="is being run by"), claimed(folder):
        pass
    with pytest.raises(KeyboardInterrupt), claimed(folder):
        raise KeyboardInterrupt
    seen = holder(folder)
    assert seen is not None
    assert seen.sign is not None
    assert (seen.standing, seen.sign.why, seen.number) == (state, "why", 3)


def test_a_folder_that_was_claimed_and_no_more_is_free_for_a_new_study(folder: Folder) -> None:
    owned_by(folder, dead_process(), this_machine(), silent_s=1)
    assert is_unused(folder)
    held = claim(folder, is_new=True)
    assert held.number == 2
    assert not is_unused(folder)
    held.release("failed")
    folder.write("", STUDY_FILE)
    assert not is_unused(folder)


def test_of_a_process_of_this_machine_one_sees_at_once_that_it_died(folder: Folder) -> None:
    folder.write("", STUDY_FILE)
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
    signs = set()
    until = time.monotonic() + 10
    while len(signs) < 3 and time.monotonic() < until:
        found = holder(folder)
        # This stand-in for an object store writes in place: a sign may be met half written.
        if found is not None and found.sign is not None:
            signs.add(found.sign.at)
        time.sleep(0.02)
    held.release("finished")
    assert len(signs) >= 3


def test_who_was_taken_for_dead_and_comes_back_ends(folder: Folder) -> None:
    """In a process of its own: it is ended by a signal to itself."""
    code = (
        "import sys, time\n"
        "from study import owners\n"
        "from study.storage import Folder\n"
        "owners.BEAT_S = owners.REMOTE_BEAT_S = 0.05\n"
        "held = owners.claim(Folder(sys.argv[1]), is_new=True)\n"
        "print('held', flush=True)\n"
        "time.sleep(30)\n"
    )
    command = [sys.executable, "-c", code, folder.location]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        other = Owner(owner="bob@elsewhere", machine="another machine", pid=1)
        folder.write(other.to_json(), OWNERS_DIR, "0002.json")
        assert process.wait(timeout=20) == -15


def test_a_damaged_claim_hides_nobody(folder: Folder) -> None:
    folder.write("{", OWNERS_DIR, "0001.json")
    folder.write("{", OWNERS_DIR, "0001.sign.json")
    assert holder(folder) is None
    with pytest.raises(UsageError, match=r"exists already\. Choose another"):
        claim(folder, is_new=True)
    assert claim(folder, is_new=False).number == 2


def test_a_claim_that_is_created_at_this_moment_is_waited_for(tmp_path: Path) -> None:
    """It is empty until its owner has written into it: it was taken for nobody's."""
    folder = Folder(tmp_path)
    assert folder.create("", OWNERS_DIR, "0001.json")
    other = Owner(owner="ann@here", machine=this_machine(), pid=os.getpid())
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(claim, folder, is_new=False)
        time.sleep(0.1)
        folder.write(other.to_json(), OWNERS_DIR, "0001.json")
        with pytest.raises(UsageError, match="is being run by ann@here"):
            starting.result()


@pytest.fixture
def bucket(s3: S3Server, tmp_path: Path) -> Folder:
    s3.make_bucket("owners")
    return Folder(s3.uri(f"owners/{tmp_path.name}"))


def contending(folder: Folder, name: str, pid: int, machine: str = "another machine") -> None:
    owner = Owner(owner="bob@elsewhere", machine=machine, pid=pid)
    folder.write(owner.to_json(), OWNERS_DIR, name)


def test_who_died_while_it_contended_stands_in_nobodys_way(bucket: Folder) -> None:
    held = claim(bucket, is_new=True)
    contending(bucket, "0001-zz.json", dead_process(), this_machine())
    seen = holder(bucket)
    assert seen is not None
    assert (seen.owner.pid, seen.standing) == (os.getpid(), "running")
    held.release("interrupted")
    contending(bucket, "0002-zz.json", dead_process(), this_machine())
    assert claim(bucket, is_new=False).number == 2
    assert bucket.files(OWNERS_DIR)[-2][:5] == "0002-"
    assert not bucket.exists(OWNERS_DIR, "0002-zz.json")


def test_who_contends_elsewhere_is_waited_for_and_not_pushed_aside(
    bucket: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owners, "_PAUSE_S", (0.0, 0.01))
    contending(bucket, "0001-zz.json", 1)
    with pytest.raises(UsageError, match="others are starting it at this moment; try again"):
        claim(bucket, is_new=True)
    assert bucket.files(OWNERS_DIR) == ["0001-zz.json"]


def test_an_error_that_carries_a_traceback_is_told_by_its_last_line() -> None:
    text = "Traceback (most recent call last):\n  File x\nOSError: [Errno 28] No space left\n"
    assert one_line(RuntimeError(text)) == "RuntimeError: OSError: [Errno 28] No space left"
    assert one_line(RuntimeError("one\n two")) == "RuntimeError: one two"
