"""prune-study."""
