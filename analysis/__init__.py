"""What a study found: tidy frames, fronts, curves and reports. Needs neither torch nor Ray."""

from analysis.layer_densities import layer_density_data, plot_layer_densities
from analysis.loading import ProblemWarning, Results, load
from analysis.pareto import pareto_front
from analysis.report import write_report
from analysis.rounds import plot_rounds, rounds_data
from analysis.trade_off import pareto_data, plot_pareto

__all__ = [
    "ProblemWarning",
    "Results",
    "layer_density_data",
    "load",
    "pareto_data",
    "pareto_front",
    "plot_layer_densities",
    "plot_pareto",
    "plot_rounds",
    "rounds_data",
    "write_report",
]
