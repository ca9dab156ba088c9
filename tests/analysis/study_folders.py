"""Study folders as a study writes them, with curves that look like those of real networks."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save

from study.records import (
    CONFIRMATION_FILE,
    CONTROLS_DIR,
    EVENTS_FILE,
    LOSS,
    ORIGIN_FILE,
    OUTCOME_FILE,
    PLAN_FILE,
    PROVENANCE_FILE,
    ROUNDS_FILE,
    SENSITIVITY_FILE,
    STUDY_FILE,
    TASK_FILE,
    TEST_FILE,
    TRIALS_DIR,
    ConfirmationRecord,
    Event,
    HeldOutRecord,
    LayerRecord,
    MetricRecord,
    Origin,
    Provenance,
    RoundRecord,
    SensitivityRecord,
    TaskRecord,
    TrialOutcome,
    round_state_file,
)
from study.storage import Folder

LAYERS = {"fc1": (300, 784), "fc2": (100, 300), "head": (10, 100)}
"""Name: outputs, inputs."""

FRAGILITY = {"fc1": 0.004, "fc2": 0.01, "head": 0.06}
"""How fast accuracy falls as a layer is pruned."""

RETRAIN_GAIN = {"finetune": 0.0, "lr_rewind": 0.008, "weight_rewind": 0.006, "reinit": -0.02}

ACCURACY = MetricRecord(name="accuracy", direction="max", unit="share")
PERPLEXITY = MetricRecord(name="perplexity", direction="min", unit="amount")
R2 = MetricRecord(name="r2", direction="max", unit="score")
AVERAGE_PRECISION = MetricRecord(name="average_precision", direction="max", unit="share")

DENSE_ACCURACY = 0.975
DENSE_EPOCHS = 12.0
SAMPLES_PER_EPOCH = 5000


def figure(metric: MetricRecord, goodness: float) -> float:
    """What a network that is as good as this accuracy has in another metric."""
    if metric == LOSS:
        return 1.5 * (1.0 - goodness)
    if metric.direction == "max":
        return goodness
    return 30.0 * math.exp(4.0 * (DENSE_ACCURACY - goodness))


@dataclass
class StudyFolder:
    """A study folder under construction."""

    folder: Folder
    rng: np.random.Generator
    layers: dict[str, tuple[int, int]]
    metrics: tuple[MetricRecord, ...] = (ACCURACY, LOSS)
    clock_s: float = 0.0

    @property
    def path(self) -> str:
        return self.folder.location

    def now(self, after_s: float = 1.0) -> str:
        self.clock_s += after_s
        minutes, seconds = divmod(self.clock_s, 60)
        hours, minutes = divmod(int(minutes), 60)
        days, hours = divmod(hours, 24)
        return f"2026-01-{days + 1:02d}T{hours:02d}:{minutes:02d}:{seconds:06.3f}+00:00"

    def event(self, event: str, trial_id: str | None = None, **detail: Any) -> None:
        line = Event(event=event, trial_id=trial_id, detail=detail, at=self.now()).to_json()
        self.folder.append_line(line, EVENTS_FILE)

    def trial(
        self,
        trial_id: str,
        *,
        rounds: int = 3,
        finished: int | None = None,
        sparsity: float | dict[str, float] = 0.9,
        score_offsets: dict[str, float] | None = None,
        retrain: str = "finetune",
        schedule: str = "geometric",
        allocation: str | None = None,
        retrain_epochs: float = 4.0,
        rewind_epoch: float | None = None,
        saliency: str = "magnitude",
        seed: int = 0,
        status: str | None = "completed",
        reason: str | None = None,
        error: str | None = None,
        accuracy: float | None = None,
        noise: float = 0.002,
        masks: bool = False,
        figures: dict[str, float] | None = None,
    ) -> None:
        """Write a trial; ``status`` None leaves it running.

        ``accuracy`` overrides how good it is, ``figures`` the values of pruned networks by metric.
        """
        plan = {
            "sparsity": sparsity,
            "allocation": allocation or ("per_layer" if isinstance(sparsity, dict) else "global"),
            "threshold": None,
            "score_offsets": score_offsets or {},
            "saliency": saliency,
            "schedule": schedule,
            "rounds": rounds,
            "retrain": retrain,
            "rewind_epoch": rewind_epoch,
            "retrain_epochs": retrain_epochs,
            "optimizer_state": "fresh",
            "layer_floor": 0.0,
            "include": [],
            "exclude": [],
            "seed": seed,
            "init_seed": None,
            "data_seed": None,
            "mask_seed": None,
        }
        self.folder.write(json.dumps(plan, indent=2), TRIALS_DIR, trial_id, PLAN_FILE)
        started = self.now()
        done = rounds if finished is None else finished
        lines = []
        for number in range(done + 1):
            own = figures if number > 0 else None
            record = self.round(trial_id, number, plan, accuracy, noise, own)
            lines.append(record.to_json() + "\n")
        if lines:
            self.folder.write("".join(lines), TRIALS_DIR, trial_id, ROUNDS_FILE)
        if masks:
            self._masks(trial_id, done, plan)
        if status is None:
            return
        outcome = TrialOutcome(
            trial_id=trial_id,
            status=status,
            stop_reason=reason,
            error=error,
            rounds_planned=rounds,
            rounds_finished=max(done, 0),
            started_at=started,
            finished_at=self.now(),
        )
        text = outcome.model_dump_json(indent=2)
        self.folder.write(text, TRIALS_DIR, trial_id, OUTCOME_FILE)

    def replicate(
        self,
        of: str,
        seed: int,
        drops: Sequence[float],
        *,
        dense: float = 0.95,
        spread: float = 0.004,
        test_drops: Sequence[float] = (),
        test_dense: float | None = None,
        held_back: bool = True,
        examples: int = 1000,
        part_examples: Sequence[int] = (),
        groups: int | None = None,
        **plan: Any,
    ) -> str:
        """Write a trial on a new seed that was judged: how far below dense each round is.

        ``spread`` is the standard deviation of the parts of the examples, the same in all rounds.
        In the study's quality less may be better: then a drop is a rise. ``test_dense`` is the
        dense value on the test split, where it is another.
        """
        name = f"{of}-round-{len(drops)}-seed-{seed}"
        self.trial(name, rounds=len(drops), seed=seed, **plan)
        origin = Origin(of=of, replicate=name, round=len(drops), role="replicate")
        self.folder.write(origin.model_dump_json(), TRIALS_DIR, name, ORIGIN_FILE)
        parts = np.random.default_rng(seed).normal(0, spread, 20)
        parts -= parts.mean()
        quality = self.metrics[0]
        sign = 1.0 if quality.direction == "max" else -1.0
        for number, drop in enumerate([0.0, *drops]):
            figures = dict.fromkeys([quality.name, "loss"], dense - sign * drop)
            # The network misses as much more in each part as the part is hard.
            harder = drop * parts if number else 0 * parts
            without = tuple(dense - sign * (drop + harder))
            if groups == 1:
                without = (math.nan,)
            record = ConfirmationRecord(
                trial_id=name,
                round=number,
                seed=seed,
                **{f"confirm_{metric}": value for metric, value in figures.items()},
                examples=examples,
                groups=groups,
                held_back=held_back,
                without=dict.fromkeys(figures, without),
                part_examples=tuple(part_examples),
            )
            line = record.to_json()
            self.folder.append_line(line, TRIALS_DIR, name, CONFIRMATION_FILE)
        for number, drop in enumerate([0.0, *test_drops] if test_drops else []):
            level = dense if test_dense is None else test_dense
            figures = dict.fromkeys([quality.name, "loss"], level - sign * drop)
            held_out = HeldOutRecord(
                trial_id=name,
                round=number,
                **{f"test_{metric}": value for metric, value in figures.items()},
                examples=examples,
                without={metric: (value,) * 20 for metric, value in figures.items()},
            )
            self.folder.append_line(held_out.to_json(), TEST_FILE)
        return name

    def control(
        self,
        replicate: str,
        role: str,
        accuracy: float,
        *,
        of: str = "0000",
        round_: int = 3,
        own_round: int = 1,
        epochs: float = 15.0,
        seed: int = 0,
        **origin: Any,
    ) -> None:
        """Write a control of a replicate; its only record is that of its last round."""
        plan = {"rounds": own_round, "sparsity": 0.9, "retrain": "reinit", "seed": seed,
                "retrain_epochs": 1.0}  # fmt: skip
        name = f"{replicate}-{role}"
        record = self.round(name, own_round, plan, accuracy)
        record = record.model_copy(update={"train_epochs": epochs})
        facts = {"of": of, "round": round_, "role": role, "replicate": replicate, **origin}
        outcome = TrialOutcome(
            trial_id=name, status="completed", rounds_planned=own_round, rounds_finished=own_round,
            started_at=self.now(), finished_at=self.now(),
        )  # fmt: skip
        place = (CONTROLS_DIR, name)
        self.folder.write(json.dumps({"schema_version": 1, **facts}), *place, ORIGIN_FILE)
        self.folder.write(record.to_json() + "\n", *place, ROUNDS_FILE)
        self.folder.write(outcome.model_dump_json(indent=2), *place, OUTCOME_FILE)

    def _masks(self, trial_id: str, finished: int, plan: dict[str, Any]) -> None:
        """Weights and masks of each round: nested, by scores that seeds share in part."""
        common, own = np.random.default_rng(77), np.random.default_rng(plan["seed"] + 1000)
        scores = {
            layer: common.normal(size=shape) + own.normal(size=shape)
            for layer, shape in self.layers.items()
        }
        for number in range(1, finished + 1):
            tensors = {}
            for layer, score in scores.items():
                final = plan["sparsity"]
                final = final.get(layer, 0.0) if isinstance(final, dict) else final
                kept = round(score.size * (1.0 - final) ** (number / plan["rounds"]))
                edge = np.sort(score, axis=None)[::-1][max(kept - 1, 0)]
                tensors[f"mask.{layer}"] = score >= edge if kept else np.zeros(score.shape, bool)
                tensors[f"model.{layer}.weight"] = score.astype(np.float16)
            data = save(tensors, metadata={"prune_study": "{}"})
            self.folder.write(data, TRIALS_DIR, trial_id, round_state_file(number))

    def round(
        self,
        trial_id: str,
        number: int,
        plan: dict[str, Any],
        accuracy: float | None = None,
        noise: float = 0.002,
        figures: dict[str, float] | None = None,
    ) -> RoundRecord:
        share = number / plan["rounds"]
        layers = []
        for layer, (outputs, inputs) in self.layers.items():
            final = plan["sparsity"]
            final = final.get(layer, 0.0) if isinstance(final, dict) else final
            sparsity = 1.0 - (1.0 - final) ** share
            total = outputs * inputs
            kept = round(total * (1.0 - sparsity))
            layers.append(
                LayerRecord(
                    layer=layer,
                    kept=kept,
                    total=total,
                    density=kept / total,
                    requested_sparsity=sparsity,
                    dead_outputs=max(0, round(outputs * (0.3 - kept / total * 10))),
                    outputs=outputs,
                    macs=float(total),
                )
            )
        kept, total = sum(each.kept for each in layers), sum(each.total for each in layers)
        biases = sum(outputs for outputs, _ in self.layers.values())
        drop = sum(
            FRAGILITY.get(each.layer, 0.01) * math.log2(max(1.0, 0.3 / max(each.density, 1e-6)))
            for each in layers
        )
        seed_rng = np.random.default_rng(plan["seed"])
        value = DENSE_ACCURACY + seed_rng.normal(0, noise)
        if number > 0:
            value += RETRAIN_GAIN[plan["retrain"]] - drop + self.rng.normal(0, noise)
        value = accuracy if accuracy is not None else min(max(value, 0.1), 1.0)
        epochs = DENSE_EPOCHS + number * plan["retrain_epochs"]
        digest = f"{abs(hash((trial_id, number, kept))) % 16**16:016x}" if number else "d" * 16
        return RoundRecord(
            trial_id=trial_id,
            round=number,
            requested_sparsity=1.0 - kept / total,
            sparsity=1.0 - kept / total,
            density=kept / total,
            prunable_parameters=total,
            nonzero_parameters=kept + biases,
            total_parameters=total + biases,
            compression_ratio=(total + biases) / (kept + biases),
            macs=float(kept),
            dense_macs=float(total),
            theoretical_speedup=total / max(kept, 1),
            **{each.column: figure(each, value) for each in self.metrics}
            | {f"val_{name}": given for name, given in (figures or {}).items()},
            train_loss=0.1,
            train_epochs=epochs,
            train_samples=int(epochs * SAMPLES_PER_EPOCH),
            wall_s=epochs * 0.5,
            mask_hash=digest,
            seed=plan["seed"],
            layers=tuple(layers),
            finished_at=self.now(plan["retrain_epochs"] * 0.5),
        )

    def sensitivity(
        self, levels: Sequence[float] = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99), seeds: int = 3
    ) -> None:
        rows = []
        for layer in self.layers:
            for seed in range(seeds):
                dense = DENSE_ACCURACY + np.random.default_rng(seed).normal(0, 0.003)
                for level in levels:
                    drop = FRAGILITY.get(layer, 0.01) * 3 * math.log2(1 / (1 - level)) ** 1.5 / 2
                    drop = min(drop + self.rng.normal(0, 0.002) * (level > 0), dense - 0.1)
                    quality = self.metrics[0]
                    before, after = figure(quality, dense), figure(quality, dense - drop)
                    rows.append(
                        SensitivityRecord(
                            layer=layer,
                            sparsity=level,
                            **{each.column: figure(each, dense - drop) for each in self.metrics},
                            **{quality.drop_column: quality.drop(before, after)},
                            seed=seed,
                            recovery_epochs=0.0,
                        ).model_dump()
                    )
        self._write_scan(rows)

    def narrowing(
        self,
        drops: Mapping[str, Sequence[float]],
        saved_ms: Mapping[str, Sequence[float]] | None = None,
        seeds: int = 3,
    ) -> None:
        """A scan of channels: of 8 of each layer 2, 4 and 6 are taken out, and the last again."""
        rows = []
        for seed in range(seeds):
            for layer, own in drops.items():
                for place, level in enumerate((0.0, 0.25, 0.5, 0.75, 0.8)):
                    width = min(place, 3)
                    drop = 0.0 if width == 0 else own[width - 1] * (1 + 0.1 * (seed - 1))
                    gone = round(level * 8) if place < 4 else 6
                    times = None if saved_ms is None else [0.0, *saved_ms[layer]][width]
                    rows.append(
                        SensitivityRecord(
                            layer=layer,
                            sparsity=level,
                            **{each.column: figure(each, 0.9 - drop) for each in self.metrics},
                            **{self.metrics[0].drop_column: drop},
                            seed=seed,
                            recovery_epochs=0.0,
                            units=8,
                            units_left=8 - gone,
                            macs=1000.0,
                            macs_saved=40.0 * gone,
                            parameters=500,
                            parameters_saved=10 * gone,
                            predicted_latency_ms=None if times is None else 2.0,
                            predicted_saved_ms=times,
                        ).model_dump(exclude_none=True)
                    )
        self._write_scan(rows)

    def _write_scan(self, rows: list[dict[str, Any]]) -> None:
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows), sink)
        self.folder.write(sink.getvalue().to_pybytes(), SENSITIVITY_FILE)


OBJECTIVES = 'accuracy = "max"\ndensity = "min"'


def new_study(
    path: Path,
    name: str = "synthetic",
    layers: dict[str, tuple[int, int]] | None = None,
    objectives: str = OBJECTIVES,
    seed: int = 0,
    model: str = "lenet300",
    metrics: Sequence[MetricRecord] = (),
    constraints: Sequence[str] = (),
) -> StudyFolder:
    """A study folder without trials; of metrics but the loss, if given, also their task.json."""
    study = StudyFolder(Folder(path), np.random.default_rng(seed), layers or LAYERS)
    if metrics:
        study.metrics = (*metrics, LOSS)
        record = TaskRecord(key="0", name="a task", metrics=study.metrics)
        study.folder.write(record.to_json(), TASK_FILE)
        first = metrics[0]
        if objectives == OBJECTIVES:
            objectives = f'{first.name} = "{first.direction}"\ndensity = "min"'
    study.folder.write(
        f'[study]\nname = "{name}"\nseed = {seed}\nnum_samples = 40\n\n'
        f'[task]\ndataset = "mnist5k"\nmodel = "{model}"\nepochs = {int(DENSE_EPOCHS)}\n\n'
        f"[objectives]\n{objectives}\n\n[search]\nconstraints = {json.dumps(constraints)}\n",
        STUDY_FILE,
    )
    provenance = Provenance(
        study=name,
        command=["prune-study", "run", "study.toml"],
        started_at="2026-01-01T00:00:00.000+00:00",
        python="3.12.1",
        platform="Linux",
        machine="x86_64",
        cpus=2,
        gpus=[],
        packages={"torch": "2.9.0"},
    )
    study.folder.write(provenance.to_json(), PROVENANCE_FILE)
    study.event("study_started", num_samples=40)
    return study


def searched_study(
    path: Path,
    trials: int = 48,
    seeds: Sequence[int] = (0,),
    name: str = "synthetic",
    layers: dict[str, tuple[int, int]] | None = None,
    rng_seed: int = 0,
    masks: bool = False,
    metrics: Sequence[MetricRecord] = (),
    objectives: str = OBJECTIVES,
    constraints: Sequence[str] = (),
) -> str:
    """A whole study: per-layer plans of several kinds, some stopped, one failed, one running."""
    study = new_study(
        path, name, layers, objectives, rng_seed, metrics=metrics, constraints=constraints
    )
    rng = study.rng
    study.sensitivity()
    saliencies = ["magnitude", "random"]
    modes = ["finetune", "lr_rewind", "weight_rewind", "reinit"]
    for number in range(trials):
        base = rng.uniform(0.3, 0.97)
        sparsity = {
            layer: float(np.clip(base + rng.normal(0, 0.12), 0.0, 0.99)) for layer in study.layers
        }
        retrain = modes[int(rng.integers(4))]
        rounds = int(rng.integers(1, 6))
        stopped = rounds > 2 and rng.random() < 0.25
        study.trial(
            f"{number:04d}",
            rounds=rounds,
            finished=int(rng.integers(1, rounds)) if stopped else None,
            sparsity=sparsity,
            saliency=saliencies[int(rng.integers(2))],
            retrain=retrain,
            schedule=["geometric", "constant", "cubic"][int(rng.integers(3))],
            retrain_epochs=float(rng.integers(2, 9)),
            rewind_epoch=float(rng.integers(0, 3)) if retrain == "weight_rewind" else None,
            seed=int(seeds[number % len(seeds)]),
            status="stopped" if stopped else "completed",
            reason="future_dominated" if stopped else None,
            masks=masks,
        )
        study.event("trial_stopped" if stopped else "trial_completed", f"{number:04d}")
    error = "RuntimeError: CUDA out of memory"
    study.trial("9998", finished=0, status="errored", reason="error", error=error)
    study.trial("9999", rounds=4, finished=2, status=None)
    return study.path
