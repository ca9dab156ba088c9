"""The commands of ``prune-study``, a module each; they import what they need when they run."""
