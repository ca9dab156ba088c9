from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save
from safetensors.torch import save as save_torch

import analysis
from analysis.reading.files.masks import masks_from, read_masks
from study.errors import UsageError
from study.storage import Folder
from tests.analysis.study_folders import new_study


def test_overlap_is_that_of_sets_of_places(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    for seed in (0, 1):
        study.trial(f"s{seed}", sparsity=0.9, rounds=2, seed=seed, masks=True)
    results = analysis.load(tmp_path)
    table = analysis.mask_overlap(results, [("s0", 2), ("s1", 2)]).set_index("layer")
    masks = [read_masks(study.folder, f"s{seed}", 2) for seed in (0, 1)]
    everything: list[set[tuple[str, int]]] = [set(), set()]
    for layer in study.layers:
        sets = [{(layer, n) for n in np.flatnonzero(mask[layer])} for mask in masks]
        everything = [whole | part for whole, part in zip(everything, sets, strict=True)]
        iou = len(sets[0] & sets[1]) / len(sets[0] | sets[1])
        assert table.loc[layer, "iou"] == pytest.approx(iou)
    iou = len(everything[0] & everything[1]) / len(everything[0] | everything[1])
    assert table.loc["(all)", "iou"] == pytest.approx(iou)
    assert table.loc["(all)", "excess"] > 0.1
    assert not table["same_seed"].any()


def test_independent_masks_overlap_as_much_as_chance_says(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    rng = np.random.default_rng(0)
    densities = {"a": (0.3, 0.05), "b": (0.1, 0.6)}
    for trial_id, (one, two) in densities.items():
        study.trial(trial_id, rounds=1)
        masks = {
            "mask.x": rng.random((200, 300)) < one,
            "mask.y": rng.random((100, 300)) < two,
        }
        study.folder.write(save(masks), "trials", trial_id, "round_01.safetensors")
    table = analysis.mask_overlap(analysis.load(tmp_path), [("a", 1), ("b", 1)])
    assert table["iou"].to_numpy() == pytest.approx(table["chance"].to_numpy(), abs=0.01)
    assert table["excess"].to_numpy() == pytest.approx(0, abs=0.01)


def test_equal_masks_overlap_wholly_and_nested_ones_more_than_chance(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    for trial_id in ("a", "b"):
        study.trial(trial_id, sparsity=0.8, rounds=2, masks=True)
    table = analysis.mask_overlap(analysis.load(tmp_path), [("a", 1), ("a", 2), ("b", 2)])
    table = table[table["layer"] == "(all)"].set_index(["trial_a", "round_a", "trial_b", "round_b"])
    assert table.loc[("a", 2, "b", 2), "excess"] == 1.0
    assert table.loc[("a", 1, "a", 2), "iou"] == pytest.approx(
        table.loc[("a", 1, "a", 2), "density_b"] / table.loc[("a", 1, "a", 2), "density_a"]
    )
    assert table.loc[("a", 1, "a", 2), "same_trial"]


def test_networks_without_a_readable_file_are_left_out(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    for trial_id in ("a", "b", "c", "d"):
        study.trial(trial_id, rounds=1, masks=trial_id != "a")
    (tmp_path / "trials/b/round_01.safetensors").write_bytes(b"\x00" * 4)
    (tmp_path / "trials/c/round_01.safetensors").write_bytes(b"")
    networks = [(trial_id, 1) for trial_id in "abcd"]
    results = analysis.load(tmp_path)
    with pytest.warns(analysis.ProblemWarning, match=r"[bc]/round_01\.safetensors is damaged"):
        assert analysis.mask_overlap(results, networks).empty
    assert set(results.problems) == {f"trials/{each}/round_01.safetensors" for each in "bc"}


def test_masks_are_read_beside_weights_that_numpy_does_not_know(tmp_path: Path) -> None:
    mask = np.random.default_rng(0).random((7, 5)) < 0.5
    weights = torch.ones(7, 5, dtype=torch.bfloat16)
    data = save_torch({"model.x": weights, "mask.x": torch.from_numpy(mask)})
    folder = Folder(tmp_path)
    folder.write(data, "trials", "a", "round_03.safetensors")
    found = read_masks(folder, "a", 3)
    assert list(found) == ["x"]
    assert (found["x"] == mask).all()
    with pytest.raises(ValueError, match=r"damaged|cut off"):
        masks_from(memoryview(data[:-10]))


def test_dead_units_are_counted_by_layer(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("a", sparsity={"fc1": 0.999, "fc2": 0.5}, rounds=1)
    study.trial("b", sparsity={"fc1": 1.0, "fc2": 0.5}, rounds=1)
    results = analysis.load(tmp_path)
    table = analysis.unit_deaths(results).set_index(["trial_id", "layer"])
    assert table.loc[("a", "fc1"), "dead_share"] == pytest.approx(87 / 300)
    assert table["collapsed"].sum() == 1
    summary = analysis.dead_units_summary(results).set_index("layer")
    assert summary.loc["fc1", "with_dead"] == 2
    assert summary.loc["fc1", "collapsed"] == 1
    assert summary.loc["fc2", "with_dead"] == 0


def test_networks_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    study = new_study(tmp_path / "s")
    study.trial("0000", masks=True)
    results = analysis.load(study.path)
    with pytest.raises(UsageError, match="Did you mean '0000'"):
        analysis.mask_overlap(results, [("000", 1), ("0000", 1)])
    with pytest.raises(UsageError, match="has no round 9; it has 1, 2, 3"):
        analysis.mask_overlap(results, [("0000", 9)])
