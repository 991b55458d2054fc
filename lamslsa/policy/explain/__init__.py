"""A policy in plain English: sections of statements, each with the terms that it puts into words."""

from lamslsa.policy.explain.explain import explain
from lamslsa.policy.explain.words import Item, Section

__all__ = ["Item", "Section", "explain"]
