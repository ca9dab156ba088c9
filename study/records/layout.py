"""The layout of a study folder: names of its files."""

from __future__ import annotations

STUDY_FILE = "study.toml"
PROVENANCE_FILE = "provenance.json"
TASK_FILE = "task.json"
JOURNAL_FILE = "optuna.journal"
EVENTS_FILE = "events.jsonl"
SENSITIVITY_FILE = "sensitivity.parquet"
SCANNED_LAYERS_FILE = "scanned_layers.parquet"
REPORT_FILE = "report.html"
TEST_FILE = "test.jsonl"
CONFIRMATION_FILE = "confirmation.jsonl"
TRIALS_DIR = "trials"
OWNERS_DIR = "owners"
CONTROLS_DIR = "controls"
TRAJECTORIES_DIR = "trajectories"
PLAN_FILE = "plan.json"
ROUNDS_FILE = "rounds.jsonl"
OUTCOME_FILE = "outcome.json"
ORIGIN_FILE = "origin.json"
ERROR_FILE = "error.txt"
RESUME_DIR = "resume"
PROGRESS_FILE = "progress.safetensors"
TRAJECTORY_FILE = "trajectory.safetensors"

FIRST_TRIAL = "0000"
"""Name of the first trial: the textbook run, unless ``search.textbook`` is off."""

REPLICATE = "-seed-"
"""What the names of replicates have in them, and those of other trials have not."""


def round_state_file(round_: int) -> str:
    """Name of the file that holds the weights and masks after a round."""
    return f"round_{round_:02d}.safetensors"


def round_sensitivity_file(round_: int) -> str:
    """Name of the file that holds a sensitivity scan of the network after a round."""
    return f"round_{round_:02d}_sensitivity.parquet"
