"""What a time holds for: a processor, what runs on it, and how."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict

from study.errors import UsageError, unknown_name
from study.pruning.latency.backends import BACKENDS, NO_GPU, Backend
from study.pruning.latency.onnx_runtime import check_onnx_runtime

CACHE_VARIABLE = "PRUNE_STUDY_CACHE"


class Machine(BaseModel):
    """A processor by its name, what runs networks on it with how many threads, and its version."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    processor: str
    backend: Backend
    threads: int
    version: str

    @property
    def file_name(self) -> str:
        """Of its table of layers."""
        parts = (self.backend, str(self.threads), self.processor, self.version)
        return f"{'_'.join(re.sub(r'[^A-Za-z0-9.+]+', '-', part) for part in parts)}.json"


def this_machine(backend: Backend, threads: int) -> Machine:
    """The machine that this process runs on.

    Raises
    ------
    UsageError
        If the backend is unknown, or there is none of it here.
    """
    if backend not in BACKENDS:
        raise unknown_name("latency.backend", backend, BACKENDS)
    if threads < 1:
        raise UsageError(f"threads: {threads!r}; whole numbers from 1 up are allowed.")
    if backend == "cuda":
        if not torch.cuda.is_available():
            raise UsageError(NO_GPU)
        processor = torch.cuda.get_device_name()
    else:
        processor = _processor()
    if backend == "onnxruntime":
        check_onnx_runtime()
    runner = version("onnxruntime" if backend == "onnxruntime" else "torch")
    return Machine(processor=processor, backend=backend, threads=threads, version=runner)


def cache_folder() -> Path:
    """Where what was measured is kept: ``PRUNE_STUDY_CACHE``, else ``~/.cache/prune-study``."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else Path.home() / ".cache" / "prune-study"


def _processor() -> str:
    """The processor's name as Linux has it, else as Python has it."""
    facts = Path("/proc/cpuinfo")
    if facts.is_file():
        named = re.search(r"^model name\s*:\s*(.+)$", facts.read_text(), re.M)
        if named:
            return named[1].strip()
    return platform.processor() or platform.machine()
