"""Launchers: start the process of a job on this machine or on a Ray cluster."""
