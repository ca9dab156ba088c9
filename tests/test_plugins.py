from importlib.metadata import EntryPoint, EntryPoints

import pytest

from study.errors import UsageError
from study.plugins import import_string, reference_to, resolve


def answer() -> int:
    return 42


BUILT_IN = {"answer": answer}


def test_names_and_import_strings_are_found() -> None:
    assert resolve("saliency", "answer", BUILT_IN) is answer
    assert resolve("saliency", f"{__name__}:answer", BUILT_IN) is answer
    assert import_string("x", reference_to(answer)) is answer


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("anser", "Did you mean 'answer'"),
        ("no_such_module:x", "no module named 'no_such_module'"),
        (f"{__name__}:anser", "Did you mean 'answer'"),
        (":x", "not an import string"),
    ],
)
def test_what_is_not_found_is_said(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve("saliency", name, BUILT_IN)


def test_an_error_within_a_users_module_is_his_to_see(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    from pathlib import Path

    (Path(str(tmp_path)) / "broken_plugin.py").write_text("import a_module_that_is_missing\n")
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_missing"):
        import_string("x", "broken_plugin:f")


@pytest.mark.parametrize("field", ["saliency", "space.saliency"])
def test_entry_points_are_found_wherever_they_are_named(
    field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = EntryPoint("own", f"{__name__}:answer", "prune_study.saliencies")

    def found(group: str) -> EntryPoints:
        return EntryPoints([own] if group == own.group else [])

    monkeypatch.setattr("study.plugins.entry_points", found)
    assert resolve(field, "own", BUILT_IN) is answer
