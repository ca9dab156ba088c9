"""One point of the checklist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["PASS", "WARN", "FAIL"]


@dataclass(frozen=True)
class Check:
    """One recommendation.

    Parameters
    ----------
    name
        What is asked for.
    status
        ``"PASS"``, ``"WARN"`` (in part, or it cannot be told) or ``"FAIL"``.
    reason
        What the study has.
    remedy
        What to run or write to mend it; empty where nothing is to be mended.
    """

    name: str
    status: Status
    reason: str
    remedy: str = ""
