"""What may vary: the plans that a study chooses from. Needs Optuna, neither torch nor Ray."""

from search_spaces.families import SPACES
from search_spaces.layers import Layer
from search_spaces.per_layer import PerLayer
from search_spaces.space import SearchSpace
from search_spaces.values import Range

__all__ = ["SPACES", "Layer", "PerLayer", "Range", "SearchSpace"]
