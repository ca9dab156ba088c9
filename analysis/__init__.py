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
    from analysis.comparing.comparison import compare, comparison_data, plot_comparison
    from analysis.comparing.hypervolume_comparison import compare_hypervolumes, hypervolume_scores
    from analysis.fronts.attainment import attainment_surfaces
    from analysis.fronts.choosing import (
        best_at_density,
        knee_point,
        operating_points,
        smallest_within,
    )
    from analysis.fronts.hypervolumes import hypervolume, hypervolume_history, reference_point
    from analysis.fronts.pareto import pareto_front
    from analysis.fronts.search_progress import plot_hypervolume
    from analysis.fronts.seed_fronts import plot_attainment
    from analysis.fronts.trade_off import pareto_data, plot_pareto
    from analysis.judging.checks import Check, checklist, checklist_frame
    from analysis.judging.validation_gaps import mean_gap, validation_gap
    from analysis.layers.dead_units import dead_units_summary, plot_dead_units, unit_deaths
    from analysis.layers.layer_densities import (
        front_layers,
        layer_density_data,
        plot_layer_densities,
    )
    from analysis.layers.overlap import mask_overlap, plot_mask_overlap
    from analysis.layers.sensitivity import (
        conditional_sensitivity,
        plot_sensitivity,
        plot_sensitivity_map,
        sensitivity_data,
        sensitivity_map_data,
        sensitivity_thresholds,
    )
    from analysis.reading.files.problems import ProblemWarning
    from analysis.reading.loading import load
    from analysis.reading.objectives import DEFAULT_OBJECTIVES
    from analysis.reading.results import Results
    from analysis.reporting.comparison_report import write_comparison
    from analysis.reporting.report import write_report
    from analysis.rounds import plot_rounds, rounds_data
    from analysis.settings.importance import importances, plot_importance
    from analysis.settings.parameters import plan_parameters
    from analysis.settings.partial_dependences import partial_dependence, plot_partial_dependence
    from analysis.spending.cost import cost_data, cost_summary, plot_cost, trial_costs
    from analysis.spending.spending import round_costs
    from analysis.spending.stopping import stopping_audit
    from analysis.statistics.differences import holm
    from analysis.statistics.intervals import Interval, t_interval, t_intervals
    from analysis.statistics.replicates import networks
    from analysis.statistics.scoring import scores

_HOMES = {
    "Check": "judging.checks",
    "DEFAULT_OBJECTIVES": "reading.objectives",
    "Interval": "statistics.intervals",
    "ProblemWarning": "reading.files.problems",
    "Results": "reading.results",
    "attainment_surfaces": "fronts.attainment",
    "best_at_density": "fronts.choosing",
    "checklist": "judging.checks",
    "checklist_frame": "judging.checks",
    "compare": "comparing.comparison",
    "compare_hypervolumes": "comparing.hypervolume_comparison",
    "comparison_data": "comparing.comparison",
    "conditional_sensitivity": "layers.sensitivity",
    "cost_data": "spending.cost",
    "cost_summary": "spending.cost",
    "dead_units_summary": "layers.dead_units",
    "front_layers": "layers.layer_densities",
    "holm": "statistics.differences",
    "hypervolume": "fronts.hypervolumes",
    "hypervolume_history": "fronts.hypervolumes",
    "hypervolume_scores": "comparing.hypervolume_comparison",
    "importances": "settings.importance",
    "knee_point": "fronts.choosing",
    "layer_density_data": "layers.layer_densities",
    "load": "reading.loading",
    "mask_overlap": "layers.overlap",
    "mean_gap": "judging.validation_gaps",
    "networks": "statistics.replicates",
    "operating_points": "fronts.choosing",
    "pareto_data": "fronts.trade_off",
    "pareto_front": "fronts.pareto",
    "partial_dependence": "settings.partial_dependences",
    "plan_parameters": "settings.parameters",
    "plot_attainment": "fronts.seed_fronts",
    "plot_comparison": "comparing.comparison",
    "plot_cost": "spending.cost",
    "plot_dead_units": "layers.dead_units",
    "plot_hypervolume": "fronts.search_progress",
    "plot_importance": "settings.importance",
    "plot_layer_densities": "layers.layer_densities",
    "plot_mask_overlap": "layers.overlap",
    "plot_pareto": "fronts.trade_off",
    "plot_partial_dependence": "settings.partial_dependences",
    "plot_rounds": "rounds",
    "plot_sensitivity": "layers.sensitivity",
    "plot_sensitivity_map": "layers.sensitivity",
    "reference_point": "fronts.hypervolumes",
    "round_costs": "spending.spending",
    "rounds_data": "rounds",
    "scores": "statistics.scoring",
    "sensitivity_data": "layers.sensitivity",
    "sensitivity_map_data": "layers.sensitivity",
    "sensitivity_thresholds": "layers.sensitivity",
    "smallest_within": "fronts.choosing",
    "stopping_audit": "spending.stopping",
    "t_interval": "statistics.intervals",
    "t_intervals": "statistics.intervals",
    "trial_costs": "spending.cost",
    "unit_deaths": "layers.dead_units",
    "validation_gap": "judging.validation_gaps",
    "write_comparison": "reporting.comparison_report",
    "write_report": "reporting.report",
}

__all__ = [
    "DEFAULT_OBJECTIVES",
    "Check",
    "Interval",
    "ProblemWarning",
    "Results",
    "attainment_surfaces",
    "best_at_density",
    "checklist",
    "checklist_frame",
    "compare",
    "compare_hypervolumes",
    "comparison_data",
    "conditional_sensitivity",
    "cost_data",
    "cost_summary",
    "dead_units_summary",
    "front_layers",
    "holm",
    "hypervolume",
    "hypervolume_history",
    "hypervolume_scores",
    "importances",
    "knee_point",
    "layer_density_data",
    "load",
    "mask_overlap",
    "mean_gap",
    "networks",
    "operating_points",
    "pareto_data",
    "pareto_front",
    "partial_dependence",
    "plan_parameters",
    "plot_attainment",
    "plot_comparison",
    "plot_cost",
    "plot_dead_units",
    "plot_hypervolume",
    "plot_importance",
    "plot_layer_densities",
    "plot_mask_overlap",
    "plot_pareto",
    "plot_partial_dependence",
    "plot_rounds",
    "plot_sensitivity",
    "plot_sensitivity_map",
    "reference_point",
    "round_costs",
    "rounds_data",
    "scores",
    "sensitivity_data",
    "sensitivity_map_data",
    "sensitivity_thresholds",
    "smallest_within",
    "stopping_audit",
    "t_interval",
    "t_intervals",
    "trial_costs",
    "unit_deaths",
    "validation_gap",
    "write_comparison",
    "write_report",
]


def __getattr__(name: str) -> Any:
    # Reading a study must not wait for what only figures need.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
