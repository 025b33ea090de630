"""Prediction, evaluation, review, comparison, export."""
