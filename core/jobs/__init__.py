"""The job queue on disk, the worker that claims jobs, one process a job. Knows no task."""
