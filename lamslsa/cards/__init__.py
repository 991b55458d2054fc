"""Model cards: an appraisal rendered for people, verified and unverified values told apart."""

from lamslsa.cards.interface import Format, Renderer
from lamslsa.cards.render import render

__all__ = ["Format", "Renderer", "render"]
