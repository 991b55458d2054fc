"""Trainers: verified bytes to a model and its provenance."""
