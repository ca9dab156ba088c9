"""What a study found: tidy frames, fronts, intervals and figures. Needs neither torch nor Ray.

Examples
--------
>>> results = analysis.load("studies/digits-mlp")  # doctest: +SKIP
>>> analysis.pareto_front(results.rounds)  # doctest: +SKIP
>>> analysis.plot_pareto(results)  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.cost import cost_summary, trial_costs
    from analysis.intervals import Interval, t_interval, t_intervals
    from analysis.layer_densities import front_layers, layer_density_data, plot_layer_densities
    from analysis.loading import load
    from analysis.pareto import pareto_front
    from analysis.reading.problems import ProblemWarning
    from analysis.report import write_report
    from analysis.results import Results
    from analysis.rounds import plot_rounds, rounds_data
    from analysis.sensitivity import (
        plot_sensitivity,
        plot_sensitivity_map,
        sensitivity_data,
        sensitivity_map_data,
        sensitivity_thresholds,
    )
    from analysis.spending import spending
    from analysis.trade_off import pareto_data, plot_pareto

_HOMES = {
    "Interval": "intervals",
    "ProblemWarning": "reading.problems",
    "Results": "results",
    "cost_summary": "cost",
    "front_layers": "layer_densities",
    "layer_density_data": "layer_densities",
    "load": "loading",
    "pareto_data": "trade_off",
    "pareto_front": "pareto",
    "plot_layer_densities": "layer_densities",
    "plot_pareto": "trade_off",
    "plot_rounds": "rounds",
    "plot_sensitivity": "sensitivity",
    "plot_sensitivity_map": "sensitivity",
    "rounds_data": "rounds",
    "sensitivity_data": "sensitivity",
    "sensitivity_map_data": "sensitivity",
    "sensitivity_thresholds": "sensitivity",
    "spending": "spending",
    "t_interval": "intervals",
    "t_intervals": "intervals",
    "trial_costs": "cost",
    "write_report": "report",
}

__all__ = [
    "Interval",
    "ProblemWarning",
    "Results",
    "cost_summary",
    "front_layers",
    "layer_density_data",
    "load",
    "pareto_data",
    "pareto_front",
    "plot_layer_densities",
    "plot_pareto",
    "plot_rounds",
    "plot_sensitivity",
    "plot_sensitivity_map",
    "rounds_data",
    "sensitivity_data",
    "sensitivity_map_data",
    "sensitivity_thresholds",
    "spending",
    "t_interval",
    "t_intervals",
    "trial_costs",
    "write_report",
]


def __getattr__(name: str) -> Any:
    # Reading a study must not wait for what only figures need.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
