"""Review decisions: accepted and rejected footprints."""
