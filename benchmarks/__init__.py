"""Benchmarks: tables of Groundplan, a baseline and the theoretical limit on the same work."""
