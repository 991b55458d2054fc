"""The plug point of cards: a renderer turns the view of an appraisal into one document."""

from __future__ import annotations

from typing import Literal, Protocol

from lamslsa.cards.view import Card

__all__ = ["Format", "Renderer"]

Format = Literal["markdown", "html"]


class Renderer(Protocol):
    """Renders a card; the same view gives the same text, byte for byte."""

    def __call__(self, card: Card) -> str:
        """The whole document, every text of the view escaped."""
        ...
