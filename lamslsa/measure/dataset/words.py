"""How texts are made alike before they are compared, and where their words end.

Steps, in the order declared: ``nfc`` and ``nfkc`` (Unicode normalisation forms), ``casefold`` (Unicode full case
folding), ``trim`` (white space at both ends). Words are what lies between white space (``whitespace``), or longest runs
of letters, digits and underscores (``letters``), by the Unicode version of the interpreter.

>>> normal("  Straße ", ("trim", "casefold"))
'strasse'
>>> split("don't stop-now", "whitespace"), split("don't stop-now", "letters")
(["don't", 'stop-now'], ['don', 't', 'stop', 'now'])
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Literal

from lamslsa import _yaml

__all__ = ["Words", "declare_steps", "declare_words", "normal", "split"]

Words = Literal["whitespace", "letters"]

_STEPS: Final[Mapping[str, Callable[[str], str]]] = MappingProxyType(
    {
        "trim": str.strip,
        "casefold": str.casefold,
        "nfc": lambda text: unicodedata.normalize("NFC", text),
        "nfkc": lambda text: unicodedata.normalize("NFKC", text),
    }
)
_LETTERS: Final = re.compile(r"\w+")


def normal(text: str, steps: tuple[str, ...]) -> str:
    """The text after the steps."""
    for step in steps:
        text = _STEPS[step](text)
    return text


def split(text: str, words: Words) -> list[str]:
    """The words of a text."""
    return text.split() if words == "whitespace" else _LETTERS.findall(text)


def declare_steps(node: _yaml.Node) -> tuple[str, ...]:
    """Read a list of steps, each once at most."""
    steps = tuple(item.choice(_STEPS) for item in node.sequence(empty=True))
    if len(set(steps)) != len(steps):
        node.refuse("expected each step once, got one twice", reason="job-normalization")
    return steps


def declare_words(node: _yaml.Node) -> Words:
    """Read what a word is."""
    return "whitespace" if node.choice(["whitespace", "letters"]) == "whitespace" else "letters"
