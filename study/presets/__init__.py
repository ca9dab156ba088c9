"""Study files that come with the project."""
