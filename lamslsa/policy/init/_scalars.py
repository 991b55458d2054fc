r"""Text of others in a YAML file: as a scalar that reads back the same, as a comment, as a label.

>>> print(scalar("census-test"), scalar("no"), scalar('a "b"\n# c'))
census-test "no" "a \"b\"\n# c"
>>> comment("two\nlines \u202e")
'# two\\nlines \\u202e'
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

__all__ = ["MAX_TEXT", "Labels", "comment", "flow", "is_text", "scalar", "value"]

MAX_TEXT: Final = 128
"""Characters of a name that somebody else chose; the policy has no room for more."""

_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*", re.ASCII)
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_MAX_COMMENT: Final = 220
_SHORT: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def scalar(text: str) -> str:
    """A string as a YAML scalar on one line: plain where that is safe, else in double quotes."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return f'"{"".join(_quoted(char) for char in text)}"'


def _quoted(char: str) -> str:
    if char in _SHORT:
        return _SHORT[char]
    if char.isprintable():
        return char
    return f"\\U{ord(char):08x}"


def value(plain: str | float) -> str:
    """A text, number or truth value as a YAML scalar that reads back as the same type."""
    if isinstance(plain, bool):
        return "true" if plain else "false"
    return scalar(plain) if isinstance(plain, str) else repr(plain)


def flow(**keys: str) -> str:
    """A mapping on one line, of values that are YAML already; those that are empty are left out, and so is it."""
    items = ", ".join(f"{key}: {text}" for key, text in keys.items() if text)
    return f"{{{items}}}" if items else ""


def is_text(text: str) -> bool:
    """Whether the policy has room for this name."""
    return 0 < len(text) <= MAX_TEXT and text.isprintable()


def comment(text: str) -> str:
    """A comment on one line, in ASCII, whatever the text holds."""
    line = "".join(char if " " <= char <= "~" else ascii(char)[1:-1] for char in text)
    return f"# {line if len(line) <= _MAX_COMMENT else line[: _MAX_COMMENT - 1] + '~'}"


@dataclass(slots=True)
class Labels:
    """One label for each artifact, none for two."""

    _given: dict[tuple[str, str], str] = field(default_factory=dict)

    def of(self, kind: str, sha256: str, name: str | None) -> str:
        """The artifact's label: its name where that is one and nobody has it yet, else ``<kind>-<digest>``."""
        key = (kind, sha256)
        if key not in self._given:
            taken = {label for (other, _), label in self._given.items() if other == kind}
            fits = name is not None and _LABEL.fullmatch(name) and name not in taken
            self._given[key] = name if fits and name is not None else f"{kind}-{sha256[:12]}"
        return self._given[key]
