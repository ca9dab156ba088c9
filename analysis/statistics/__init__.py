"""How sure is a figure? Seeds, groups, intervals, replicates."""
