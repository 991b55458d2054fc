"""The DuckDB that typed rows live in: it reaches nothing but the memory files that it was given.

Rules:
- It loads no extension, opens no path but those named before it was locked, keeps no bytes of a file it has read, and
  writes nothing outside its own memory.
- One thread: sums of floating-point numbers, and the order of rows, are the same in every run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from lamslsa.errors import FormatError
from lamslsa.measure.data import limits

__all__ = ["CONFIG", "first_line", "literal", "locked"]

CONFIG: Final[dict[str, str | bool | int | float | list[str]]] = {
    "threads": 1,
    "preserve_insertion_order": "true",  # so that no query has to sort rows to have them in the file's order
    "memory_limit": limits.DATABASE_MEMORY,
    "temp_directory": "",
    "enable_external_file_cache": "false",  # memory files change their content under the same name
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
}


@contextmanager
def locked(paths: Sequence[str]) -> Iterator[Any]:
    """A connection that may open ``paths`` and nothing else.

    Raises:
        FormatError: what is done with it needs more memory than its limit.
    """
    import duckdb

    connection = duckdb.connect(config=CONFIG)
    try:
        connection.execute(f"set allowed_paths = [{', '.join(literal(path) for path in paths)}]")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        yield connection
    except duckdb.OutOfMemoryException as err:
        raise FormatError(
            f"expected rows that fit into {CONFIG['memory_limit']}, got more", reason="table-memory"
        ) from err
    finally:
        connection.close()


def literal(text: str) -> str:
    """A SQL string literal: DuckDB knows no escape in it but the doubled quote."""
    return "'" + text.replace("'", "''") + "'"


def first_line(err: Exception) -> str:
    """What DuckDB says about a file, without a line of it."""
    lines = str(err).splitlines() or [""]
    return ascii(next((part for part in lines if "CSV Error on Line" in part), lines[0])[:160])
