"""The report on studies of every kind: what it says, and what it never does."""

import json
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import pytest

import analysis
from analysis.judging.status import status_text, study_status
from analysis.reporting.report import SECTIONS, render_report
from analysis.reporting.sections.background import what_was_run
from analysis.reporting.sections.headline import headline
from analysis.reporting.sections.trade_off import trade_off
from study.errors import NothingToReportError, UsageError
from tests.analysis.study_folders import PERPLEXITY, new_study, searched_study

pytestmark = pytest.mark.filterwarnings("ignore::analysis.ProblemWarning")

HOSTILE = "<script>alert(1)</script>"


class Page(HTMLParser):
    """What a browser would make of a page: tags, ids, and what it would fetch."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.fetched: list[str] = []
        self.linked: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "srcset", "data", "poster", "action") and value:
                self.fetched.append(value)
            if name in ("href", "xlink:href") and value:
                self.linked.append(value)
            assert not name.startswith("on"), "an event handler is a script"


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> analysis.Results:
    return analysis.load(searched_study(tmp_path_factory.mktemp("report") / "s", trials=60))


@pytest.fixture(scope="module")
def html(searched: analysis.Results) -> str:
    return render_report(searched)


def test_it_answers_in_the_order_in_which_a_reader_asks(html: str) -> None:
    assert re.findall(r'<h2 id="([a-z-]+)"', html) == [
        "headline", "added", "run", "checklist", "trade-off", "budget", "operating-points",
        "layers", "smaller", "schedule", "importance", "controls", "selection-bias", "ends",
        "appendix",
    ]  # fmt: skip
    assert len(SECTIONS) == 15


def test_it_needs_no_script_and_fetches_nothing(html: str) -> None:
    page = Page(html)
    assert "script" not in page.tags
    assert page.fetched == []
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.linked)
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)


def test_every_link_and_label_has_a_target_of_its_own(html: str) -> None:
    page = Page(html)
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.linked if link.startswith("#")} <= set(page.ids)
    labels = set(re.findall(r'aria-labelledby="([^"]+)"', html))
    assert labels <= set(page.ids)
    assert page.tags.count("figure") == page.tags.count("figcaption") > 8


def test_the_same_study_gives_the_same_bytes(searched: analysis.Results, html: str) -> None:
    again = analysis.load(searched.folders[0].location)
    assert render_report(again) == html


def test_it_is_below_a_megabyte_at_two_hundred_trials(tmp_path: Path) -> None:
    results = analysis.load(searched_study(tmp_path / "s", trials=200))
    assert len(render_report(results).encode()) < 1_000_000


def test_nothing_is_named_that_was_not_confirmed(searched: analysis.Results) -> None:
    headline = render_report(searched, "md").split("## What did the search add")[0]
    answer = headline.split("## How far does it prune?")[1].strip()
    assert answer.startswith("Nothing is confirmed: no network was run again on new seeds")
    assert f"prune-study confirm {searched.folders[0].location}" in answer.replace("\\", "")
    assert not re.search(r"trial \d", headline)
    told = json.loads(render_report(searched, "json"))["headline"]
    assert [row["trial_id"] for row in told] == [None] * 3


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    layers = {HOSTILE: (300, 784), "$x_1$ & {{ 7 * 7 }}": (100, 300), "a|b`c`": (10, 100)}
    study = new_study(tmp_path / "s", name="ok", layers=layers, model=HOSTILE)
    study.sensitivity()
    for number in range(12):
        sparsity = dict.fromkeys(layers, 0.5 + 0.03 * number)
        study.trial(f"{number:04d}", sparsity=sparsity, masks=True)
    study.trial("bad", finished=0, status="errored", reason="error", error=HOSTILE)
    results = analysis.load(study.path)
    page = render_report(results)
    assert "script" not in Page(page).tags
    assert "49" not in re.findall(r"\$x_1\$ &amp; (\S+)", page)
    assert "<script>" not in render_report(results, "md").replace("\\<script\\>", "")


def test_a_layer_with_dollars_in_its_name_is_no_formula(tmp_path: Path) -> None:
    study = new_study(tmp_path / "s", layers={"$x_1$": (300, 784), "fc2": (10, 300)})
    study.sensitivity()
    study.trial("0000", sparsity=0.9)
    page = render_report(analysis.load(study.path))
    drawn = re.findall(r"<text[^>]*>([^<]*x_1[^<]*)</text>", page)
    assert drawn
    assert set(drawn) == {"$x_1$"}


def test_a_section_without_data_draws_nothing(tmp_path: Path) -> None:
    study = new_study(tmp_path / "s")
    study.trial("0000", finished=0, status="errored", reason="error", error="no")
    page = render_report(analysis.load(study.path))
    assert page.count("<figure>") == 1  # where the epochs went


def test_controls_and_the_test_split_are_told_where_they_were_run(tmp_path: Path) -> None:
    study = new_study(tmp_path / "s")
    for seed in range(3):
        name = "0000" if seed == 0 else f"0000-round-3-seed-{seed}"
        study.trial(name, sparsity=0.9, seed=seed)
        for role, accuracy in (("reinit", 0.7), ("shuffled_initial", 0.6), ("dense", 0.98)):
            number = 3 if role == "dense" else 1
            accuracy += 0.001 * seed
            study.control(name, role, accuracy, own_round=number, seed=seed)
    line = {"trial_id": "0000", "round": 3, "test_accuracy": 0.5, "test_loss": 1.0}
    study.folder.append_line(json.dumps(line), "test.jsonl")
    results = analysis.load(study.path)
    summary = json.loads(render_report(results, "json"))
    own = results.rounds[results.rounds["round"] == 3]["val_accuracy"].mean()
    told = {row["control"]: row for row in summary["controls"]}
    assert told["reinit"]["difference"] == pytest.approx(own - 0.701)
    assert told["shuffled_initial"]["n"] == 3
    assert told["dense"]["low"] < told["dense"]["difference"] < told["dense"]["high"]
    text = render_report(results, "md")
    assert "worse" not in text.split("Is it the mask?")[1].split("against 70.1 %")[0]
    assert "Trained for as many epochs as trial 0000 up to round 3, and not pruned" in text
    assert "50.0 %" not in text.split("How much does choosing flatter")[0]  # of the mean of seeds
    assert "The test split was read once for each of 1 network" in text


def replicated_study(folder: Path, accuracy: float | None) -> analysis.Results:
    """Two networks on seed 0, both as good as dense; the smaller one again on seeds 1 to 3."""
    study = new_study(folder)
    study.trial("0000", rounds=1, sparsity=0.9, accuracy=0.99)
    study.trial("0001", rounds=1, sparsity=0.8, accuracy=0.99)
    for seed in (1, 2, 3):
        name = f"0000-round-1-seed-{seed}"
        study.trial(name, rounds=1, sparsity=0.9, seed=seed, accuracy=accuracy)
        origin = {"of": "0000", "round": 1, "role": "replicate", "replicate": name}
        study.folder.write(
            json.dumps({"schema_version": 1, **origin}), "trials", name, "origin.json"
        )
    return analysis.load(study.path)


def confirmed_study(folder: Path, **more: object) -> analysis.Results:
    """A descent of three rounds on three new seeds: 0.1, 0.8 and 5 points below dense."""
    study = new_study(folder)
    study.trial("0000", rounds=3, sparsity=0.9, accuracy=0.99)
    for seed in (1, 2, 3):
        drops = [0.001, 0.008, 0.05]
        study.replicate("0000", seed, drops, sparsity=0.9, spread=0.0, **more)  # type: ignore[arg-type]
    return analysis.load(study.path)


def _cards(results: analysis.Results) -> list[str]:
    headline = render_report(results, "md").split("## What did the search add")[0]
    return [line for line in headline.splitlines() if line.startswith("- ")]


def test_a_card_says_what_was_shown_and_on_what(tmp_path: Path) -> None:
    first, second = _cards(confirmed_study(tmp_path / "s"))
    assert "at most 0.4 points below dense (90 %, 3 seeds, 1,000 examples)" in first
    assert "the smallest shown to be within 0.5 points of dense" in first
    assert "trial 0000, round 1" in first
    assert "trial 0000, round 2" in second
    assert "at most 1.1 points below dense" in second
    assert "the smallest shown to be within 2.0 points of dense" in second


def test_a_card_ends_with_the_command_that_hands_its_network_over(tmp_path: Path) -> None:
    results = confirmed_study(tmp_path / "s")
    for round_, escaped in enumerate(_cards(results), 1):
        card = escaped.replace("\\", "")
        command = re.findall(
            rf"prune-study export {tmp_path}/s --trial (\S+) --round (\d) -o (\S+)$", card
        )
        ((trial, told, output),) = command
        assert (int(told), output) == (round_, "network.onnx")
        assert f"weights and masks: trials/{trial}/round_{round_:02d}.safetensors" in card
        assert results.folders[0].exists("trials", trial, "plan.json")


def test_a_network_is_named_once_by_the_tightest_tolerance(tmp_path: Path) -> None:
    cards = _cards(confirmed_study(tmp_path / "s"))
    assert sum("round 2" in card for card in cards) == 1


def test_where_no_network_is_good_enough_the_card_says_how_near_one_came(tmp_path: Path) -> None:
    study = new_study(tmp_path / "s")
    study.trial("0000", rounds=1, sparsity=0.9, accuracy=0.99)
    for seed in (1, 2, 3):
        study.replicate("0000", seed, [0.012], sparsity=0.9, spread=0.0)
    half, one, two = _cards(analysis.load(study.path))
    for card in (half, one):
        assert "no network was shown to be this good" in card
        assert "the lowest bound is 1.5 points (trial 0000, round 1)" in card
    assert "at most 1.5 points below dense" in two


def test_a_label_that_the_test_split_contradicts_says_so(tmp_path: Path) -> None:
    results = confirmed_study(tmp_path / "s", test_drops=[0.0, 0.02, 0.05])
    first, second = _cards(results)
    assert "test split: as dense" in first
    assert "CONTRADICTED by the test split: 2.0 points below dense" in second
    told = json.loads(render_report(results, "json"))["headline"]
    assert [row["contradicted"] for row in told] == [False, False, True]


def test_an_amount_is_told_relative_to_the_dense_network_of_the_split(tmp_path: Path) -> None:
    study = new_study(tmp_path / "s", metrics=(PERPLEXITY,))
    study.trial("0000", rounds=1, sparsity=0.9, accuracy=0.99)
    for seed in (1, 2, 3):
        study.replicate(
            "0000", seed, [0.01], sparsity=0.9, spread=0.0,
            dense=1.0, test_dense=0.05, test_drops=[0.01],
        )  # fmt: skip
    (card,) = (each for each in _cards(analysis.load(study.path)) if "1.0 % above dense" in each)
    assert "CONTRADICTED by the test split: 20.0 % above dense" in card


def test_divergence_on_the_test_split_is_told_on_the_card(tmp_path: Path) -> None:
    first, *_ = _cards(confirmed_study(tmp_path / "s", test_drops=[float("nan"), 0.02, 0.05]))
    assert "CONTRADICTED by the test split: there the outputs" in first


def test_what_ran_again_and_passed_nowhere_is_said_first(tmp_path: Path) -> None:
    study = new_study(tmp_path / "s")
    study.trial("0000", rounds=1, sparsity=0.9, accuracy=0.99)
    for seed in (1, 2, 3):
        study.replicate("0000", seed, [0.3], sparsity=0.9)
    section = headline(analysis.load(study.path))
    assert section.sentences[0].startswith(
        "No network was shown to be within 2.0 points of dense: "
    )
    assert "1 descent ran again on 3 new seeds at most" in section.sentences[0]
    assert "No interval" not in section.sentences[0]


def test_one_group_is_said_to_allow_no_interval(tmp_path: Path) -> None:
    study = new_study(tmp_path / "s")
    study.trial("0000", rounds=1, sparsity=0.9, accuracy=0.99)
    for seed in (1, 2, 3):
        study.replicate("0000", seed, [0.0], sparsity=0.9, groups=1)
    results = analysis.load(study.path)
    assert "No interval is possible" in headline(results).sentences[0]
    assert all("1 group, and it takes 2" in card for card in _cards(results))


def test_examples_that_also_chose_are_told_of(tmp_path: Path) -> None:
    text = render_report(confirmed_study(tmp_path / "s", held_back=False), "md")
    assert "over new seeds and examples, which are those of the search" in text
    assert "the search did not see" not in text


def test_what_the_search_added_is_measured_on_new_seeds(tmp_path: Path) -> None:
    study = new_study(tmp_path / "s")
    text = (tmp_path / "s" / "study.toml").read_text()
    study.folder.write(text.replace("[search]\n", "[search]\ntextbook = true\n"), "study.toml")
    study.trial("0000", rounds=2, sparsity=0.9, accuracy=0.95)
    moved = {"fc1": 0.5}
    study.trial("0001", rounds=2, sparsity=0.9, accuracy=0.97, saliency="l2", score_offsets=moved)
    report = render_report(analysis.load(study.path), "md")
    assert "Whether it holds is not known" in report
    assert "differs from the textbook run's in saliency l2 (not magnitude)" in report
    assert "scores of layers that are multiplied: fc1 x 1.6." in report
    for seed in (1, 2, 3):
        study.replicate("0000", seed, [0.02, 0.04], sparsity=0.9, spread=0.0)
        study.replicate("0001", seed, [0.01, 0.03], sparsity=0.9, spread=0.0)
    report = render_report(analysis.load(study.path), "md")
    assert "Trial 0001, the best descent, is 1.0 point better than the textbook run" in report
    assert "3 new seeds, 1,000 examples that the search did not see" in report


def test_a_textbook_run_that_nothing_beats_is_said_to_be_the_best(tmp_path: Path) -> None:
    study = new_study(tmp_path / "s")
    text = (tmp_path / "s" / "study.toml").read_text()
    study.folder.write(text.replace("[search]\n", "[search]\ntextbook = true\n"), "study.toml")
    study.trial("0000", rounds=2, sparsity=0.9, accuracy=0.97)
    study.trial("0001", rounds=2, sparsity=0.9, accuracy=0.95)
    assert "Nothing yet: no other trial dominates as much" in render_report(
        analysis.load(study.path), "md"
    )


def test_replicates_are_no_trials_of_the_search(tmp_path: Path) -> None:
    results = replicated_study(tmp_path / "s", accuracy=0.985)
    summary = json.loads(render_report(results, "json"))
    assert summary["trials"] == {"completed": 2}
    assert summary["replicates"] == 3
    assert {row["trial_id"] for row in summary["front"]} <= {"0000", "0001"}
    assert "2 of 40 trials · 5 pruned networks · 3 replicates among them" in render_report(results)
    assert analysis.scores(results)["seed"].unique().tolist() == [0]


def test_what_turns_text_round_is_shown_as_its_code(tmp_path: Path) -> None:
    study = new_study(tmp_path / "s")
    study.trial("0000", finished=0, status="errored", reason="error", error="no \u202eenod\x1b[2J")
    study.trial("0001")
    results = analysis.load(study.path)
    for text in (render_report(results), render_report(results, "md"),
                 status_text(study_status(results))):  # fmt: skip
        assert not re.search("[\u202e\x1b]", text)
        assert "u202eenod" in text


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("one trial", "Importances need"),
        ("all failed", "All 3 trials failed before their first cut"),
        ("all nan", "training diverged"),
        ("running", "1 running"),
    ],
)
def test_ugly_studies_get_a_clear_answer(tmp_path: Path, kind: str, expected: str) -> None:
    study = new_study(tmp_path / "s")
    if kind == "one trial":
        study.trial("0000")
    elif kind == "all failed":
        for number in range(3):
            study.trial(f"{number:04d}", finished=0, status="errored", reason="error", error="no")
    elif kind == "all nan":
        for number in range(3):
            study.trial(f"{number:04d}", accuracy=float("nan"))
    else:
        study.trial("0000", finished=1, status=None)
    results = analysis.load(study.path)
    text = render_report(results, "md")
    assert expected in text
    assert "nan" not in text.lower()
    Page(render_report(results))
    json.loads(render_report(results, "json"), parse_constant=pytest.fail)


def test_the_ending_of_the_file_chooses_the_format(
    searched: analysis.Results, tmp_path: Path
) -> None:
    for name, begins in (("r.md", "# synthetic"), ("r.json", "{"), ("r.html", "<!doctype html>")):
        path = analysis.write_report(searched, tmp_path / name)
        assert Path(path).read_text().startswith(begins)
    assert Path(analysis.write_report(searched, tmp_path / "x", "md")).read_text()[0] == "#"
    with pytest.raises(UsageError, match="file ending: unknown name 'pdf'"):
        analysis.write_report(searched, tmp_path / "x.pdf")


def test_what_cannot_be_reported_is_refused(tmp_path: Path) -> None:
    empty = analysis.load(new_study(tmp_path / "a").path)
    with pytest.raises(NothingToReportError, match="no finished round"):
        render_report(empty)
    paths = [searched_study(tmp_path / name, trials=4, name=name) for name in ("b", "c")]
    both = analysis.load(paths)
    with pytest.raises(UsageError, match="one study"):
        render_report(both)
    with pytest.raises(UsageError, match="Did you mean 'html'"):
        render_report(both, "htm")


def test_the_command_of_a_study_can_be_pasted(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("0000", rounds=1)
    results = analysis.load(study.path)
    asked = ["prune-study", "run", "a.toml", "--constraint", "macs <= 0.4"]
    results.provenance["command"] = asked
    rows = dict(what_was_run(results).tables[0].rows)
    assert rows["command"] == "prune-study run a.toml --constraint 'macs <= 0.4'"
    assert shlex.split(rows["command"]) == asked


def test_one_network_on_the_front_is_told_once(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("0000", rounds=1, sparsity=0.9, accuracy=0.99)
    (said, *_) = trade_off(analysis.load(study.path)).figures
    assert "the smallest on the front" not in said.finding
    study.trial("0001", rounds=1, sparsity=0.95, accuracy=0.5)
    (said, *_) = trade_off(analysis.load(study.path)).figures
    assert "; the smallest on the front keeps 5.0" in said.finding
