"""From an appraisal to a document: build the view once, hand it to the renderer of the format."""

from __future__ import annotations

from typing import assert_never

from lamslsa.cards import html, markdown
from lamslsa.cards._build import build
from lamslsa.cards.interface import Format
from lamslsa.policy.appraisal import Appraisal

__all__ = ["render"]


def render(appraisal: Appraisal, *, format: Format) -> str:  # noqa: A002 - the word of the command line
    """Render an appraisal, accepted or refused, as a model card.

    Args:
        appraisal: the verdict and the verified attestations behind it; nothing else reaches the card.
        format: ``markdown``, or ``html`` for one self-contained page.

    Returns:
        The document; the same appraisal gives the same bytes.
    """
    card = build(appraisal)
    match format:
        case "markdown":
            return markdown.render(card)
        case "html":
            return html.render(card)
        case _:
            assert_never(format)
