"""What the search saves, against what a person would do without it."""
