r"""Texts to numbers of words: ``casefold-words``, the one tokenisation of ``text-lstm/1``.

A text is case-folded (Unicode, section 3.13) and cut into words by ``\w+(?:'\w+)*``; the first ``length`` of them are
read. A word of the vocabulary has its place in it plus 2; any other is 1, and 0 fills up at the end. A missing text is
an empty one.

>>> words("Don't STOP, straße!")
["don't", 'stop', 'strasse']
>>> learn_words(["a b a", "b c"], size=2, minimum=1)
('a', 'b')
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from lamslsa.errors import FormatError
from lamslsa.measure.data.table import Table
from lamslsa.measure.models.interface import TextInputs

if TYPE_CHECKING:
    import numpy as np

__all__ = ["MAX_WORD", "TOKENS", "UNKNOWN", "encode_texts", "learn_words", "texts_of", "words"]

TOKENS: Final = "casefold-words"
UNKNOWN: Final = 1
MAX_WORD: Final = 64
_FIRST: Final = 2
_WORD: Final = re.compile(r"\w+(?:'\w+)*")
_MAX_BYTES: Final = 4 * 1024**3


def words(text: str) -> list[str]:
    """The words of a text, in order; one of more than 64 characters is cut there."""
    return [match.group()[:MAX_WORD] for match in _WORD.finditer(text.casefold())]


def learn_words(texts: Iterable[str], *, size: int, minimum: int) -> tuple[str, ...]:
    """The ``size`` most frequent words that occur ``minimum`` times or more, equal ones in code-point order."""
    counts = Counter(word for text in texts for word in words(text))
    found = sorted((-count, word) for word, count in counts.items() if count >= minimum)
    return tuple(word for _, word in found[:size])


def texts_of(table: Table, column: str) -> list[str]:
    """The texts of a column; a missing one is empty.

    Raises:
        FormatError: there is no such feature column of texts.
    """
    kind = {item.name: item.type for item in table.schema.features}.get(column)
    if kind != "string":
        raise FormatError(
            f"expected a feature column {column!r} of type string, got {kind or 'none'}",
            reason="feature-column",
            hint="the dataset must have the columns that the model was trained on",
        )
    return ["" if value is None else str(value) for value in table.values(column).tolist()]


def encode_texts(texts: Sequence[str], inputs: TextInputs) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Numbers of words, shape (n, length).

    Raises:
        FormatError: they do not fit into memory.
    """
    import numpy as np

    if 8 * len(texts) * inputs.length > _MAX_BYTES:
        raise FormatError(
            f"expected at most {_MAX_BYTES} bytes of inputs, got {len(texts)} rows of {inputs.length}",
            reason="feature-size",
            hint="read fewer words of each text",
        )
    numbers = {word: number for number, word in enumerate(inputs.vocabulary, _FIRST)}
    encoded = np.zeros((len(texts), inputs.length), dtype=np.int64)
    for row, text in enumerate(texts):
        found = [numbers.get(word, UNKNOWN) for word in words(text)[: inputs.length]]
        encoded[row, : len(found)] = found
    return encoded
