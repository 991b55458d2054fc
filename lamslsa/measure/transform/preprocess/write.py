"""Rows to canonical CSV: one spelling of the same rows, which the output's schema reads back exactly.

UTF-8, a header, commas, LF after every record. A field is enclosed in quotes if it holds a comma or a quote, and only
then. Integers in decimal, numbers in the shortest decimal that reads back as the same number (as Python's ``repr``),
truth values as ``true`` and ``false``, a missing value as the declared null token. Texts stand as they are, blanks
included; one with a line break or NUL, or one that is the null token, is refused.
"""

# ruff: noqa: S608 - queries hold positions of columns and escaped literals, never a declared name

from __future__ import annotations

from typing import Final, NoReturn

from lamslsa.errors import FormatError
from lamslsa.measure.data.limits import MAX_LINE_BYTES
from lamslsa.measure.data.schema import MAX_COLUMNS, Label, Schema
from lamslsa.measure.transform.preprocess.frame import Field, Frame, Workspace, literal

__all__ = ["FILE", "MAX_OUTPUT_BYTES", "output_schema", "write_csv"]

FILE: Final = "data.csv"
MAX_OUTPUT_BYTES: Final = 1024**3


def output_schema(frame: Frame, *, null_token: str | None, label: Label | None) -> Schema:
    """The schema under which the file of a frame reads back as its rows.

    Raises:
        FormatError: two columns have one name, or there are too few or too many.
    """
    columns = tuple(field.column for field in frame.fields)
    names = [column.name for column in columns]
    if len(set(names)) != len(names) or not 2 <= len(names) <= MAX_COLUMNS:
        raise FormatError(
            f"expected 2 to {MAX_COLUMNS} columns of different names in an output, got others",
            reason="preprocess-columns",
        )
    return Schema(
        delimiter=",",
        header=True,
        skip_lines=0,
        trim=False,
        null_token=null_token,
        columns=columns,
        label=label,
        format="csv",
    )


def write_csv(frame: Frame, schema: Schema, space: Workspace) -> bytes:
    """The bytes of the file.

    Raises:
        FormatError: there is no row, a value cannot be written, or the file would be too large.
    """
    if not frame.rows:
        raise FormatError("expected at least one row in an output, got none", reason="preprocess-empty")
    for field in frame.fields:
        _refuse_values(field, frame, schema, space)
    header = ",".join(_quoted(column.name) for column in schema.columns)
    line = " || ',' || ".join(_sql(field, schema) for field in frame.fields)
    data = bytearray(header.encode() + b"\n")
    for rows in space.batches(f"select {line} from {frame.table}"):
        lines = [text.encode() for (text,) in rows]
        if max(map(len, lines)) >= MAX_LINE_BYTES:
            _refuse_size(f"lines of less than {MAX_LINE_BYTES} bytes")
        data += b"\n".join(lines) + b"\n"
        if len(data) > MAX_OUTPUT_BYTES:
            _refuse_size(f"at most {MAX_OUTPUT_BYTES} bytes")
    return bytes(data)


def _refuse_size(limit: str) -> NoReturn:
    raise FormatError(f"expected {limit} in an output, got more", reason="preprocess-output-size")


def _refuse_values(field: Field, frame: Frame, schema: Schema, space: Workspace) -> None:
    name, sql, token = field.column.name, field.sql, schema.null_token
    is_label = schema.label is not None and name == schema.label.column
    missing = int(space.one(f"select count(*) - count({sql}) from {frame.table}"))
    if missing and (token is None or is_label):
        what = "a label in every row" if is_label else f"no missing value in column {name!a:.80} without a null token"
        raise FormatError(
            f"expected {what}, got {missing} missing",
            reason="preprocess-missing",
            hint="impute or drop them" if is_label else "impute or drop them, or declare a nullToken",
        )
    if field.column.type != "string":
        return
    if token is not None and space.one(f"select count(*) from {frame.table} where {sql} = {literal(token)}"):
        raise FormatError(
            f"expected no text that equals the null token in column {name!a:.80}, got {token!a:.40}",
            reason="preprocess-null-token",
            hint="declare another nullToken",
        )
    breaks = " or ".join(f"contains({sql}, chr({code}))" for code in (0, 10, 13))
    if space.one(f"select count(*) from {frame.table} where {breaks}"):
        raise FormatError(
            f"expected texts on one line in column {name!a:.80}, got a line break or NUL",
            reason="preprocess-line-break",
        )
    if is_label and schema.target.classes is not None:
        known = ", ".join(map(literal, schema.target.classes))
        odd = space.all(f"select {sql} from {frame.table} where {sql} not in ({known}) limit 1")
        if odd:
            raise FormatError(f"expected a declared label, got {odd[0][0][:40]!a}", reason="preprocess-label")


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if "," in text or '"' in text else text


def _sql(field: Field, schema: Schema) -> str:
    sql, text = field.sql, f"{field.sql}::VARCHAR"
    if field.column.type == "string":
        quoted = f"""'"' || replace({sql}, '"', '""') || '"'"""
        text = f"""case when contains({sql}, ',') or contains({sql}, '"') then {quoted} else {sql} end"""
    token = "" if schema.null_token is None else _quoted(schema.null_token)
    return f"coalesce({text}, {literal(token)})"
