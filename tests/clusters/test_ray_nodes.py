"""Waiting for nodes, and asking for them."""

import pytest

from study.clusters import ray_nodes


def test_the_study_begins_when_its_nodes_are_up(monkeypatch: pytest.MonkeyPatch) -> None:
    up = [True, False, False]

    def nodes() -> list[dict[str, bool]]:
        up[up.index(False) if False in up else 0] = True
        return [{"Alive": alive} for alive in up]

    monkeypatch.setattr(ray_nodes.ray, "nodes", nodes)
    monkeypatch.setattr(ray_nodes.time, "sleep", lambda _: None)
    said: list[str] = []
    assert ray_nodes.wait_for_nodes(3, 10, said.append) == 3
    assert not said


def test_it_begins_without_those_that_do_not_come_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ray_nodes.ray, "nodes", lambda: [{"Alive": True}, {"Alive": False}])
    said: list[str] = []
    assert ray_nodes.wait_for_nodes(2, 0.05, said.append) == 1
    assert said == [
        "1 of 2 nodes are up after 0.05 s; the study begins on them, and takes up the others when "
        "they come"
    ]


def test_room_is_asked_for_trial_by_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(ray_nodes, "request_resources", lambda bundles: asked.append(bundles))
    ray_nodes.ask_for_room(2, {"CPU": 2.0, "GPU": 0.5})
    ray_nodes.ask_for_room(0, {"CPU": 1.0, "GPU": 0})
    ray_nodes.ask_for_room(1, {"CPU": 1.0, "GPU": 0})
    assert asked == [[{"CPU": 2.0, "GPU": 0.5}] * 2, [], [{"CPU": 1.0}]]
