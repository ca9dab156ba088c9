"""Ready-made spaces, one for each family of networks.

They are beginnings: change a field with ``SPACES["resnet"].model_copy(update={...})``, or copy the
table that :meth:`~pydantic.BaseModel.model_dump` gives into a study file.

References
----------
Gale et al. 2019, "The State of Sparsity in Deep Neural Networks", section 4.2: the first
convolution stays dense and the last layer keeps a fifth of its weights.
Renda et al. 2020, "Comparing Rewinding and Fine-tuning in Neural Network Pruning": learning-rate
and weight rewinding over rounds of a geometric schedule.
"""

from __future__ import annotations

from search_spaces.per_layer import PerLayer
from search_spaces.space import SearchSpace
from search_spaces.values import Range

_REWINDING = ("finetune", "lr_rewind", "weight_rewind")

MLP = SearchSpace(
    schedule=("geometric", "cubic", "one_shot"),
    rounds=Range(1, 6),
    retrain=(*_REWINDING, "reinit"),
    rewind_epoch=Range(0.0, 4.0, step=0.5),
    retrain_epochs=Range(1.0, 8.0, step=1.0),
)
"""Dense layers: each with an offset of its own to LAMP."""

LENET = SearchSpace(
    density=Range(0.005, 1.0, log=True),
    rounds=Range(1, 8),
    retrain=_REWINDING,
    rewind_epoch=Range(0.0, 2.0, step=0.5),
    retrain_epochs=Range(1.0, 5.0, step=0.5),
)
"""LeNet-300-100 and LeNet-5, which go far: down to a two-hundredth."""

RESNET = SearchSpace(
    per_layer=PerLayer(
        bounds={"conv1": (0.0, 0.0), "fc": (0.0, 0.8), "*": (0.0, 0.99)},
        group_by="block",
        scale="log_density",
    ),
    rounds=Range(1, 8),
    retrain=_REWINDING,
    rewind_epoch=Range(0.0, 10.0, step=1.0),
    retrain_epochs=Range(2.0, 20.0, step=2.0),
)
"""Residual networks with ``conv1`` first and ``fc`` last, which are protected; a density for each
residual block."""

VGG = SearchSpace(
    form="density_projected",
    density=Range(0.01, 1.0, log=True),
    per_layer=PerLayer(bounds={"conv1": (0.0, 0.0), "fc": (0.0, 0.8), "*": (0.0, 0.999)}),
    rounds=Range(1, 8),
    retrain=_REWINDING,
    rewind_epoch=Range(0.0, 10.0, step=1.0),
    retrain_epochs=Range(2.0, 20.0, step=2.0),
)
"""Plain convolutional networks with ``conv1`` first and ``fc`` last, which are protected. Widths
differ by a factor of a hundred: a total density, and each layer's share of it."""

SPACES: dict[str, SearchSpace] = {"mlp": MLP, "lenet": LENET, "resnet": RESNET, "vgg": VGG}
"""By the name of the family."""
