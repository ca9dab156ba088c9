"""Study files by the thousand, from a seed: each with one thing wrong, or with nothing."""

from __future__ import annotations

import copy
import math
import random
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from benchmarks.fuzz.fields import FIELDS, HUGE, TOGETHER, WRONG
from benchmarks.fuzz.own_modules import BROKEN, PARTS, RAISED, RIGHT, STREAMED
from benchmarks.fuzz.toml_text import inline, toml

SMALL: dict[str, Any] = {
    "study": {"name": "small", "num_samples": 3},
    "task": {
        "dataset": "digits",
        "model": "mlp",
        "model_options": {"widths": [8]},
        "epochs": 2,
        "batch_size": 64,
    },
    "space": {},
}
"""A study file that is right; nothing in it is in the way of another field."""

BAD, GOOD, EITHER = "bad", "good", "either"
"""What must come of a case: refused, taken, or one of both without harm."""


@dataclass
class Case:
    """A study file and how it is called.

    Parameters
    ----------
    kind
        Of what is wrong with it.
    content
        Bytes of the file; None where something else is in its place.
    verdict
        :data:`BAD`, :data:`GOOD` or :data:`EITHER`.
    named
        What a refusal must hold.
    options
        Behind ``run FILE``.
    place
        What is in the file's place: ``file``, ``folder``, ``pipe``, ``nothing``, ``link``,
        ``device``.
    module
        Text of ``own_module.py`` beside it.
    """

    kind: str
    content: bytes
    verdict: str = BAD
    named: tuple[str, ...] = ()
    options: list[str] = field(default_factory=list)
    place: str = "file"
    module: str | None = None


def _with(changes: Mapping[str, Any]) -> dict[str, Any]:
    tables = copy.deepcopy(SMALL)
    for key, value in changes.items():
        if value is None:
            continue
        table, _, name = key.partition(".")
        if key == "task.object":
            del tables["task"]["dataset"], tables["task"]["model"], tables["task"]["model_options"]
        tables.setdefault(table, {})[name] = value
    return tables


def _case(kind: str, changes: dict[str, Any], draw: random.Random, verdict: str = BAD,
          named: tuple[str, ...] = ()) -> Case:  # fmt: skip
    """In the file, or on the command line."""
    own = dict(changes)
    options = []
    if draw.random() < 0.3:
        key = draw.choice(list(changes))
        value = own.pop(key)
        if value is not None:
            options = ["--set", f"{key}={inline(value)}"]
    content = toml(_with(own)).encode("utf-8", "surrogatepass")
    return Case(kind, content, verdict, named, options)


def wrong_value(draw: random.Random) -> Case:
    """One field with a value of another kind, or outside what it may be."""
    each = draw.choice(FIELDS)
    values = [*each.wrong * 2, *WRONG[each.kind]]
    value = draw.choice([v for v in values if (each.key, repr(v)) not in _RIGHT_AFTER_ALL])
    return _case(f"wrong value of {each.key}", {**each.beside, each.key: value}, draw,
                 named=(each.key.rpartition(".")[2],))  # fmt: skip


_RIGHT_AFTER_ALL = {
    (key, repr(value))
    for key, value in (
        ("space.exclude", []), ("space.include", []), ("space.exclude", ""),
        ("study.tracking", []), ("search.constraints", []), ("search.warm_start", []),
        ("task.metrics", []), ("task.augmentation", []),
    )
}  # fmt: skip
"""Values that are wrong of a kind, but not for each of its fields."""


def right_values(draw: random.Random) -> Case:
    """Some fields at once, each with a value that it may have."""
    changes: dict[str, Any] = {}
    for each in draw.sample(FIELDS, draw.choice([1, 1, 2, 3])):
        if each.right and not each.beside:
            changes[each.key] = draw.choice(each.right)
    alone = draw.choice([each for each in FIELDS if each.beside and each.right])
    if not changes or draw.random() < 0.3:
        changes = {**alone.beside, alone.key: draw.choice(alone.right)}
    else:
        changes = _agreeing(changes)
    return _case(f"right values of {', '.join(changes)}", changes, draw, GOOD)


def _agreeing(changes: dict[str, Any]) -> dict[str, Any]:
    """Without those that are right alone, and not beside another."""
    for one, others in _NOT_BESIDE.items():
        if one in changes:
            changes = {k: v for k, v in changes.items() if k == one or not k.startswith(others)}
    return changes


_NOT_BESIDE: dict[str, tuple[str, ...]] = {
    "space.structure": ("space.", "sensitivity.", "search.target"),
    "space.cut": ("space.", "search.target"),
    "space.form": ("space.", "search.target"),
    "search.target": ("space.", "objectives."),
    "space.per_layer": ("space.", "sensitivity."),
    "space.schedule": ("space.",),
    "space.retrain": ("space.optimizer_state",),
    "task.epochs": ("task.warmup_epochs", "space.rewind_epoch", "space.lr_rewind_epoch"),
    "task.optimizer": ("task.nesterov", "task.momentum"),
    "task.momentum": ("task.nesterov",),
    "objectives.density": ("search.",),
    "search.extend": ("search.", "objectives."),
    "space.layer_floor": ("space.", "search.target"),
    "confirm.held_back": ("confirm.", "task.metrics"),
}


def huge_value(draw: random.Random) -> Case:
    """One number that is of no use to anyone."""
    each = draw.choice([f for f in FIELDS if f.kind in ("whole", "number", "span", "numbers")])
    value: Any = draw.choice(HUGE)
    if each.kind == "numbers" or (each.kind == "span" and draw.random() < 0.5):
        value = draw.choice([[value], [1, value], [value, value], [value, value / 2, value / 4]])
    return _case(f"huge value of {each.key}", {**each.beside, each.key: value}, draw, EITHER,
                 named=(each.key.rpartition(".")[2],))  # fmt: skip


def misspelt_key(draw: random.Random) -> Case:
    """A key with a letter too few, too many, or another one."""
    each = draw.choice([f for f in FIELDS if len(f.key.rpartition(".")[2]) > 4
                        and not f.key.startswith("objectives")])  # fmt: skip
    table, _, key = each.key.partition(".")
    wrong = _misspelt(key, draw)
    known = {f.key for f in FIELDS}
    if f"{table}.{wrong}" in known:
        return misspelt_key(draw)
    value = draw.choice(each.right) if each.right else "x"
    return _case(f"misspelt {each.key}", {f"{table}.{wrong}": value}, draw,
                 named=(f"{table}.{wrong}", f"mean '{key}'"))  # fmt: skip


def misspelt_table(draw: random.Random) -> Case:
    """A table of another name, with what is right in it."""
    table = draw.choice(["study", "space", "search", "resources", "objectives", "sensitivity",
                         "latency", "confirm", "report"])  # fmt: skip
    wrong = _misspelt(table, draw)
    tables = {**copy.deepcopy(SMALL), wrong: {}}
    return Case(f"misspelt table {table}", toml(tables).encode(),
                named=(wrong, f"mean '{table}'"))  # fmt: skip


def _misspelt(word: str, draw: random.Random) -> str:
    at = draw.randrange(1, len(word))
    other = draw.choice(string.ascii_lowercase)
    made = draw.choice([word[:at] + word[at + 1 :], word[:at] + other + word[at:],
                        word[:at] + other + word[at + 1 :], word.capitalize()])  # fmt: skip
    return made if made != word else _misspelt(word, draw)


def strange_key(draw: random.Random) -> Case:
    """A key that no table has."""
    key = draw.choice(["", "😀", "a.b", "\x1b]0;x\x07", "a\nb", "[/b]", "x" * 10_000, "__class__",
                       "model_config", "model_fields", "'", '"', "\u202e", "é"])  # fmt: skip
    table = draw.choice(["study", "task", "space", "search", "report", "space.per_layer"])
    tables: dict[str, Any] = copy.deepcopy(SMALL)
    if "." in table:
        tables["space"]["per_layer"] = {key: 1}
    else:
        tables.setdefault(table, {})[key] = draw.choice([1, "x", [], {}, {"a": {"b": 1}}])
    return Case("strange key", toml(tables).encode(), named=(table.partition(".")[0],))


def a_table_is_something_else(draw: random.Random) -> Case:
    """A table is a value, or missing where it must be there."""
    table = draw.choice([*SMALL, "search", "report", "confirm", "resources", "objectives",
                         "latency", "sensitivity"])  # fmt: skip
    tables: dict[str, Any] = {**copy.deepcopy(SMALL)}
    tables[table] = draw.choice([1, "x", True, [], [1], [{}], math.nan, date(2020, 1, 1)])
    if table == "task" and draw.random() < 0.3:
        del tables[table]
    return Case(f"table {table} is none", toml(tables).encode(), named=(table,))


def not_together(draw: random.Random) -> Case:
    """Fields that are right alone."""
    changes, named = draw.choice(TOGETHER)
    return _case(f"not together: {', '.join(changes)}", dict(changes), draw, named=(named,))


def no_toml(draw: random.Random) -> Case:
    """Text that is no TOML."""
    right = toml(SMALL)
    lines = right.splitlines()
    at = draw.randrange(len(lines) + 1)
    more = draw.choice(["x", "= 1", "a = ", "a = 'x", 'a = "\\q"', "[", "[]", "[[study]]",
                        "[study]", "a = 1 2", "[task.x", "a.b.c = {", "\x00", "a = \x1b", "é = 1",
                        "a = 0x", "a = 1__0", "a = 99:99:99", 'a = """', "a = [1, 2",
                        "a = " + "9" * 5000, "a = " + "[" * 5000])  # fmt: skip
    content = "\n".join([*lines[:at], more, *lines[at:]])
    return Case("no TOML", content.encode(), named=("case.toml",))


def twice(draw: random.Random) -> Case:
    """A key or a table comes twice."""
    key = draw.choice(["name = 'a'", "num_samples = 1"])
    content = draw.choice([f"{toml(SMALL)}[study]\n", f"[study]\n{key}\n{key}\n"])
    return Case("twice", content.encode(), named=("case.toml",))


def no_text(draw: random.Random) -> Case:
    """Bytes that are no UTF-8."""
    right = toml(SMALL)
    content = draw.choice([
        right.encode("utf-16"), right.encode("utf-32"), b"\xff\xfe" + right.encode(),
        b"# \xe9\n" + right.encode(), bytes(draw.randrange(256) for _ in range(200)) + b"\xff",
        b"\x00" * 100, b"PK\x03\x04" + b"\xff" * 50, b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    ])  # fmt: skip
    return Case("no text", content, named=("case.toml",))


def too_much(draw: random.Random) -> Case:
    """Too long, too deep."""
    deep, wide = draw.choice([13, 100, 3000]), draw.choice([10**5 + 1, 3 * 10**5])
    name, text = draw.choice([
        ("case.toml", toml(SMALL) + "#" * (1 << 20)),
        ("a", toml({**SMALL, "task": {**SMALL["task"], "model_options": {}}}).replace(
            "model_options = {}", "model_options = {a = " + "[" * deep + "]" * deep + "}")),
        ("widths", toml(_with({"task.model_options": {"widths": [1] * wide}}))),
        ("a", toml(SMALL) + "[task.model_options" + ".a" * deep + "]\n"),
    ])  # fmt: skip
    named = (name,) if len(text) < 1 << 20 else ("case.toml",)
    if "[task.model_options" in text:  # the table is there already, inline
        named = ("case.toml",)
    return Case("too much", text.encode(), named=named if deep < 3000 else ())


def no_file(draw: random.Random) -> Case:
    """Something else is where the file should be."""
    place = draw.choice(["folder", "pipe", "nothing", "link", "device"])
    return Case(f"in its place: {place}", b"", named=("case.toml",), place=place)


def preset_misspelt(draw: random.Random) -> Case:
    """A name that is nearly that of a preset."""
    wrong = draw.choice(["digit-mlp", "digits-mlpp", "cifar10-resnet", "mnist5k-lenet30", "", "😀",
                         "\x1b[2J", "x" * 5000, "nonsense"])  # fmt: skip
    return Case("no preset", b"", named=("study",), options=[wrong], place="preset")


def option(draw: random.Random) -> Case:
    """An option of the command line with a wrong value."""
    name, value = draw.choice([
        ("--seed", "-1"), ("--seed", str(2**32)), ("--seed", "x"), ("--seed", "1.5"),
        ("--num-samples", "0"), ("--num-samples", "x"), ("--num-samples", "9" * 400),
        ("--max-concurrent", "0"), ("--max-concurrent", "-1"), ("--time-budget", "x"),
        ("--time-budget", "-1s"), ("--time-budget", "1y"), ("--time-budget", "nan"),
        ("--time-budget", "infh"), ("--time-budget", ""), ("--time-budget", "9" * 400),
        ("--name", ""), ("--name", "a/b"), ("--name", "😀"), ("--storage-path", ""),
        ("--storage-path", "ftp://x"), ("--constraint", "x"), ("--constraint", "density <= 5"),
        ("--set", "x"), ("--set", "=1"), ("--set", "study=1"), ("--set", "study.name.x=1"),
        ("--set", "study..name=1"), ("--set", ".=1"), ("--set", "study.name='x"),
        ("--set", "study.seed=" + "[" * 3000), ("--set", "study.sets=1"),
    ])  # fmt: skip
    field_ = {"--time-budget": "time", "--num-samples": "num", "--max-concurrent": "max",
              "--constraint": "target", "--storage-path": "storage",
              }.get(name, name.removeprefix("--"))  # fmt: skip
    return Case(f"{name} {value[:20]}", toml(SMALL).encode(), named=(field_,),
                options=[name, value])  # fmt: skip


def own_module(draw: random.Random) -> Case:
    """A task of one's own that fails somewhere."""
    tables = copy.deepcopy(SMALL)
    tables["task"] = {"object": "own_module:task"}
    if draw.random() < 0.3:
        text, named = draw.choice(BROKEN)
        kind, expected = f"own module: {text[:30]!r}", ("object", named)
    else:
        parts = draw.choice([PARTS, PARTS, STREAMED])
        begin, named = draw.choice(list(parts.items()))
        raised, said = draw.choice(RAISED)
        indent = "        " if begin.startswith(" ") else "    "
        text = RIGHT.replace(begin, f"{begin}\n{indent}{raised}  # here", 1)
        line = 1 + text.splitlines().index(f"{indent}{raised}  # here")
        where = f"line {line} of " if "f(f)" not in raised else "own_module"
        kind, expected = f"{begin.strip()} {raised}", (named, said, where, "own_module")
        if parts is STREAMED:
            tables["task"] = {"object": "own_module:streamed"}
    return Case(kind, toml(tables).encode(), named=expected, module=text)


def right_module(draw: random.Random) -> Case:
    """A task of one's own."""
    tables = copy.deepcopy(SMALL)
    tables["task"] = {"object": draw.choice(["own_module:task", "own_module:streamed"])}
    return Case("own module", toml(tables).encode(), GOOD, module=RIGHT)


def right_text(draw: random.Random) -> Case:
    """The same tables, written in other ways."""
    right = toml(SMALL)
    name = draw.choice(["ä", "\\u00e4", "\\U00007db2", "網"])
    content: bytes = draw.choice([
        b"\xef\xbb\xbf" + right.encode(), right.replace("\n", "\r\n").encode(),
        ("# é 😀\n" + right).encode(), right.replace('"small"', f'"{name}"').encode(),
        right.rstrip("\n").encode(), ("\n" * 1000 + right).encode(),
        right.replace("num_samples", '"num_samples"').encode(),
        (right + "#" * 10**6).encode(), right.replace("[space]", "[space.per_layer]").encode(),
        right.replace(" = 2", " = 0x2").encode(), right.replace("64", "6_4").encode(),
    ])  # fmt: skip
    return Case("right text", content, GOOD)


KINDS: tuple[tuple[Callable[[random.Random], Case], int], ...] = (
    (wrong_value, 120), (huge_value, 14), (misspelt_key, 14), (misspelt_table, 3),
    (strange_key, 5), (a_table_is_something_else, 5), (not_together, 12), (no_toml, 8), (twice, 2),
    (no_text, 4), (too_much, 3), (no_file, 3), (preset_misspelt, 2), (option, 10),
    (own_module, 25), (right_module, 2), (right_values, 60), (right_text, 6),
)  # fmt: skip
"""Kinds of cases, and how often each is drawn."""


def cases(count: int, seed: int) -> list[Case]:
    """So many cases, always the same for a seed."""
    draw = random.Random(seed)
    kinds, weights = zip(*KINDS, strict=True)
    return [make(draw) for make in draw.choices(kinds, weights, k=count)]
