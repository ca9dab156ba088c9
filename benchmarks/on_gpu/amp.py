"""Mixed precision: right within rounding, pruned weights stay zero, and how fast it is.

Outputs and gradients are of one step from the same weights, against float32 without TF32. A type
with a rounding unit u (2^-8 of bfloat16, 2^-11 of float16) may move the outputs of some twenty
layers by 8 u; gradients, through as many batch norms of a network that is four fifths zeros, are
held to their direction. Training in float16 needs torch's GradScaler, which a study does not have
(its ``amp`` is bfloat16): here it is in a loop of one's own, with ``mask_layers``.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.measuring import Figure, ratios
from benchmarks.on_gpu.setting import (
    CLASSES,
    Found,
    Setting,
    apart,
    cut_at_random,
    flat,
    plain_float32,
    revived,
)
from study.pruning import PruningPlan, mask_layers, run_pipeline
from study.tasks.models import MODELS

TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
ROUNDING = {"fp16": 2.0**-11, "bf16": 2.0**-8}
LEAST_COSINE = {"fp16": 0.99, "bf16": 0.95}
DENSITY = 0.2
STEPS = 20


def check(setting: Setting) -> Found:
    """Compare one step, training, whole descents, and times."""
    model, shape, batch = setting.pick(("resnet20", (3, 32, 32), 512), ("mlp", (8, 8), 32))
    figures: list[Figure] = []
    network = _network(setting, model, shape)
    inputs, targets = (part.to(setting.device) for part in setting.classes(shape, batch, seed=3))
    with plain_float32():
        expected = Loop(copy.deepcopy(network), None).forward_backward(inputs, targets)
        trained = Loop(copy.deepcopy(network), None)
        losses = {"fp32": [trained.step(inputs, targets) for _ in range(STEPS)]}
    for name, dtype in TYPES.items():
        outputs, gradient = Loop(copy.deepcopy(network), dtype).forward_backward(inputs, targets)
        cosine = float(functional.cosine_similarity(gradient, expected[1], dim=0))
        loop = Loop(copy.deepcopy(network), dtype)
        losses[name] = [loop.step(inputs, targets) for _ in range(STEPS)]
        fell = [float(losses[kind][-1]) for kind in (name, "fp32")]
        figures += [
            Figure.of(
                f"{model}, {name}: outputs against fp32",
                "relative",
                [apart(outputs, expected[0])],
                f"<= {8 * ROUNDING[name]:.2g}",
            ),
            Figure.of(
                f"{model}, {name}: direction of the gradient",
                "cosine",
                [cosine],
                f">= {LEAST_COSINE[name]}",
            ),
            Figure.of(
                f"{model}, {name}: loss after {STEPS} steps on one batch, beyond fp32's",
                "of the first loss",
                [(fell[0] - fell[1]) / float(losses["fp32"][0])],
                "<= 0.05",
            ),
            Figure.of(
                f"{model}, {name}: pruned weights that are not 0 after it",
                "weights",
                [revived(loop.model)],
                "<= 0",
            ),
        ]
    return Found((*figures, *_descents(setting), *_speeds(setting)), notes=_NOTES)


def _network(setting: Setting, model: str, shape: tuple[int, ...]) -> nn.Module:
    """A masked network, the same on every device."""
    torch.manual_seed(0)
    network = MODELS[model](shape, CLASSES)
    cut_at_random(mask_layers(network), DENSITY)
    return network.to(setting.device)


_NOTES = (
    "Right against fp32 without TF32; times against fp32 as torch has it by default, with TF32 in "
    "convolutions.",
)


@dataclass
class Loop:
    """A training loop as users write it; with a scaler where the type is float16."""

    model: nn.Module
    dtype: torch.dtype | None
    optimizer: torch.optim.Optimizer = field(init=False)

    def __post_init__(self) -> None:
        self.device = next(self.model.parameters()).device
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.02, momentum=0.9)
        # From 2^10 and not 2^16 on: no step is lost while the scale falls to what fits.
        self.scaler = torch.amp.GradScaler(
            self.device.type, init_scale=2.0**10, enabled=self.dtype is torch.float16
        )

    def _backward(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        self.optimizer.zero_grad()
        mixed = self.dtype is not None
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=mixed):
            outputs = self.model(inputs)
            loss = functional.cross_entropy(outputs, targets)
        self.scaler.scale(loss).backward()
        return outputs.detach(), loss.detach()

    def forward_backward(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs, and the whole gradient in one row, without the scale."""
        outputs, _ = self._backward(inputs, targets)
        self.scaler.unscale_(self.optimizer)
        gradients = {name: weight.grad for name, weight in self.model.named_parameters()}
        return outputs, flat({name: each for name, each in gradients.items() if each is not None})

    def step(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Take a step, and return the loss before it."""
        _, loss = self._backward(inputs, targets)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss


def _descents(setting: Setting) -> list[Figure]:
    """The same descent with a study's ``amp`` and without, each from a dense run of its own."""
    plan = PruningPlan(sparsity=0.8, rounds=2, retrain="lr_rewind", retrain_epochs=1)
    plain = setting.task(
        *setting.pick(("resnet20", (3, 32, 32), 4_096), ("mlp", (8, 8), 80)),
        epochs=setting.pick(4, 1),
        batch_size=setting.pick(128, 40),
        lr=0.05,
    )
    mixed = plain.with_recipe(plain.recipe.model_copy(update={"amp": True}))
    with plain_float32():
        expected = list(run_pipeline(plan, plain))
    found = list(run_pipeline(plan, mixed))
    figures = [
        Figure.of(
            f"{plain.name}, descent with amp = true: weights kept against fp32's",
            "weights apart",
            [abs(found[-1].nonzero_parameters - expected[-1].nonzero_parameters)],
            "<= 0",
        )
    ]
    if setting.on_gpu:  # some twenty examples say nothing of the quality
        figures.append(
            Figure.of(
                f"{plain.name}, descent with amp = true: accuracy below fp32's "
                f"({expected[-1].val_accuracy:.3f})",
                "share",
                [expected[-1].val_accuracy - found[-1].val_accuracy],
                "<= 0.03",
            )
        )
    return figures


def _speeds(setting: Setting) -> list[Figure]:
    """Steps of a loop in each type, over those in fp32."""
    figures = []
    cases: dict[str, tuple[int, ...]] = setting.pick(
        {"resnet20": (3, 32, 32), "vgg16": (3, 32, 32)}, {"mlp": (8, 8)}
    )
    for model, shape in cases.items():
        inputs, targets = setting.classes(shape, setting.pick(512, 32), seed=4)
        inputs, targets = inputs.to(setting.device), targets.to(setting.device)
        network = _network(setting, model, shape)
        loops = {
            name: Loop(copy.deepcopy(network), dtype)
            for name, dtype in {"fp32": None, **TYPES}.items()
        }
        times = setting.times_ms(
            {name: partial(loop.step, inputs, targets) for name, loop in loops.items()},
            calls=setting.pick(10, 1),
        )
        figures += [
            Figure.of(f"{model}, batch {len(inputs)}: step in fp32", "ms", times["fp32"]),
            *(
                Figure.of(
                    f"{model}, batch {len(inputs)}: step in {name}",
                    "x as fast as fp32",
                    ratios(times["fp32"], times[name]),
                )
                for name in TYPES
            ),
        ]
    return figures
