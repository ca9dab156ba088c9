"""The pruning pipeline: needs torch, never Ray."""
