"""Tasks: the work of jobs, by kind (data, training, prediction, export)."""
