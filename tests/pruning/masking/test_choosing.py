"""Which parameters of a model have masks."""

import pytest
from torch import nn

from study.errors import UsageError
from study.pruning.masking.choosing import mask_layers
from tests.pruning.masking.test_masks import LAYERS, Everything, mlp


def test_include_and_exclude_take_patterns_and_exact_names() -> None:
    assert mask_layers(Everything(), include="lstm*").names == LAYERS[2:4]
    assert mask_layers(Everything(), include=["conv.weight"]).names == ["conv"]
    assert mask_layers(Everything(), include=["pos_embed"]).names == ["pos_embed"]
    assert mask_layers(Everything(), exclude=["lstm*", "attention*"]).names == LAYERS[:2]


@pytest.mark.parametrize("field", ["include", "exclude"])
def test_a_pattern_that_matches_nothing_gets_the_nearest_name(field: str) -> None:
    with pytest.raises(UsageError, match=rf"{field}: .*'embeding'.*Did you mean 'embedding'"):
        mask_layers(Everything(), **{field: "embeding"})


def test_a_model_with_nothing_to_prune_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing to prune"):
        mask_layers(nn.BatchNorm1d(3))
    with pytest.raises(UsageError, match="nothing to prune"):
        mask_layers(mlp(), exclude="*")
