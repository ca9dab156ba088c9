"""The plans that a study chooses from, as parameters of a search and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from optuna.distributions import BaseDistribution
from optuna.trial import BaseTrial

from search_spaces.cuts import rounds_of
from search_spaces.drawing import asked_of, draw_plan, lowest, read_plan
from search_spaces.layers import Layer
from search_spaces.plan_fields import resolved, same_plan
from search_spaces.projection import least_density, within_reach
from search_spaces.structures import UNIT_SPARSITY, alternatives, removal_of
from search_spaces.table import SpaceTable
from search_spaces.values import nearest, options

UNKNOWN_FLOOR = 0.01
"""Total density to go down to where a space does not say."""


class SearchSpace(SpaceTable):
    """The plans that a study chooses from.

    A field is one value, which is fixed; ``[low, high]``, a range of numbers; or a list of
    choices (of numbers, three or more). A table such as ``{low = 0, high = 4, step = 0.25}`` says
    more of a range, and ``{low = 0.001, high = 0.5, log = true}`` draws it on a log scale. What is
    fixed is no parameter of the search, and what has no meaning in a plan (the rewind epoch where
    weights do not go back, rounds under one_shot) is not drawn for it.

    Names of parameters: ``density`` and ``offset_quantile.<group>``; ``sparsity.<group>``, or
    ``density.<group>`` on a log scale; ``density`` and ``share.<group>``; and those of the fields,
    of which ``cut`` stands for rounds and density.

    Examples
    --------
    >>> space = SearchSpace(form="global", allocation="lamp", rounds=3, retrain="finetune")
    >>> space.suggest(optuna.trial.FixedTrial({"density": 0.1}), layers)["sparsity"]
    0.9
    """

    def suggest(self, trial: BaseTrial, layers: Sequence[Layer]) -> dict[str, Any]:
        """Draw a plan, define-by-run.

        Parameters
        ----------
        trial
            An Optuna trial; a ``FixedTrial`` turns given parameters into their plan.
        layers
            The network's prunable layers (what ``include`` and ``exclude`` leave), in order.

        Returns
        -------
        dict
            Fields of a pruning plan.

        Raises
        ------
        ValueError
            If a pattern matches no layer, bounds leave no room or wait for a scan, or the space
            is a function of the user's own.
        """
        return draw_plan(self, asked_of(trial), layers)

    def example(self, layers: Sequence[Layer]) -> dict[str, Any]:
        """A plan of the space, to see that there is one; it raises what :meth:`suggest` does."""
        return draw_plan(self, lowest, layers)

    def parameters_of(
        self, fields: Mapping[str, Any], layers: Sequence[Layer]
    ) -> dict[str, Any] | None:
        """Parameters that make this plan: the inverse of :meth:`suggest`.

        Parameters
        ----------
        fields
            Fields of a plan, such as its ``model_dump()``; those left out have the plan's
            defaults, and seeds are of no account.
        layers
            As for :meth:`suggest`.

        Returns
        -------
        dict or None
            What ``study.enqueue_trial`` takes. None when the plan is not in the space: out of
            bounds, off a grid, or other than what is fixed.
        """
        point = self.nearest_parameters(fields, layers)
        made = draw_plan(self, lambda name, _: point[name], layers)
        return point if same_plan(made, fields, layers) else None

    def nearest_parameters(
        self, fields: Mapping[str, Any], layers: Sequence[Layer]
    ) -> dict[str, Any]:
        """The point of the space that comes nearest to a plan, such as one to begin a search with.

        Sparsities end at the bounds, layers that share one are averaged over their weights,
        numbers go to the nearest on the grid, and a name that is no choice becomes the first.

        Parameters
        ----------
        fields, layers
            As for :meth:`parameters_of`.
        """
        wanted = read_plan(self, resolved(fields, layers), layers)
        point: dict[str, Any] = {}

        def choose(name: str, distribution: BaseDistribution) -> Any:
            point[name] = nearest(distribution, wanted.get(name))
            return point[name]

        draw_plan(self, choose, layers)
        return point

    def distributions(
        self, parameters: Mapping[str, Any], layers: Sequence[Layer]
    ) -> dict[str, BaseDistribution]:
        """What each parameter of a point is drawn from, as ``optuna.create_trial`` wants it.

        Parameters
        ----------
        parameters
            A point of the space, as :meth:`parameters_of` gives it.
        layers
            As for :meth:`suggest`.

        Raises
        ------
        ValueError
            If a parameter is missing.
        """
        found: dict[str, BaseDistribution] = {}

        def choose(name: str, distribution: BaseDistribution) -> Any:
            if name not in parameters:
                raise ValueError(f"parameter {name!r} is missing; there is {sorted(parameters)}")
            found[name] = distribution
            return parameters[name]

        draw_plan(self, choose, layers)
        return found

    @property
    def awaits_bounds(self) -> bool:
        """Whether a scan must say what layers can take before anything is drawn."""
        return self.per_layer.bounds == "sensitivity"

    @property
    def awaits_scan(self) -> bool:
        """Whether plans go by a scan: in their bounds, or in how they divide a cut."""
        return self.awaits_bounds or "sensitivity" in options(self.allocation)

    def with_bounds(self, ceilings: Mapping[str, float]) -> Self:
        """The same space, each layer's sparsity ending at what a scan says it can take.

        Parameters
        ----------
        ceilings
            Highest sparsity by layer. Where bounds are given too, the lower end counts.
        """
        if self.by_allocation or self.function is not None:
            of = "a function" if self.function is not None else f"form {self.form}"
            raise ValueError(f"bounds of layers have no meaning with {of}")
        return self.model_copy(update={"per_layer": self.per_layer.narrowed(ceilings)})

    @property
    def max_rounds(self) -> int:
        """Rounds of the longest plan."""
        if self.function is not None:
            raise ValueError(f"space.function {self.function!r} does not say how many rounds")
        if self.cut is not None:
            assert self.floor is not None
            return rounds_of(min(options(self.cut)), self.floor)
        return 1 if self.schedule == "one_shot" else max(options(self.rounds))

    def floor_density(self, layers: Sequence[Layer]) -> float:
        """The smallest total density that the space goes down to.

        Parameters
        ----------
        layers
            As for :meth:`suggest`.

        Returns
        -------
        float
            The floor of a space by cuts, the lowest ``density``, or what is left where each layer
            is as sparse as its bounds allow; 0.01 where the space does not say (a function, or
            thresholds alone); where plans end at a pattern of n:m, what that leaves. At least one
            weight of all.

        Raises
        ------
        ValueError
            If the bounds wait for a scan, or do not fit the layers.
        """
        return max(self._least_density(layers), 1.0 / sum(layer.total for layer in layers))

    def _least_density(self, layers: Sequence[Layer]) -> float:
        if self.function is not None:
            return UNKNOWN_FLOOR
        removals = [removal_of(each) for each in alternatives(self.structure)]
        until = UNIT_SPARSITY if self.unit_sparsity is None else max(options(self.unit_sparsity))
        ends = [1.0 - most for each in removals if (most := each.most(until)) is not None]
        return min(ends) if len(ends) == len(removals) else self._least_asked(layers)

    def _least_asked(self, layers: Sequence[Layer]) -> float:
        if self.floor is not None:
            return self.floor
        if self.by_allocation and self.density is None:
            return UNKNOWN_FLOOR
        if self.form == "per_layer":
            return least_density(self.per_layer.groups(layers))
        assert self.density is not None
        if self.form == "density_projected":
            reached = within_reach(self.density, self.per_layer.groups(layers))
            return float(min(options(reached)))
        return float(min(options(self.density)))

    def rewind_epochs(self, epochs: float) -> list[float]:
        """Every epoch of a dense run that a plan may go back to, ascending.

        Parameters
        ----------
        epochs
            Length of the dense run. What lies past its end is listed too, for the study to refuse.

        Returns
        -------
        list of float
            Of a function of the user's own nothing is known, and the list is empty.
        """
        if self.function is not None or "weight_rewind" not in options(self.retrain):
            return []
        return sorted(float(epoch) for epoch in options(self.rewind_epoch))

    def worst_case_epochs(self, dense_epochs: float) -> float:
        """Epochs of training charged to the most expensive plan, dense run included."""
        rounds = self.max_rounds
        if self.retrain_epochs is not None:
            longest = float(max(options(self.retrain_epochs)))
        elif self.retrain == "weight_rewind":
            longest = max(dense_epochs - min(options(self.rewind_epoch)), 0.0)
        else:
            longest = dense_epochs
        return dense_epochs + rounds * longest
