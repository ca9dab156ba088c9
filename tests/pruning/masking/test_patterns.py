from study.pruning.masking.patterns import resolve_patterns


def test_an_exact_name_wins_over_a_pattern_and_an_earlier_one_over_a_later() -> None:
    layers = ["conv1", "conv2", "fc1"]
    assert resolve_patterns({"conv*": 0.5, "conv2": 0.1}, layers) == {"conv1": 0.5, "conv2": 0.1}
    assert resolve_patterns({"*1": 0.3, "*": 0.2}, layers) == {
        "conv1": 0.3,
        "conv2": 0.2,
        "fc1": 0.3,
    }
