"""Croissant 1.0: a datasheet as the metadata that dataset search and loaders read, and such metadata as a job file.

Spec: https://docs.mlcommons.org/croissant/docs/croissant-spec.html, and for responsible AI
https://docs.mlcommons.org/croissant/docs/croissant-rai-spec.html

Rules:
- What is exported says of each value whether it was measured, and by which statement, or only declared. It is a view:
  whoever relies on it verifies the statement that it names.
- What is imported is data: nothing that it names is opened or fetched, and all of it is declared by whoever wrote it.
"""

from lamslsa.croissant.export import to_croissant
from lamslsa.croissant.read import Imported, read_croissant

__all__ = ["Imported", "read_croissant", "to_croissant"]
