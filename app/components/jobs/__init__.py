"""Job cards and the job queue."""
