"""Stop a trial whose coming densities are known, and whose coming accuracies cannot suffice."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search_spaces import Layer
from study.pruning.plan import PruningPlan
from study.pruning.seeds import derive_seed
from study.tuning.early_stopping.foresight import coming_costs
from study.tuning.early_stopping.history import History, Yardstick


@dataclass(frozen=True)
class Gain:
    """What an ended trial made good, seen from one of its rounds that was behind the others.

    Parameters
    ----------
    round
        The round it is seen from.
    gain
        By how much the best of the later rounds was less behind, at equal cost each.
    weight
        How many trials this one stands for: of those that would have been stopped here, only a
        sample runs on.
    """

    round: int
    gain: float
    weight: float


class FutureDominated:
    """Says when no coming round of a trial can still join the front.

    A round is compared with the best of all other trials that cost no more (at equal density or
    less): it is so much behind, its shortfall. Among ended trials that were behind at the same
    round (or the nearest earlier one), the ``confidence`` quantile of what they made good later
    bounds what this one will, in the manner of split conformal prediction: with n of them, it is
    their ceil((n + 1) confidence)-th smallest gain, and without enough of them there is no bound
    and no stop. A trial is future-dominated where the bound is below its shortfall, and others have
    been at the cost of each of its coming rounds, which the plan says: what it could show nobody
    has seen, it is let show.

    The confidence is that of the bound, over all trials that are behind, and not the chance that a
    stop is right: those that are stopped are no random ones of them. That chance only an audit
    tells: of the trials that would be stopped a sample is let run on; with them, wrong stops are
    counted, and the gains of what is usually stopped stay known.

    Parameters
    ----------
    yardstick
        How rounds are compared.
    layers
        The network's prunable layers.
    confidence
        Share of the gains of trials that are behind, one yet unknown among them, that a bound
        covers.
    audit_share
        Share of the trials to be stopped that run on.
    seed
        Decides which these are.

    References
    ----------
    Vovk, Gammerman and Shafer 2005, *Algorithmic Learning in a Random World*: conformal bounds.
    """

    def __init__(
        self,
        yardstick: Yardstick,
        layers: Sequence[Layer],
        confidence: float = 0.9,
        audit_share: float = 0.1,
        seed: int = 0,
    ) -> None:
        self.history = History(yardstick)
        self._layers = list(layers)
        self._confidence = confidence
        self._audit_share = audit_share
        self._seed = seed
        self._gains: dict[str, list[Gain]] = {}
        self._audited: dict[str, dict[str, Any]] = {}
        self._macs_exponent = 1.0

    def round_finished(
        self, trial_id: str, plan: PruningPlan, result: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Take note of a round; what shows the trial to be future-dominated, if it is.

        Returns
        -------
        dict or None
            ``shortfall`` now, the ``gain_bound`` below it, its ``confidence`` and how many trials
            it was ``observed`` on, and ``coming``: round and costs of each, which others have
            reached. ``audited`` is true where the trial is to run on all the same.
        """
        self.history.add(trial_id, result)
        if trial_id in self._audited or not 0 < result["round"] < plan.rounds:
            return None
        verdict = self._verdict(trial_id, plan, result)
        if verdict is not None and self._is_sampled(trial_id):
            verdict = {**verdict, "audited": True}
            self._audited[trial_id] = verdict
        return verdict

    def trial_ended(self, trial_id: str) -> bool | None:
        """Learn from an ended trial; of an audited one, whether it did reach the front after all.

        To be called for trials that came to their own end; one that was cut off says nothing of
        what it would have made good.
        """
        results, verdict = self.history.of(trial_id), self._audited.get(trial_id)
        behind = [self.history.shortfall(trial_id, result) for result in results]
        stop_round = math.inf if verdict is None else verdict["round"]
        self._gains[trial_id] = [
            Gain(
                result["round"],
                shortfall - min(later),
                1.0 if result["round"] < stop_round else 1.0 / self._audit_share,
            )
            for place, (result, shortfall) in enumerate(zip(results, behind, strict=True))
            if result["round"] > 0 and 0 < shortfall < math.inf
            if (later := [value for value in behind[place + 1 :] if value > -math.inf])
        ]
        self._learn_macs(results)
        if verdict is None:
            return None
        return any(
            shortfall <= 0 and self.history.yardstick.counts(result)
            for result, shortfall in zip(results, behind, strict=True)
            if result["round"] > stop_round
        )

    def gain_bound(self, round_: int) -> tuple[float, int]:
        """The bound on what a trial that is behind at a round makes good later.

        Returns
        -------
        tuple of float and int
            The bound, infinite while too few trials were seen, and how many were.
        """
        seen = [max(known, key=lambda gain: gain.round) for known in self._known(round_)]
        return conformal_bound([(g.gain, g.weight) for g in seen], self._confidence), len(seen)

    def _known(self, round_: int) -> list[list[Gain]]:
        early = ([g for g in gains if g.round <= round_] for gains in self._gains.values())
        return [gains for gains in early if gains]

    def _verdict(
        self, trial_id: str, plan: PruningPlan, result: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        shortfall = self.history.shortfall(trial_id, result)
        bound, observed = self.gain_bound(result["round"])
        if not bound < shortfall:
            return None
        coming = []
        before = self.history.of(trial_id)[-2]
        for round_ in range(result["round"] + 1, plan.rounds + 1):
            costs = coming_costs(
                plan,
                round_,
                self._layers,
                last=result,
                epochs_a_round=result["train_epochs"] - before["train_epochs"],
                macs_exponent=self._macs_exponent,
            )
            if costs is None:
                return None
            price = {column: costs[column] for column in self.history.yardstick.costs}
            if self.history.best(list(price.values()), without=trial_id) == -math.inf:
                return None  # nobody was there yet
            coming.append({"round": round_, **price})
        return {
            "round": result["round"],
            "shortfall": _finite(shortfall),
            "gain_bound": bound,
            "confidence": self._confidence,
            "observed": observed,
            "coming": coming,
        }

    def _is_sampled(self, trial_id: str) -> bool:
        return derive_seed(self._seed, "audit", trial_id) % 10_000 < self._audit_share * 10_000

    def _learn_macs(self, results: Sequence[Mapping[str, Any]]) -> None:
        """The steepest fall of multiply-adds against density, on logarithmic scales."""
        for before, after in itertools.pairwise(results):
            if 0 < after["density"] < before["density"] and 0 < after["macs"] < before["macs"]:
                slope = math.log(after["macs"] / before["macs"]) / math.log(
                    after["density"] / before["density"]
                )
                self._macs_exponent = max(self._macs_exponent, slope)


def conformal_bound(weighted: Sequence[tuple[float, float]], confidence: float) -> float:
    """The least of the values that, with one more unknown value, covers the confidence.

    Parameters
    ----------
    weighted
        Values and how many each stands for.
    confidence
        Chance that the next value is no higher, if it is drawn as these were.

    Returns
    -------
    float
        Infinite where there are too few values. With weights of one, the
        ceil((n + 1) confidence)-th smallest.
    """
    total = 1.0 + sum(weight for _, weight in weighted)
    reached = 0.0
    for value, weight in sorted(weighted):
        reached += weight
        if reached >= confidence * total - 1e-9:
            return value
    return math.inf


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
