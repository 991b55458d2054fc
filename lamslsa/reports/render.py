"""From an appraisal to bytes: find the renderer of the format, and import no other."""

from __future__ import annotations

import importlib
from typing import Any, Final

from lamslsa.policy.appraisal import Appraisal
from lamslsa.reports.interface import About, Format

__all__ = ["render"]

_NOTHING_KNOWN: Final = About()


def render(appraisal: Appraisal, *, format: Format, about: About = _NOTHING_KNOWN) -> bytes:  # noqa: A002 - the word of the command line
    """Render an appraisal.

    Args:
        appraisal: the verdict, accepted or refused.
        format: one of `FORMATS`; of ``vsa`` and ``svr`` the bytes are the payload of a statement, not yet signed.
        about: what a report says beside it.

    Raises:
        PolicyError: the format knows no refusal, and the appraisal is one.
    """
    module: Any = importlib.import_module(f"lamslsa.reports.{format}")
    rendered: bytes = module.render(appraisal, about)
    return rendered
