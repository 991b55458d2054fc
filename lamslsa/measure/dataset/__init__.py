"""Datasheets: properties of datasets."""
