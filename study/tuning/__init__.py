"""The study: Ray Tune runs pipelines, Optuna proposes them."""
