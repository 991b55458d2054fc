"""Corruptions of rows of a table, and of texts. The table gives the parameter at severity 1 to 5.

    missing-values    each feature of each row becomes missing with probability a         0.05 0.1 0.2 0.3 0.5
    numeric-noise     value + N(0, a) deviations, of numbers that are there               0.1 0.25 0.5 1 2
    category-swaps    another category that the model knows, uniformly, with chance a     0.05 0.1 0.2 0.3 0.5
    typos             each letter is, with probability a, one of: swapped with the        0.01 0.02 0.05 0.1 0.2
                      next one, left out, doubled, replaced by another letter a to z
    word-drops        each word between blanks is left out with probability a             0.05 0.1 0.2 0.3 0.5

Deviations are those of the training data, which stand in ``model.json``. Noise on whole numbers is not rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lamslsa.measure.models.features import CategoryFeature
from lamslsa.measure.models.interface import TableInputs

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["TABLES", "TEXTS", "Place", "Table", "lacking", "places"]

Severities = tuple[float, float, float, float, float]

_SHARES: Final[Severities] = (0.05, 0.1, 0.2, 0.3, 0.5)
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A feature among the inputs of the network; ``categories`` is 0 for a number."""

    name: str
    start: int
    categories: int

    @property
    def inputs(self) -> slice:
        """Its inputs."""
        return slice(self.start, self.start + max(1, self.categories))


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows as the network sees them.

    Attributes:
        inputs: float32 (n, width).
        places: the features that may be corrupted.
        absent: of each numeric feature that noise is for, which rows lack it.
    """

    inputs: Array
    places: tuple[Place, ...]
    absent: Mapping[str, Array]


def lacking(table: Table) -> dict[str, str]:
    """The corruptions that would leave every row as it is, and why."""
    found = {}
    if not any(place.name in table.absent for place in table.places):
        found["numeric-noise"] = "there is no number to add noise to"
    if not any(place.categories > 1 for place in table.places):
        found["category-swaps"] = "there is no feature of two categories or more"
    return found


def places(inputs: TableInputs) -> tuple[Place, ...]:
    """Where each feature lies; a category that is the only one takes one input, and none takes none."""
    found, start = [], 0
    for feature in inputs.features:
        if isinstance(feature, CategoryFeature):
            if feature.categories:
                found.append(Place(name=feature.name, start=start, categories=len(feature.categories)))
            start += len(feature.categories)
        else:
            found.append(Place(name=feature.name, start=start, categories=0))
            start += 1
    return tuple(found)


def _missing(table: Table, random: np.random.Generator, amount: float) -> Array:
    inputs = table.inputs.copy()
    for place in table.places:
        inputs[random.random(len(inputs)) < amount, place.inputs] = 0
    return inputs


def _noise(table: Table, random: np.random.Generator, amount: float) -> Array:
    import numpy as np

    inputs = table.inputs.copy()
    for place in table.places:
        if place.name in table.absent:
            noise = (amount * random.standard_normal(len(inputs))).astype(np.float32)
            inputs[:, place.start] += np.where(table.absent[place.name], 0, noise)
    return inputs


def _swaps(table: Table, random: np.random.Generator, amount: float) -> Array:
    import numpy as np

    inputs = table.inputs.copy()
    for place in table.places:
        if place.categories < 2:
            continue
        chance = random.random(len(inputs))
        shift = random.integers(1, place.categories, len(inputs))
        block = table.inputs[:, place.inputs]
        rows = np.flatnonzero((chance < amount) & (block.sum(axis=1) == 1))
        swapped = np.zeros((len(rows), place.categories), dtype=np.float32)
        swapped[np.arange(len(rows)), (block[rows].argmax(axis=1) + shift[rows]) % place.categories] = 1
        inputs[rows, place.inputs] = swapped
    return inputs


def _typos(texts: Sequence[str], random: np.random.Generator, amount: float) -> list[str]:
    return [_mistyped(text, random, amount) for text in texts]


def _mistyped(text: str, random: np.random.Generator, amount: float) -> str:
    chances, kinds, letters = (
        random.random(len(text)),
        random.integers(0, 4, len(text)),
        random.integers(0, 26, len(text)),
    )
    typed: list[str] = []
    skipped = False
    for position, letter in enumerate(text):
        if skipped:
            skipped = False
            continue
        following = text[position + 1 : position + 2]
        if chances[position] >= amount or not letter.isalpha():
            typed.append(letter)
        elif kinds[position] == 0 and following:
            typed += [following, letter]
            skipped = True
        elif kinds[position] == 2:
            typed += [letter, letter]
        elif kinds[position] == 3:
            typed.append(_LETTERS[letters[position]])
    return "".join(typed)


def _drops(texts: Sequence[str], random: np.random.Generator, amount: float) -> list[str]:
    found = []
    for text in texts:
        words = text.split(" ")
        kept = random.random(len(words)) >= amount
        found.append(" ".join(word for word, keep in zip(words, kept.tolist(), strict=True) if keep))
    return found


TABLES: Final[Mapping[str, tuple[Callable[[Table, Any, float], Any], Severities]]] = {
    "missing-values": (_missing, _SHARES),
    "numeric-noise": (_noise, (0.1, 0.25, 0.5, 1, 2)),
    "category-swaps": (_swaps, _SHARES),
}

TEXTS: Final[Mapping[str, tuple[Callable[[Sequence[str], Any, float], list[str]], Severities]]] = {
    "typos": (_typos, (0.01, 0.02, 0.05, 0.1, 0.2)),
    "word-drops": (_drops, _SHARES),
}
