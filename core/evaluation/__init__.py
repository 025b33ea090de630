"""Evaluation over many tiles and comparison of two runs."""
