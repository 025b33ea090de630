"""A queue on disk, a worker that claims jobs, one child process a job."""
