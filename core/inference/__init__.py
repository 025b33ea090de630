"""Sliding-window inference, ensembles, stored predictions."""
