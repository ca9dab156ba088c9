import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from study.errors import UsageError
from study.plugins import import_string, reference_to, refuse_namesake, resolve, search_in


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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("import a_module_that_is_missing\n", "line 1 of .*ModuleNotFoundError: .*is_missing"),
        ("\ndef f(:\n", "line 2 of .*SyntaxError"),
        ("f = 1\nraise OSError('the file is gone')\n", "line 2 of .*OSError: the file is gone"),
        ("import sys\nsys.exit(0)\n", "line 2 of .*SystemExit: 0"),
    ],
)
def test_a_module_that_cannot_be_imported_is_named_with_its_line(
    content: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"broken_plugin_{len(content)}"
    (tmp_path / f"{name}.py").write_text(content)
    with pytest.raises(UsageError, match=f"x: '{name}:f' cannot be imported, in {message}"):
        import_string("x", f"{name}:f")


def test_the_folders_of_modules_come_after_all_that_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", ["/installed"])
    monkeypatch.setattr("study.plugins._searched", [])
    search_in("/one", "/here")
    search_in("/two", "/here")
    assert sys.path == ["/installed", "/two", "/here", "/one"]


def test_a_module_of_the_users_that_has_an_installed_ones_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pandas.py").write_text("def task(): ...\n")
    with pytest.raises(UsageError, match="rename one of the two"):
        refuse_namesake("task.object", "pandas:task", tmp_path)


@pytest.mark.parametrize("field", ["saliency", "space.saliency"])
def test_entry_points_are_found_wherever_they_are_named(
    field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = EntryPoint("own", f"{__name__}:answer", "prune_study.saliencies")

    def found(group: str) -> EntryPoints:
        return EntryPoints([own] if group == own.group else [])

    monkeypatch.setattr("study.plugins.entry_points", found)
    assert resolve(field, "own", BUILT_IN) is answer
