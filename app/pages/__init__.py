"""One file a page: what is on screen, nothing else."""
