"""Every field of a study file, with values that are right and wrong, written down by hand.

It is an oracle of its own: nothing here is taken from the models that check study files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import date
from typing import Any

HOSTILE = "\x1b]0;owned\x07[/b]"
LONG = "x" * 100_001

_NO_NUMBER = ("abc", "5", "", True, [], [[1]], {}, {"a": 1}, date(2020, 1, 1), math.nan, math.inf,
              -math.inf, 10**400, 2**63, HOSTILE, LONG)  # fmt: skip
_NO_TEXT = (1, 1.5, True, [], ["a"], {}, {"a": 1}, date(2020, 1, 1), math.nan, 10**400, HOSTILE,
            "a\x00b", LONG)  # fmt: skip
_NO_SPAN = (
    *_NO_NUMBER, [True], ["a"], [0.1, math.nan], {"low": 1}, {"low": 1, "high": 2, "steps": 1},
    {"low": 2, "high": 1}, {"low": 1, "high": 2, "step": 0}, {"low": 1, "high": 2, "step": -1},
    {"low": 1, "high": 2, "step": 1e-300}, {"low": 1, "high": 2, "step": "x"},
    {"low": 1, "high": 2, "log": 1}, {"low": 1, "high": 2, "log": True, "step": 1}, [2, 1],
    [1, 1, 1], [[0.1], [0.2]],
)  # fmt: skip
_NO_NAME = (1, 1.5, True, [], [1], [["a"]], {}, math.nan, 10**400, date(2020, 1, 1), HOSTILE, "")

WRONG: dict[str, tuple[Any, ...]] = {
    "whole": (*_NO_NUMBER, 1.5),
    "number": _NO_NUMBER,
    "truth": (0, 1, 1.0, "true", "", [], [True], {}, math.nan, 10**400, date(2020, 1, 1)),
    "text": _NO_TEXT,
    "choice": (*_NO_TEXT, "nonsense", ""),
    "span": _NO_SPAN,
    "names": (*_NO_NAME, "nonsense", ["nonsense"]),
    "free names": (*_NO_NAME, "nonsense"),
    "texts": (1, True, "abc", {}, {"a": 1}, [1], [True], [["a"]], [math.nan], 10**400),
    "numbers": (1, True, "abc", {}, ["a"], [True], [[0.5]], [math.nan], [10**400], [0.5, "x"]),
    "table": (1, True, "abc", [], [1], math.nan, 10**400),
}
"""What is wrong of each kind, whatever the field."""


@dataclass(frozen=True)
class Field:
    """A field.

    Parameters
    ----------
    key
        Such as ``space.rounds``.
    kind
        A key of :data:`WRONG`.
    right
        Values that the small study may have.
    wrong
        Of the kind, but not allowed.
    beside
        Other fields that it takes.
    """

    key: str
    kind: str
    right: tuple[Any, ...] = ()
    wrong: tuple[Any, ...] = ()
    beside: dict[str, Any] = field(default_factory=dict)


_GLOBAL = {"space.form": "global"}
_CHANNELS = {
    "task.model_options": {"widths": [32, 32]},
    "space.structure": "channels",
    "space.density": [0.3, 0.6],
}
_CUT = {"space.cut": 0.2, "space.rounds": None}
_TIMED = {"latency.backend": "eager"}

FIELDS = (
    Field("study.name", "text", ("a", "ä-ö", "網", "x" * 100, "_c12", "a.b", "-", "1"),
          ("", ".", "..", ".a", "a/b", "a b", "a\\b", "😀", "網" * 90, "x" * 101, "a?",
           "é́ ", "a\u202eb", "\u2028")),
    Field("study.seed", "whole", (0, 7, 2**32 - 1), (-1, 2**32, 2**62)),
    Field("study.num_samples", "whole", (1, 3, 1000), (0, -1, -(2**63))),
    Field("study.train_samples_budget", "whole", (1, 5000, 10**15), (0, -1, 10**15 + 1)),
    Field("study.time_budget_s", "number", (1, 0.5, 1e6), (0, -1, -0.0)),
    Field("study.tracking", "texts", ([],), (["nonsense"], ["tensorbord"])),
    Field("study.storage_path", "text", ("studies", "a b", "😀", "~/studies", "./~x", "a/../b"),
          ("", " ", "s3://KEY:SECRET@b", "s3://b/x?secret_key=y", "ftp://x/y", "S4://b", "s3:/b",
           "s3://", "~nobody-of-this-name/x", "file://host/x", "file:///x?a=b", "s3://b/../c",
           "x" * 300, "a/" * 2500, "/dev/null", "/proc/nothing/x", "wandbb://x", "s3://b#x")),
    Field("task.dataset", "text", ("digits",), ("digit", "nonsense", "a:b", ":", "a:", ":a", "😀")),
    Field("task.model", "text", ("mlp",), ("mpl", "nonsense", "no_such:thing", "math:pi", "json:")),
    Field("task.module_dir", "text", (".",)),
    Field("task.data_dir", "text", (), ("/no/such/folder", "~nobody-of-this-name")),
    Field("task.model_options", "table", ({"widths": [8]}, {"widths": [4, 4]}),
          ({"width": [8]}, {"widths": "a"}, {"widths": [-1]}, {"widths": [10**15]})),
    Field("task.metrics", "texts", (["accuracy"], ["f1", "accuracy"]),
          (["acuracy"], ["nonsense"], ["no_such:thing"], ["math:pi"], [""])),
    Field("task.weights", "text", (), ("/no/such/file", ".", "/dev/null")),
    Field("task.epochs", "whole", (2, 3), (-1, -(2**63))),
    Field("task.batch_size", "whole", (16, 64, 100_000), (0, -1)),
    Field("task.drop_last", "truth", (True, False)),
    Field("task.eval_batch_size", "whole", (1, 64), (0, -1)),
    Field("task.optimizer", "text", ("sgd", "adam", "adamw", "torch.optim:RMSprop"),
          ("adm", "nonsense", "torch.optim:Nothing", "math:pi", "json:loads", ":")),
    Field("task.optimizer_options", "table", ({},), ({"nonsense": 1}, {"lr": 1})),
    Field("task.lr", "number", (0.1, 1e-4, 1), (0, -1, -1e300)),
    Field("task.momentum", "number", (0, 0.9), (-0.1, 1, 1.5)),
    Field("task.nesterov", "truth", (True, False)),
    Field("task.weight_decay", "number", (0, 1e-4), (-1, -1e-300)),
    Field("task.decay_norms_and_biases", "truth", (True, False)),
    Field("task.lr_schedule", "text", ("constant", "step", "cosine"),
          ("cosin", "nonsense", "math:pi", "no_such:thing", "json:loads")),
    Field("task.milestones", "numbers", ([0.5], [0.1, 0.9]), ([0], [1], [-1], [2])),
    Field("task.gamma", "number", (0.5, 1), (0, -1, 1.1)),
    Field("task.min_lr_fraction", "number", (0, 1), (-1, 1.1)),
    Field("task.warmup_epochs", "number", (0, 0.5, 2), (-1, 2.5)),
    Field("task.label_smoothing", "number", (0, 0.1), (-0.1, 1)),
    Field("task.class_weights", "text", ("balanced", [1.0] * 10),
          ("balance", [1.0], [0.0] * 10, [-1.0] * 10)),
    Field("task.distill", "table", ({"weight": 0.5}, {"weight": 1, "temperature": 2}),
          ({"weight": 2}, {"temperature": 0}, {"wieght": 0.5}, {"weight": True})),
    Field("task.augmentation", "texts", ([],), (["nonsense"], ["croop"])),
    Field("task.crop_padding", "whole", (1, 8), (0, -1)),
    Field("task.clip_norm", "number", (1, 0.1), (0, -1)),
    Field("task.channels_last", "truth", (True, False)),
    Field("task.skip_pruned", "truth", (True, False)),
    Field("task.amp", "truth", (False,)),
    Field("task.device", "text", ("auto", "cpu"), ("cuda:x", "nonsense", "gpu", "cuda:99", "")),
    Field("space.form", "choice", ("offsets", "per_layer", "density_projected", "global"),
          ("per_layr",)),
    Field("space.offset_scale", "number", (0.5, 1, 5), (0, -1, 5.1), {"space.form": "offsets"}),
    Field("space.per_layer", "table",
          ({"bounds": [0, 0.9]}, {"bounds": [0.5, 0.5]}, {"group_by": "kind"},
           {"scale": "log_density"}, {"bounds": "sensitivity"}, {"bounds": {"*": [0, 0.5]}}),
          ({"bounds": [0, 1]}, {"bounds": [0.9, 0.1]}, {"bounds": [0]}, {"bounds": "sensitivty"},
           {"bounds": {"nothing": [0, 0.5]}}, {"group_by": "kin"}, {"scale": "log"},
           {"bound": [0, 1]}, {"bounds": [True, False]}, {"bounds": [-1, 0]})),
    Field("space.density", "span", (0.1, [0.05, 0.5], {"low": 0.1, "high": 0.4, "step": 0.1}),
          (0, -0.5, 1.5, [0, 0.5], [0.5, 2]), _GLOBAL),
    Field("space.structure", "text", ("weights", "2:4", "1:4", ["weights", "2:4"]),
          ("weight", "4:2", "0:4", "4:4", "2:4:8", ":", "channel", "weights+weights", [],
           ["weights", "weights"], {"*": "nonsense"}, {"nothing": "2:4"}, {}, 1)),
    Field("space.structure", "text", ("channels", ["channels", "weights"], "channels+weights"),
          ("chanels",), {k: v for k, v in _CHANNELS.items() if k != "space.structure"}),
    Field("space.unit_sparsity", "span", (0.3, [0.2, 0.5]), (0, 1, -1),
          {**_CHANNELS, "space.structure": "channels+weights"}),
    Field("space.block", "numbers", ([2, 2],), ([0, 1], [-1, -1], [2], [2, 2, 2], [2, 2.5]),
          {"space.structure": "blocks", "space.exclude": "fc2"}),
    Field("space.width_multiple", "whole", (1, 2, 8), (0, -1), _CHANNELS),
    Field("space.allocation", "names", ("global", "lamp", ["erk", "uniform"]),
          ("lmap", ["lamp", "lamp"]), _GLOBAL),
    Field("space.threshold", "span", (0.01, [0.001, 0.1]), (0, -1),
          {**_GLOBAL, "space.allocation": "threshold"}),
    Field("space.budget", "choice", ("weights", "macs"), ("mac", "latency_ms"), _GLOBAL),
    Field("space.cost_exponent", "span", (0.5, [0, 1]), (-1, 3),
          {**_GLOBAL, "space.allocation": "global"}),
    Field("space.cost", "choice", ("parameters", "macs"), ("mac", "latency_ms"),
          {**_GLOBAL, "space.allocation": "lamp", "space.cost_exponent": 1}),
    Field("space.saliency", "free names", ("magnitude", "random", ["magnitude", "wanda"]),
          ("magnitud", ["magnitude", "magnitude"], "no_such:thing", "math:pi", ["magnitude", "x"])),
    Field("space.schedule", "free names", ("geometric", "one_shot", ["constant", "cubic"]),
          ("geometrc", "math:pi", "json:loads", ["cubic", "cubic"])),
    Field("space.rounds", "span", (1, 3, [1, 4], [1, 2, 4], {"low": 1, "high": 5, "step": 2}),
          (0, -1, 1.5, [0, 3], [1, 10**9], 10**18, [1, 2.5], {"low": 1, "high": 4, "step": 0.5})),
    Field("space.cut", "span", (0.2, [0.2, 0.5], [0.2, 0.3, 0.5]),
          (0, 1, -1, 1e-300, [1e-12, 0.5], 1.5), {"space.rounds": None}),
    Field("space.floor", "number", (0.05, 0.5), (0, 1, -1), _CUT),
    Field("space.retrain", "names", ("finetune", "lr_rewind", ["reinit", "weight_rewind"]),
          ("finetun", ["finetune", "finetune"])),
    Field("space.rewind_epoch", "span", (0, 1, [0, 1], {"low": 0, "high": 1, "step": 0.25}),
          (-1, 3, 1e9, [0, 50], {"low": 0, "high": 1, "step": 0.3})),
    Field("space.lr_rewind_epoch", "span", (0, [0, 1]), (-1, 1e9, 50)),
    Field("space.retrain_epochs", "span",
          (0, 1, [1, 2], {"low": 0.1, "high": 0.3, "step": 0.1}), (-1, 1e9, [0, 1e9], [1, 1.7])),
    Field("space.retrain_lr", "span", (0.01, [0.01, 0.1]), (0, -1)),
    Field("space.retrain_lr_schedule", "free names", ("constant", ["step", "cosine"]),
          ("cosin", "math:pi")),
    Field("space.optimizer_state", "names", ("fresh", "keep", ["fresh", "keep"]), ("kep",)),
    Field("space.layer_floor", "span", (0, 0.001), (1, -1, 0.5)),
    Field("space.include", "text", ("*", ["*"]), (["nothing"], "nothing", [1])),
    Field("space.exclude", "text", ([],), ("*", ["*"], "nothing", [1])),
    Field("space.function", "text", (), ("no_such:thing", "nonsense", "math:pi", ":", "json:")),
    Field("objectives.accuracy", "choice", ("max",), ("min", "maximise", "mx")),
    Field("objectives.density", "choice", ("min",), ("max", "mn")),
    Field("search.sampler", "choice", ("tpe", "nsga2", "random"), ("tpee",)),
    Field("search.every_round", "truth", (True, False)),
    Field("search.textbook", "truth", (True, False)),
    Field("search.warm_start", "texts", ([], ["lamp"], ["global", "erk"]), (["lmap"], [""])),
    Field("search.warm_start_densities", "numbers", ([0.1], [0.01, 1]), ([0], [1.5], [-1])),
    Field("search.exploration", "number", (0, 0.5, 1), (-0.1, 1.1)),
    Field("search.constraints", "texts",
          ([], ["accuracy >= 0.94"], ["density<=0.5"], ["macs <= 1000000", "accuracy>=1"]),
          (["accuracy >= 1.5"], ["accuracy >= 94"], ["acuracy >= 0.9"], ["accuracy"], [""],
           ["accuracy > 0.9"], ["accuracy >= x"], ["accuracy >= nan"], ["accuracy >= 1e400"],
           ["density <= -1"], ["macs <= -1"], ["accuracy >= 0.9 and density <= 0.1"],
           ["accuracy => 0.9"], ["accuracy >= -0.5"], ["density >= 2"], ["latency_ms <= 1"])),
    Field("search.early_stopping", "choice", ("future_dominated", "mo_asha", "none"), ("mo_asah",)),
    Field("search.stopping_confidence", "number", (0.5, 0.99), (0, 1, -1)),
    Field("search.stopping_audit", "number", (0, 1, 0.3), (-1, 1.1)),
    Field("search.extend", "truth", (True, False)),
    Field("search.target", "text", ("density <= 0.1", "macs <= 0.4"),
          ("density", "density >= 0.1", "density <= 2", "density <= 0", "accuracy <= 0.4", "",
           "macs <= -1", "densty <= 0.1", "latency_ms <= 0.5")),
    Field("sensitivity.scan", "truth", (True, False)),
    Field("sensitivity.levels", "numbers", ([0.5], [0.9, 0.1]), ([], [1], [-0.1], [1.5])),
    Field("sensitivity.tolerated_drop", "number", (0, 0.1), (-0.1, 1)),
    Field("sensitivity.headroom", "number", (1, 3), (0, 0.9, -1)),
    Field("sensitivity.recovery_epochs", "number", (0, 1), (-1,)),
    Field("sensitivity.seeds", "whole", (1, 5), (0, -1)),
    Field("resources.cpus_per_trial", "number", (1, 0.5), (0, -1)),
    Field("resources.gpus_per_trial", "number", (0,), (-1,)),
    Field("resources.max_concurrent", "whole", (1, 8), (0, -1)),
    Field("resources.max_failures", "whole", (0, 3), (-1,)),
    Field("resources.share_trajectories", "truth", (True, False)),
    Field("resources.trajectory_store_gb", "number", (1, 0.1), (0, -1)),
    Field("resources.checkpoint_interval_s", "number", (1, 0.1), (0, -1)),
    Field("latency.backend", "choice", ("none", "eager"), ("eagr", "onnx")),
    Field("latency.batch_size", "whole", (1, 8), (0, -1, 10**6), _TIMED),
    Field("latency.threads", "whole", (1,), (0, -1, 10**6), _TIMED),
    Field("latency.repeats", "whole", (2, 3), (0, 1, -1), _TIMED),
    Field("confirm.share", "number", (0, 0.5), (-0.1, 1, 1.5)),
    Field("confirm.tolerances", "numbers", ([0], [0.01, 0.5]), ([], [1], [-0.1], [0.1, 0.1])),
    Field("confirm.seeds", "whole", (2, 5), (1, 0, -1)),
    Field("confirm.confidence", "number", (0.6, 0.99), (0.5, 1, 0, -1)),
    Field("confirm.held_back", "number", (0, 0.5), (-0.1, 1)),
    Field("report.test", "truth", (True, False)),
    Field("report.controls", "truth", (True, False)),
    Field("report.control_seeds", "whole", (1, 5), (0, -1)),
    Field("report.controlled_networks", "whole", (1, 3), (0, 4, -1)),
)  # fmt: skip

HUGE: tuple[Any, ...] = (2**31, 2**40, 2**62, 2**63 - 1, 1e18, 1e300, 5e-324, 1e-300)
"""Of the kind of a number, and of no use: refused, or taken without memory and time."""

TOGETHER: tuple[tuple[dict[str, Any], str], ...] = (
    ({"space.floor": 0.1}, "floor"),
    ({"space.cut": 0.2, "space.rounds": 3}, "rounds"),
    ({"space.form": "per_layer", "space.density": 0.1}, "density"),
    ({"space.form": "global", "space.offset_scale": 0.5}, "offset_scale"),
    ({"space.form": "offsets", "space.per_layer": {"bounds": [0, 0.5]}}, "bounds"),
    ({"space.form": "offsets", "space.allocation": "erk"}, "erk"),
    ({"space.form": "global", "space.per_layer": {"bounds": [0, 0.5]}}, "per_layer"),
    ({"space.form": "global", "space.allocation": "threshold"}, "threshold"),
    ({"space.threshold": 0.1}, "threshold"),
    ({"space.schedule": "one_shot", "space.rounds": [2, 3]}, "one_shot"),
    ({"space.retrain": "reinit", "space.optimizer_state": "keep"}, "optimizer_state"),
    ({"space.block": [2, 2]}, "block"),
    ({"space.unit_sparsity": 0.5}, "unit_sparsity"),
    ({"space.width_multiple": 8}, "width_multiple"),
    ({"space.cost": "parameters"}, "cost"),
    ({"space.form": "per_layer", "space.budget": "macs"}, "budget"),
    ({"space.function": "m:f", "space.rounds": 3}, "function"),
    ({"task.object": "m:f"}, "object"),
    ({"task.nesterov": True, "task.momentum": 0}, "nesterov"),
    ({"task.nesterov": True, "task.optimizer": "adam"}, "nesterov"),
    ({"task.warmup_epochs": 5}, "warmup_epochs"),
    ({"task.epochs": 0, "task.warmup_epochs": 1}, "warmup_epochs"),
    ({"objectives.latency_ms": "min"}, "latency"),
    ({"objectives.loss": "min", "objectives.f1": "max"}, "f1"),
    ({"objectives.accuracy": "max", "objectives.density": "min", "objectives.macs": "min",
      "objectives.parameters": "min", "objectives.train_epochs": "min"}, "objectives"),
    ({"objectives.acuracy": "max"}, "accuracy"),
    ({"search.target": "density <= 0.1", "space.function": "m:f"}, "function"),
    ({"search.target": "latency_ms <= 0.4"}, "latency_ms"),
    ({"study.tracking": ["mlflow"]}, "mlflow"),
    ({"study.tracking": ["wandb"]}, "wandb"),
    ({"latency.backend": "cuda"}, "cuda"),
    ({"task.device": "cuda"}, "device"),
    ({"space.structure": "heads"}, "structure"),
    ({"sensitivity.scan": True, "space.structure": "2:4"}, "sensitivity"),
    ({"space.include": "fc1", "space.exclude": "fc1"}, "exclude"),
    ({"space.per_layer": {"bounds": [0, 0.99]}, "space.layer_floor": 0.5}, "layer_floor"),
)  # fmt: skip
"""Fields that do not go together, and what must be named."""
