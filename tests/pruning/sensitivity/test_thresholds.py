from study.pruning import PruningPlan
from study.pruning.sensitivity.thresholds import scanned_drops, sparsity_thresholds
from study.records import MetricRecord, SensitivityRecord

ACCURACY = MetricRecord(name="accuracy", direction="max", unit="share")


def record(layer: str, sparsity: float, drop: float, seed: int = 0) -> SensitivityRecord:
    return SensitivityRecord(
        layer=layer, sparsity=sparsity, val_accuracy=0.9 - drop, val_loss=1.0,
        accuracy_drop=drop, seed=seed, recovery_epochs=0,
    )  # fmt: skip


def test_a_threshold_is_the_last_level_before_the_drop_is_too_large() -> None:
    records = [
        *(record("a", s, d) for s, d in ((0.0, 0.0), (0.5, 0.01), (0.9, 0.03), (0.95, 0.005))),
        *(record("b", s, d) for s, d in ((0.9, 0.02), (0.5, 0.0), (0.0, 0.0))),
        *(record("c", s, float("nan")) for s in (0.0, 0.5)),
    ]
    assert sparsity_thresholds(records, 0.02, ACCURACY) == {"a": 0.5, "b": 0.9, "c": 0.0}


def test_the_drop_of_an_amount_is_relative_to_what_it_was() -> None:
    perplexity = MetricRecord(name="perplexity", direction="min", unit="amount")
    records = [
        SensitivityRecord(
            layer="a", sparsity=sparsity, val_perplexity=30.0 + rise, val_loss=1.0,
            perplexity_drop=rise, seed=0, recovery_epochs=0,
        )
        for sparsity, rise in ((0.0, 0.0), (0.5, 0.5), (0.9, 0.7))
    ]  # fmt: skip
    assert sparsity_thresholds(records, 0.02, perplexity) == {"a": 0.5}


def test_drops_are_averaged_over_seeds() -> None:
    records = [record("a", 0.5, drop, seed) for seed, drop in enumerate((0.0, 0.03))]
    assert sparsity_thresholds(records, 0.02, ACCURACY) == {"a": 0.5}
    assert sparsity_thresholds(records, 0.01, ACCURACY) == {"a": 0.0}


def test_curves_for_a_plan_are_means_and_end_before_a_network_that_broke() -> None:
    records = [
        *(record("a", s, d, seed) for seed in (0, 1) for s, d in ((0.5, 0.1 * seed), (0.0, 0.0))),
        *(record("b", s, d) for s, d in ((0.5, 0.2), (0.9, float("nan")), (0.95, 0.1))),
        record("c", 0.5, float("nan")),
    ]
    curves = scanned_drops(records)
    assert curves == {"a": ((0.0, 0.0), (0.5, 0.05)), "b": ((0.5, 0.2),), "c": ()}
    plan = PruningPlan(
        structure="channels", allocation="sensitivity", sparsity=0.5, scanned_drops=curves
    )
    assert PruningPlan.model_validate_json(plan.model_dump_json()) == plan
