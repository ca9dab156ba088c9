from study.tuning.search.stages.outraced import Outraced
from tests.tuning.search.stages.made_up import aim, changed, results


def run(merit: float, rounds: int = 21, epochs: float = 5.0) -> list[int]:
    """Rounds after which a second descent is to stop."""
    purpose = aim()
    rule = Outraced(purpose)
    for result in results(purpose.textbook, 0.0):
        assert rule.round_finished("0000", purpose.textbook, result) is None
    plan = changed(purpose.textbook, {"retrain_epochs": epochs, "rounds": rounds})
    return [
        result["round"]
        for result in results(plan, merit)
        if rule.round_finished("0001", plan, result) is not None
    ]


def test_a_descent_that_stays_behind_stops_once_three_quarters_of_it_are_over() -> None:
    assert run(-0.01) == list(range(16, 21))


def test_one_that_leads_or_is_as_good_runs_on() -> None:
    assert run(0.01) == []
    assert run(0.0) == []


def test_scouts_and_proxies_are_let_run() -> None:
    assert run(-0.01, epochs=1.0) == []
    assert run(-0.01, rounds=4, epochs=0.3) == []
