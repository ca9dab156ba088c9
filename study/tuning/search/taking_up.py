"""Where Optuna's records and the study's stand when a study goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial, TrialState

from study.tuning.search.past import PastTrial
from study.tuning.search.telling import ROUND, TRIAL_ID, Asked, close_open_trials


@dataclass(frozen=True)
class Ended:
    """A trial that needs no worker any more.

    Parameters
    ----------
    trial
        As the study has it.
    asked
        As Optuna has it.
    was_told
        Whether Optuna knows how it ended.
    """

    trial: PastTrial
    asked: Asked
    was_told: bool


@dataclass(frozen=True)
class Standing:
    """What an earlier run of the study left.

    Parameters
    ----------
    waiting
        Trials that are to go on, by name.
    ended
        The others, in the order in which they ended.
    begun
        How many trials were begun.
    warm_started
        How many of them took points of the warm start.
    """

    waiting: tuple[Asked, ...]
    ended: tuple[Ended, ...]
    begun: int
    warm_started: int


def take_up(study: optuna.Study, past: Sequence[PastTrial]) -> Standing:
    """Put the study's trials and Optuna's side by side.

    Optuna's own open trials of which the study has no record, because the run ended between the
    two, are failed; they will be drawn again.

    Parameters
    ----------
    study
        Optuna's.
    past
        The study's trials.
    """
    trials = study.get_trials(deepcopy=False)
    own = {t.user_attrs[TRIAL_ID]: t for t in trials if _is_whole(t)}
    known = {each.name for each in past}
    fixed = (t for name, t in own.items() if name in known)
    told = _last_rounds_told(trials)
    waiting, ended = [], []
    for each in past:
        of_optuna, first = own.get(each.name), each.rounds_before
        is_running = of_optuna is not None and of_optuna.state == TrialState.RUNNING
        number = of_optuna.number if of_optuna is not None and is_running else None
        done = max(told.get(each.name, 0), first)
        if of_optuna is not None and of_optuna.state == TrialState.COMPLETE and not first:
            done = each.plan.rounds
        asked = Asked(number, each.name, each.plan, done, first)
        if each.is_open:
            waiting.append(asked)
        else:
            asked.results = list(each.results)
            was_told = (of_optuna is not None and not is_running) or done == each.plan.rounds
            ended.append(Ended(each, asked, was_told))
    kept = [*waiting, *(each.asked for each in ended)]
    close_open_trials(study, {asked.number for asked in kept if asked.number is not None})
    return Standing(
        waiting=tuple(waiting),
        ended=tuple(sorted(ended, key=lambda each: each.trial.ended_at)),
        begun=max((int(name) + 1 for name in known), default=0),
        warm_started=sum("fixed_params" in trial.system_attrs for trial in fixed),
    )


def _last_rounds_told(trials: Sequence[FrozenTrial]) -> dict[str, int]:
    told: dict[str, int] = {}
    for trial in trials:
        if ROUND in trial.user_attrs:
            name = trial.user_attrs[TRIAL_ID]
            told[name] = max(told.get(name, 0), trial.user_attrs[ROUND])
    return told


def _is_whole(trial: FrozenTrial) -> bool:
    """Whether it is a trial itself, and not one of its rounds."""
    return TRIAL_ID in trial.user_attrs and ROUND not in trial.user_attrs
