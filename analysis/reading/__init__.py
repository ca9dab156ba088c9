"""From files to frames: every fault of a file is met here and nowhere else."""
