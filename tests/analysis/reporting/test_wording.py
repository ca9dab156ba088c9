"""What a report says where a careless sentence would be wrong."""

from pathlib import Path

import analysis
from analysis.reporting.sections.headline import headline
from analysis.reporting.sections.layers import layers
from analysis.reporting.sections.schedule import schedule
from tests.analysis.study_folders import PERPLEXITY, new_study, searched_study


def test_a_rise_is_not_called_a_drop(tmp_path: Path) -> None:
    study = new_study(tmp_path, metrics=(PERPLEXITY,))
    study.trial("0000", rounds=1)
    for seed in (1, 2, 3):
        study.replicate("0000", seed, [0.1], dense=30.0)
    (table,) = headline(analysis.load(study.path)).tables
    assert "perplexity rise" in table.columns
    assert not [name for name in table.columns if "drop" in name]


def test_what_the_space_holds_is_not_asked_for(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("0000", rounds=2)
    missing = schedule(analysis.load(study.path)).missing
    assert any("Neither the way of retraining" in each for each in missing)
    study.folder.write(
        Path(study.path, "study.toml").read_text()
        + '\n[space]\nretrain = ["finetune", "lr_rewind"]\n',
        "study.toml",
    )
    missing = schedule(analysis.load(study.path)).missing
    assert any("No trial ran retrain lr_rewind" in each for each in missing)
    assert not any("Neither the way of retraining" in each for each in missing)


def test_networks_of_the_layer_table_are_called_by_a_short_share(tmp_path: Path) -> None:
    section = layers(analysis.load(searched_study(tmp_path / "s", trials=8)))
    names = [name for each in section.figures if each.data for name in each.data.columns]
    shares = [name for name in names if name.startswith("of ")]
    assert shares
    assert all(name.endswith(" %") and len(name) <= len("of 0.0123 %") for name in shares)
