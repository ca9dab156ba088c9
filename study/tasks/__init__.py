"""What is pruned: data, models and training recipes."""
