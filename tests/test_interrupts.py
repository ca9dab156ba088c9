"""Signals: the first asks, the second ends."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from study.interrupts import Interrupted, Interrupts, exit_code

CODE = """
import sys, time
from study.interrupts import Interrupts, exit_code
try:
    with Interrupts() as interrupts:
        {body}
except KeyboardInterrupt as error:
    sys.exit(exit_code(error))
sys.exit(128 + (interrupts.signum or 0))
"""
AT_ONCE = "print('ready', flush=True); time.sleep(20)"
ASKED = (
    "ended = []\n"
    "        with interrupts.asking(lambda: ended.append(1)):\n"
    "            print('ready', flush=True)\n"
    "            while not ended or {on}: time.sleep(0.05)\n"
)


@contextmanager
def started(body: str) -> Iterator[subprocess.Popen[str]]:
    code = CODE.replace("{body}", body)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as own:
        assert own.stdout is not None
        assert own.stdout.readline() == "ready\n"
        yield own


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
@pytest.mark.parametrize("body", [AT_ONCE, ASKED.replace("{on}", "False")])
def test_each_signal_has_its_exit_code(signum: signal.Signals, code: int, body: str) -> None:
    with started(body) as process:
        process.send_signal(signum)
        assert process.wait(timeout=10) == code


def test_the_second_signal_does_not_wait_for_what_the_first_asked() -> None:
    with started(ASKED.replace("{on}", "True")) as process:
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 130


def test_a_signal_that_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_handlers_are_put_back_as_they_were() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Interrupts():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_nothing_begins_after_a_signal() -> None:
    interrupts = Interrupts()
    interrupts.signum = signal.SIGTERM
    with pytest.raises(Interrupted) as caught, interrupts.asking(lambda: None):
        raise AssertionError
    assert exit_code(caught.value) == 143


def test_what_c_code_makes_of_a_signal_keeps_its_exit_code() -> None:
    """Ray's waits raise a KeyboardInterrupt of their own where a handler raised."""

    def wait() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise KeyboardInterrupt from None

    with pytest.raises(Interrupted) as caught, Interrupts():
        wait()
    assert exit_code(caught.value) == 143
