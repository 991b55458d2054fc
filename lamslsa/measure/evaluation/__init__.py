"""Evaluations: what a model is worth on a dataset."""
