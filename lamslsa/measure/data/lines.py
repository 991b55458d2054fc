"""Format ``csv`` of tables, line by line: the part that is not left to any library.

UTF-8 without byte order mark; one record is one line, ended by LF or, throughout, by CRLF; a field that holds the
delimiter or a quote is enclosed in ``"``, with quotes inside doubled (RFC 4180), and no field spans lines. The first
``skipLines`` lines are no records; with ``header`` the next one must spell the declared column names. Empty lines at
the end are ignored; an empty line anywhere else is an error.

DuckDB's reader accepts some malformed lines even when told to be strict (surplus empty fields, a blank before a quote,
a record that never ends), so every line is held against these rules first, and the number of rows must come out equal.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from typing import Final, NoReturn

from lamslsa.artifact.reader import VerifiedFile
from lamslsa.errors import FormatError
from lamslsa.measure.data.limits import MAX_LINE_BYTES
from lamslsa.measure.data.schema import Schema

__all__ = ["Layout", "measure_lines"]

_BLOCK_BYTES: Final = 256 * 1024
_QUOTED: Final = re.compile(rb'"(?:[^"]++|"")*+"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where the records of a file are.

    Attributes:
        rows: how many records there are; one is at least.
        first_line: the line of the first, counted from 1.
        carriage_return: whether lines end in CRLF.
    """

    rows: int
    first_line: int
    carriage_return: bool


class _Lines:
    """Walks through the lines of a file and holds each against the format.

    Attributes:
        rows: records so far.
    """

    def __init__(self, file: VerifiedFile, schema: Schema) -> None:
        self._path = file.entry.path
        self._schema = schema
        self._delimiter = schema.delimiter.encode("ascii")
        self._first_line = schema.skip_lines + schema.header + 1
        self._number = 0
        self.rows = 0
        self._ended = False
        self._carriage_return: bool | None = None

    def refuse(self, message: str, reason: str, hint: str | None = None) -> NoReturn:
        raise FormatError(f"{self._path}: line {self._number}: {message}", reason=reason, hint=hint)

    def take(self, line: bytes) -> None:
        self._number += 1
        self._refuse_bytes(line)
        text = self._without_end(line)
        if self._number <= self._schema.skip_lines:
            return
        if not text:
            self._ended = True
            return
        if self._ended:
            self._number -= 1
            self.refuse("expected a record, got an empty line", "csv-empty-line", "remove the line")
        self._refuse_fields(text)
        if self._number < self._first_line:
            self._refuse_header(text)
            return
        self.rows += 1

    def take_plain(self, block: bytes) -> bool:
        """Take a block of whole lines at once if nothing about it needs a closer look; else take nothing of it."""
        if self._ended or self._carriage_return is not False or not block.endswith(b"\n"):
            return False
        if not _is_utf8(block) or b'"' in block or b"\r" in block or b"\0" in block:
            return False
        texts = block[:-1].split(b"\n")
        width = len(self._schema.columns) - 1
        if any(not text or text.count(self._delimiter) != width for text in texts):
            return False
        if len(max(texts, key=len)) >= MAX_LINE_BYTES:
            return False
        self._number += len(texts)
        self.rows += len(texts)
        return True

    def layout(self) -> Layout:
        if self._number < self._first_line - 1:
            self.refuse("expected the skipped lines and the header, got the end", "csv-short")
        if self.rows == 0:
            raise FormatError(f"{self._path}: expected at least one row, got none", reason="csv-rows")
        return Layout(rows=self.rows, first_line=self._first_line, carriage_return=bool(self._carriage_return))

    def _refuse_bytes(self, line: bytes) -> None:
        if len(line) > MAX_LINE_BYTES:
            self.refuse(f"expected at most {MAX_LINE_BYTES} bytes, got more", "csv-line-size")
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            self.refuse("expected UTF-8, got other bytes", "csv-utf8")
        if b"\0" in line:
            self.refuse("expected text, got a NUL", "csv-nul")
        if self._number == 1 and line.startswith(b"\xef\xbb\xbf"):
            self.refuse("expected no byte order mark, got one", "csv-bom", "save the file as UTF-8 without BOM")

    def _without_end(self, line: bytes) -> bytes:
        text = line.removesuffix(b"\n")
        ended = len(text) < len(line)
        carriage_return = text.endswith(b"\r")
        if ended and self._carriage_return is None:
            self._carriage_return = carriage_return
        if b"\r" in text and (text.count(b"\r") > 1 or not carriage_return or not self._carriage_return or not ended):
            self.refuse("expected lines that end in LF, or all in CRLF, got a stray CR", "csv-line-end")
        if ended and self._carriage_return and not carriage_return:
            self.refuse("expected a line that ends in CRLF like the first, got LF", "csv-line-end")
        return text.removesuffix(b"\r")

    def _refuse_fields(self, text: bytes) -> None:
        plain = text
        if b'"' in text:
            plain = _QUOTED.sub(b"", text)
            if b'"' in plain or not self._quotes_enclose(text):
                self.refuse("expected quotes that enclose a whole field, got others", "csv-quote")
        found = plain.count(self._delimiter) + 1
        if found != len(self._schema.columns):
            self.refuse(f"expected {len(self._schema.columns)} fields, got {found}", "csv-fields")

    def _quotes_enclose(self, text: bytes) -> bool:
        for match in _QUOTED.finditer(text):
            before, after = text[: match.start()][-1:], text[match.end() :][:1]
            if before not in (b"", self._delimiter) or after not in (b"", self._delimiter):
                return False
        return True

    def _refuse_header(self, text: bytes) -> None:
        found = next(csv.reader([text.decode("utf-8")], delimiter=self._schema.delimiter, strict=True))
        names = [name.strip(" \t") for name in found] if self._schema.trim else found
        if names != [column.name for column in self._schema.columns]:
            self.refuse("expected a header with the declared column names, got others", "csv-header")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def measure_lines(file: VerifiedFile, schema: Schema) -> Layout:
    """Hold every line of a file against the format.

    Raises:
        FormatError: the file breaks one of the rules of this module; the message names the line.
    """
    lines = _Lines(file, schema)
    with file.open() as stream:
        while lines.rows == 0 and (line := stream.readline(MAX_LINE_BYTES + 1)):
            lines.take(line)
        while block := stream.read(_BLOCK_BYTES) + stream.readline(MAX_LINE_BYTES + 1):
            if not lines.take_plain(block):
                rest = io.BytesIO(block)
                while line := rest.readline(MAX_LINE_BYTES + 1):
                    lines.take(line)
    return lines.layout()
