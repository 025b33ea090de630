"""Tasks, which are what a job does."""
