"""Can a study be ended that is begun like this? Task and plans, tried on a few examples."""
