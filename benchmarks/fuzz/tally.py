"""What is found, counted by its kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import click


@dataclass
class Tally:
    """Cases, calls, how these ended, and the faults among them."""

    cases: int = 0
    calls: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def fault(self, kind: str, told: str) -> None:
        """Note one."""
        self.counts[kind] += 1
        self.examples.append(f"{kind}: {told}")

    def tell(self, what: str, faults: Sequence[str], took_s: float, show: int) -> None:
        """Print it: so many faults in full, then how often each kind came."""
        for example in self.examples[:show]:
            click.echo(example)
        click.echo(f"{self.cases:,} {what}, {self.calls:,} commands, {took_s:.0f} s")
        codes = ", ".join(f"{count:,} with {code}" for code, count in sorted(self.codes.items()))
        click.echo(f"  ended: {codes}")
        for fault in faults:
            click.echo(f"  {fault:<20} {self.counts[fault]}")
