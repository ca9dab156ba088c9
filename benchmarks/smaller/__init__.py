"""How much smaller a network gets by channels, beside Torch-Pruning and uniform cuts."""
