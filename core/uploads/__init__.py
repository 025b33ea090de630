"""A user's image and labels: validation, ingest, inbox."""
