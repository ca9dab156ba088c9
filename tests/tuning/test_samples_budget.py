"""A real study that ends because its budget of training examples is spent, and is given more."""

import json
from pathlib import Path
from typing import Any

import pytest
import tomli_w

import analysis
import study
from analysis.spending.spending import scan_train_samples
from analysis.statistics.replicates import searched
from benchmarks.chaos.comparing import records
from study.errors import UsageError
from study.storage import Folder
from study.tuning.resuming import prepare_resume
from study.tuning.search.past import read_past
from study.tuning.search.spending import spending_of
from tests.conftest import SMALL, call

pytestmark = pytest.mark.slow

LESS, MORE = 40_000, 52_000
"""Of which the scan takes a part, the dense run 5,000 or so, and each trial some thousand."""

TABLES: dict[str, Any] = {
    **SMALL,
    "study": {"name": "s", "num_samples": 40, "train_samples_budget": LESS},
    "sensitivity": {"scan": True, "levels": [0.5, 0.9], "seeds": 2},
    "confirm": {"share": 0.5, "seeds": 2},
    "report": {"test": False},
}


def spent_by_trial(results: analysis.Results) -> list[float]:
    """Examples that the search had trained on after its scan and each trial."""
    own = searched(results).rounds
    each = analysis.round_costs(own)["train_samples"].groupby(own["trial_id"]).sum()
    return [scan_train_samples(results), *(scan_train_samples(results) + each.cumsum())]


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def test_it_ends_well_says_so_and_goes_on_with_more(ray_cluster: None, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(tomli_w.dumps(TABLES))
    answer = call("run", "s.toml", cwd=tmp_path)
    assert answer.exit_code == 0, answer.output
    folder = tmp_path / "studies" / "s"
    results = analysis.load(folder)
    *before, spent = spent_by_trial(results)
    assert max(before) < LESS <= spent  # one trial at a time: the last one is what passed it
    assert 2 < len(before) < 40
    (told,) = [each for each in events(folder) if each["event"] == "samples_budget_spent"]
    assert told["detail"] == {"train_samples": spent, "budget": LESS}
    assert spending_of(Folder(folder), read_past(Folder(folder))).spent == spent
    assert len(results.trials) > len(before), "nothing was confirmed"
    assert f"the budget of 40,000 training examples is spent: the search took {spent:,.0f}" in (
        answer.stderr
    )
    assert f"its budget is spent: trained on {spent:,.0f} of 40,000 training examples" in (
        call("status", str(folder)).stdout
    )
    report = (folder / "report.html").read_text()
    assert "its budget of 40,000 training examples was spent" in report
    assert "The search ended because its budget of 40,000 training examples was spent" in report

    with pytest.raises(UsageError, match=rf"budget: 9,000, and .* trained on {spent:,.0f} "):
        study.resume(folder, train_samples_budget=9_000)
    with pytest.raises(UsageError, match=r"study\.train_samples_budget: .* not 0\."):
        study.resume(folder, train_samples_budget=0)
    prepare_resume(Folder(folder), train_samples_budget=LESS)  # its own may be said again

    before_more = records(folder)
    again = call("resume", str(folder), "--train-samples-budget", str(MORE), "--no-report")
    assert again.exit_code == 0, again.output
    *before, spent = spent_by_trial(analysis.load(folder))
    assert max(before) < MORE <= spent
    after = records(folder)
    assert {name: after[name] for name in before_more} == before_more

    whole = {**TABLES, "confirm": {"share": 0, "held_back": 0.5}}
    place = study.run(whole, storage_path=tmp_path / "whole", train_samples_budget=MORE)
    of_search = {name: each for name, each in after.items() if "-seed-" not in name}
    assert records(Path(place)) == of_search


def test_a_scan_that_takes_all_of_it_leaves_nothing_to_report(
    ray_cluster: None, tmp_path: Path
) -> None:
    study_table = {"name": "s", "train_samples_budget": 1}
    (tmp_path / "s.toml").write_text(tomli_w.dumps({**TABLES, "study": study_table}))
    answer = call("run", "s.toml", "--quiet", cwd=tmp_path)
    assert answer.exit_code == 4, answer.output
    assert "nothing to report: the scan took the budget of examples" in answer.stderr
    status = call("status", str(tmp_path / "studies" / "s")).stdout
    assert "finished, no trial yet of 16" in status
    assert "its budget is spent: trained on" in status
