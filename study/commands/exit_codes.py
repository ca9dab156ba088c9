"""How ``prune-study`` ends."""

OK, CRASH, USAGE, FAILED_TRIALS, NOTHING, INTERRUPTED = 0, 1, 2, 3, 4, 130
