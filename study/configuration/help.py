"""What every key of a study file means, for a terminal."""

from __future__ import annotations

from study.configuration.keys import config_tables


def config_help() -> str:
    """A line for each key: its type, its default, and what it is."""
    lines = []
    for table in config_tables():
        lines += ["", f"[{table.name}]  # {table.description}"]
        for key in table.keys:
            lines += [f"  {key.name}: {key.type} = {key.default}", f"      {key.description}"]
    return "\n".join(lines).strip()
