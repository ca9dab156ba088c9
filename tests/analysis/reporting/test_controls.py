"""What the report says of controls, and what it does not claim to know."""

import re
from pathlib import Path

import pytest

import analysis
from analysis.reporting.sections.controls import controls
from tests.analysis.study_folders import new_study

NOT_KNOWN = "whether anything matters beyond its mask and the length of its training is not known"


def told(folder: Path, seeds: int, left_out: str | None = None, **others: float) -> str:
    """The section of a network of 90 %, and of controls that vary by 0.2 points around theirs."""
    study = new_study(folder)
    for seed in range(seeds):
        name = "0000" if seed == 0 else f"0000-round-3-seed-{seed}"
        study.trial(name, rounds=3, seed=seed, accuracy=0.9)
        for role, accuracy in others.items():
            epochs = 24.0 if role in ("reinit_long", "dense") else 12.0
            study.control(
                name, role, accuracy + 0.002 * (seed % 2), epochs=epochs, seed=seed,
                own_round=3 if role == "dense" else 1,
            )  # fmt: skip
        if left_out:
            study.control(name, "reinit", 0.0, seed=seed, left_out=left_out)
            study.folder.child("controls", f"{name}-reinit").remove("rounds.jsonl")
    return "\n".join(controls(analysis.load(study.path)).sentences)


def test_a_difference_is_told_with_its_interval_and_the_training_of_both(tmp_path: Path) -> None:
    text = told(tmp_path, 4, shuffled_initial=0.80, dense=0.95)
    assert re.search(
        r"Trial 0000, round 3 is 9\.9 points better \(9\.7 to 10\.1 points, 95 % interval over "
        r"4 seeds\) than masks shuffled within each layer on its initial weights \(24 epochs of "
        r"training against 12\): 90\.0 % against 80\.1 %\.",
        text,
    )
    assert re.search(r"5\.1 points worse \(4\.9 to 5\.3 points.*\(24 epochs .* against 24\)", text)
    assert "matters by itself" not in text
    assert NOT_KNOWN not in text


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ({"reinit_long": 0.80}, "its mask and the length of its training do not explain it"),
        ({"reinit_long": 0.95}, "its mask and the length of its training explain it"),
        ({"reinit_long": 0.899}, NOT_KNOWN),
        (
            {"reinit": 0.85, "shuffled_reinit": 0.75},
            "which weights of a layer were kept matters by itself; on the same new weights and "
            "for as long, its mask is 10.0 points better",
        ),
        (
            {"reinit": 0.75, "shuffled_reinit": 0.85},
            "which weights of a layer were kept is no advantage by itself; on the same new "
            "weights and for as long, its mask is 10.0 points worse",
        ),
    ],
)
def test_a_conclusion_is_drawn_where_the_interval_leaves_out_zero(
    tmp_path: Path, others: dict[str, float], expected: str
) -> None:
    # The two masks differ by the same in each seed but for rounding, so their interval is narrow.
    assert f"Trial 0000, round 3: {expected}" in told(tmp_path, 4, **others)


def test_one_seed_concludes_nothing(tmp_path: Path) -> None:
    text = told(tmp_path, 1, reinit=0.85, reinit_long=0.5, shuffled_reinit=0.5)
    assert "on 1 seed, too few for an interval)" in text
    assert "whether it is the mask is not known" in text
    assert NOT_KNOWN in text


def test_controls_that_were_left_out_are_said_with_their_reason(tmp_path: Path) -> None:
    text = told(tmp_path, 2, left_out="task.weights is set", dense=0.95)
    assert text.endswith(
        "Trial 0000, round 3 has no controls on weights that were never trained, on 2 seeds: "
        "task.weights is set."
    )
