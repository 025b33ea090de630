"""Job queue on disk, the worker that claims jobs, and one process per job. Imports no task."""
