"""The tables ``[confirm]`` and ``[report]``: what is done when a search is over."""

from __future__ import annotations

from typing import Any

from pydantic import Field, StrictBool, field_validator

from study.configuration.table import MOST_REPEATS, Table


class ConfirmTable(Table):
    """How much is spent to find out whether what the search found holds."""

    share: float = Field(
        default=0.25,
        ge=0,
        lt=1,
        description="of all training examples of a study, and of its time budget if it has one, "
        "that confirm what the search found: the best descent again on new seeds, and what a "
        "search by stages, which ends by itself, has left of its trials; 0: nothing is confirmed, "
        "and nothing named",
    )
    tolerances: tuple[float, ...] = Field(
        default=(0.005, 0.01, 0.02),
        description="drops against dense for which the smallest network is named: 0.01 is one "
        "point of a share, 0.01 of a score, 1 % of an amount such as perplexity",
    )
    seeds: int | None = Field(
        default=None,
        ge=2,
        le=MOST_REPEATS,
        description="new seeds that each network needs; unset: 3, or 5 where fewer than 1,000 "
        "examples judge",
    )
    confidence: float = Field(
        default=0.9,
        gt=0.5,
        lt=1,
        description="of the upper bound of a drop that names a network",
    )
    held_back: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="share of the validation examples that the search does not see, by which its "
        "networks are confirmed; unset: half where it may try more than 100 networks, else none, "
        "and all examples do both",
    )

    @field_validator("tolerances", mode="before")
    @classmethod
    def _tolerances_are_drops(cls, given: Any) -> tuple[float, ...]:
        allowed = "a list of different numbers of at least 0 and below 1 is allowed"
        if not isinstance(given, list | tuple) or not given:
            raise ValueError(f"{given!r}: {allowed}")
        for each in given:
            is_number = isinstance(each, int | float) and not isinstance(each, bool)
            if not is_number or not 0 <= each < 1:
                raise ValueError(f"{each!r} in {list(given)}: {allowed}")
        if len(set(given)) < len(given):
            raise ValueError(f"{list(given)}: one is there twice; {allowed}")
        return tuple(sorted(float(each) for each in given))


class ReportTable(Table):
    """What is measured for the report when the search is over."""

    test: StrictBool = Field(
        default=True,
        description="read the test split, each network once, for the dense one and those the "
        "report names",
    )
    controls: StrictBool = Field(
        default=False,
        description="run the headline's networks again on new seeds, beside their controls: "
        "their masks on new weights, shuffled masks, and unpruned at equal budget",
    )
    control_seeds: int = Field(default=3, ge=1, le=MOST_REPEATS, description="new seeds of each")
    controlled_networks: int = Field(
        default=1, ge=1, le=3, description="of the headline's networks, the first so many"
    )
