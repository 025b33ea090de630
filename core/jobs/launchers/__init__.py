"""Launchers start a job's process: on this machine or on a Ray cluster."""
