"""How much of a dataset is read: every limit in one place, and what a machine needs for it.

A file up to `lamslsa.artifact.reader.DEFAULT_MAX_BYTES` is held in memory; a larger one lies encrypted in a spool
(`lamslsa.artifact.spool`) and is read block by block. Either way the typed rows, and whatever a query needs beside
them, must fit into `DATABASE_MEMORY`, since DuckDB cannot spill to a disk that the host can read: without an extension
that is loaded from outside it writes no encrypted file. Parquet in memory is queried where it lies and counts only with
what a query needs. Queries that would hold every row are answered in parts (`lamslsa.measure.data.exact`).

So a measurement needs at most: the limit of the reader, twice the size of a Parquet file in memory (its pages are
copied behind a footer of our own), `DATABASE_MEMORY`, and about 300 MB for interpreter and libraries.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "BATCH_ROWS",
    "CHUNK_BYTES",
    "DATABASE_MEMORY",
    "MAX_DOCUMENTS",
    "MAX_DOCUMENT_BYTES",
    "MAX_FOOTER_BYTES",
    "MAX_FOOTER_VALUES",
    "MAX_IMAGES_BYTES",
    "MAX_IMAGE_FILE_BYTES",
    "MAX_LINE_BYTES",
    "MAX_MESSAGE_BYTES",
    "MAX_PAGE_BYTES",
    "MAX_PAGE_VALUES",
    "MAX_ROWS",
    "MAX_TABLE_BYTES",
    "MAX_UNCOMPRESSED_BYTES",
    "PART_BYTES",
]

DATABASE_MEMORY: Final = "4GB"
MAX_TABLE_BYTES: Final = 64 * 1024**3
MAX_ROWS: Final = 1_000_000_000
CHUNK_BYTES: Final = 32 * 1024**2
"""Of text that is typed at a time."""
BATCH_ROWS: Final = 65_536
"""Rows of JSON Lines that are typed at a time, and of a batch that a caller gets."""
PART_BYTES: Final = 1_000_000_000
"""What a part of a query may need, as estimated from its rows and columns."""

MAX_LINE_BYTES: Final = 1024 * 1024
"""Of CSV and JSON Lines."""

MAX_FOOTER_BYTES: Final = 16 * 1024**2
"""Of Parquet and Arrow."""
MAX_FOOTER_VALUES: Final = 2_000_000
"""Numbers, texts and structures in the footer of a Parquet file."""
MAX_PAGE_VALUES: Final = 20_000_000
"""Numbers, texts and structures in all page headers of a Parquet file together."""
MAX_PAGE_BYTES: Final = 256 * 1024**2
"""Of a Parquet page when unpacked."""
MAX_UNCOMPRESSED_BYTES: Final = 256 * 1024**3
"""Of all Parquet pages when unpacked."""
MAX_MESSAGE_BYTES: Final = 2 * 1024**3
"""Of an Arrow message, metadata and body."""

MAX_IMAGE_FILE_BYTES: Final = 64 * 1024**2
MAX_IMAGES_BYTES: Final = 4 * 1024**3
"""Of all images when unpacked."""

MAX_DOCUMENT_BYTES: Final = 64 * 1024**2
MAX_DOCUMENTS: Final = 50_000_000
