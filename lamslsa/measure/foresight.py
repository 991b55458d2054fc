"""What a plan may say of itself before it is run, beside what every plan says: each is an attribute it can do without.

    makes: tuple[str, ...]                                names of the artifacts that it will make
    makes_private: bool                                   whether it will make files for nobody else's eyes
    estimate(sizes: Mapping[str, int]) -> float | None    seconds that it may take, from the bytes of each role

A plan that says nothing is asked nothing: what it made is then known afterwards.

Times are of one core of a server, and right within a factor of three at best: nothing is read for them, so rows are
guessed from bytes. `lamslsa.measure.rates` has the rates of our own plans. How long code of others takes nobody knows.
"""

from __future__ import annotations

from collections.abc import Mapping

from lamslsa.measure.interface import Plan

__all__ = ["estimate", "makes", "makes_private"]


def makes(plan: Plan) -> tuple[str, ...] | None:
    """Names of the artifacts that the plan will make; None where it does not say."""
    found: tuple[str, ...] | None = getattr(plan, "makes", None)
    return found


def makes_private(plan: Plan) -> bool:
    """Whether the plan says that it will make private files."""
    return bool(getattr(plan, "makes_private", False))


def estimate(plan: Plan, sizes: Mapping[str, int]) -> float | None:
    """Roughly how many seconds the plan will take, reading its inputs left out; None where it does not say."""
    known = getattr(plan, "estimate", None)
    seconds: float | None = None if known is None else known(sizes)
    return seconds
