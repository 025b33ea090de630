"""Upload form, inbox and the list of uploads."""
