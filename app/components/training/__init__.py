"""Training form, curves, runs."""
