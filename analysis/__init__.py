"""What a study found: tidy frames, fronts, intervals and figures. Needs neither torch nor Ray.

Examples
--------
>>> results = analysis.load("studies/digits-mlp")  # doctest: +SKIP
>>> analysis.pareto_front(results.rounds)  # doctest: +SKIP
>>> analysis.plot_pareto(results)  # doctest: +SKIP
"""

import lazy_loader

# What is here and where it lives is in the stub beside this file; torch, Ray and pandas come with
# the first use of a name.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
