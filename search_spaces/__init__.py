"""What may vary: the plans that a study chooses from. Needs Optuna, neither torch nor Ray."""

from search_spaces.layers import Layer
from search_spaces.space import SearchSpace
from search_spaces.sparsities import PerLayer, Projected, Total

__all__ = ["Layer", "PerLayer", "Projected", "SearchSpace", "Total"]
