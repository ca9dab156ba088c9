"""prune-study: how far a network prunes, which layers can take it, and by which schedule."""

import lazy_loader

# What is here and where it lives is in the stub beside this file; torch, Ray and pandas come with
# the first use of a name.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
