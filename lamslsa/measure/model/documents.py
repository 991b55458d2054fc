"""Texts of a model folder: JSON, Python, notebooks, YAML, templates; and the header of a NumPy array."""

from __future__ import annotations

import ast
import json
import re
import struct
import warnings
from collections.abc import Iterator
from typing import Any, Final

from lamslsa import _codec
from lamslsa.errors import FormatError
from lamslsa.predicates.model import Severity

__all__ = ["Problem", "decode", "look", "numpy_objects"]

Problem = tuple[str, Severity, str]

_MAX_TEXT: Final = 64 * 1024 * 1024
_MAX_PYTHON: Final = 512 * 1024
_MAX_NESTING: Final = 64
_PYTHON_TAG: Final = re.compile(r"!!python/|!<tag:yaml\.org,2002:python/")
_STATEMENTS: Final = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Call)
_LFS: Final = "version https://git-lfs.github.com/spec/"
_PYTHON_NAMES: Final = (".py", ".pyw", ".pyi", ".pyx")
_REMOTE: Final = ("auto_map", "custom_pipelines", "custom_pipeline")


def decode(data: memoryview) -> str | None:
    """The text, or None for other bytes."""
    if len(data) > _MAX_TEXT or b"\0" in bytes(data[:4096]):
        return None
    try:
        text = bytes(data).decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def look(name: str, text: str) -> tuple[str, list[Problem]]:
    """The format of a text, and what is to be said about it."""
    problems: list[Problem] = []
    if _PYTHON_TAG.search(text):
        problems.append(("yaml-python", "code", "a YAML tag that makes a Python object"))
    if text.startswith(_LFS):
        return "lfs-pointer", [("lfs-pointer", "unknown", "the name of a file that is not here")]
    if text.startswith("#!"):
        return "script", [*problems, ("script", "code", text.split("\n", 1)[0][:100])]
    if text.lstrip()[:1] in ("{", "["):
        found = _json(text)
        if found is not None:
            return found[0], [*problems, *found[1]]
    if name.lower().endswith(_PYTHON_NAMES) or _is_python(text):
        return "python", [*problems, ("python", "code", "Python source")]
    if "{%" in text:
        problems.append(("template", "notice", "a Jinja template, or a text with parts of one"))
    return "text", problems


def _json(text: str) -> tuple[str, list[Problem]] | None:
    """None for what is no JSON."""
    try:
        value = _codec.loads(text.encode(), max_bytes=_MAX_TEXT)
    except FormatError as err:
        if err.reason == "json-syntax":
            return None
        return "json", [("malformed", "unknown", f"JSON that was not read ({err.reason})")]
    return ("notebook", [("notebook", "code", "a notebook")]) if _is_notebook(value) else ("json", list(_said(value)))


def _is_notebook(value: Any) -> bool:
    return isinstance(value, dict) and "nbformat" in value


def _said(value: Any) -> Iterator[Problem]:
    """What a JSON document has loaders do."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, dict):
            waiting.extend(item.values())
            yield from _fields(item)


def _fields(item: dict[str, Any]) -> Iterator[Problem]:
    for key in _REMOTE:
        if item.get(key):
            yield "remote-code", "code", f"{key}: {json.dumps(item[key])[:300]}"
    if item.get("trust_remote_code") is True:
        yield "remote-code", "code", "trust_remote_code: true"
    if item.get("class_name") in ("Lambda", "TFOpLambda"):
        yield "keras-lambda", "code", f"a {item['class_name']} layer"
    module, registered = item.get("module"), item.get("registered_name")
    if "class_name" in item and (_foreign(module) or (isinstance(registered, str) and ">" in registered)):
        yield "keras-custom", "code", f"a class of {module!s:.200} or registered as {registered!s:.100}"
    if isinstance(item.get("_class_name"), list):
        yield "remote-code", "code", f"_class_name: {json.dumps(item['_class_name'])[:300]}"
    for key in ("chat_template", "default_chat_template"):
        if item.get(key):
            yield "chat-template", "notice", f"a Jinja template under {key}"


def _foreign(module: Any) -> bool:
    return isinstance(module, str) and module.split(".")[0] not in ("keras", "builtins", "tensorflow", "keras_nlp")


def _is_python(text: str) -> bool:
    """Whether a text is Python with something in it that acts; texts that are merely valid Python are none."""
    if len(text) > _MAX_PYTHON or not any(word in text for word in ("import", "def ", "class ", "(", "lambda")):
        return False
    depth = deepest = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    if deepest > _MAX_NESTING:
        return "import" in text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text, filename="")  # where it fails, the compiler opens the file of that name
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(isinstance(node, _STATEMENTS) for node in ast.walk(tree))


def numpy_objects(head: bytes) -> bool | None:
    """Whether the array whose first bytes these are holds Python objects; None if its header cannot be read.

    Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
    """
    width = 2 if head[6:7] == b"\x01" else 4
    start = 8 + width
    if len(head) < start:
        return None
    (length,) = struct.unpack("<H" if width == 2 else "<I", head[8:start])
    if length > 10_000 or start + length > len(head):
        return None
    try:
        value = ast.literal_eval(head[start : start + length].decode("latin-1"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if not isinstance(value, dict) or "descr" not in value:
        return None
    return re.search(r"['\"|=<>]O\d*['\"]", repr(value["descr"])) is not None
