"""What statements about a verdict have in common."""

from __future__ import annotations

import datetime as dt

from lamslsa.policy.appraisal import Appraisal
from lamslsa.statement import Subject

__all__ = ["label", "second", "subject"]


def second(at: dt.datetime) -> str:
    """A time of the verifier's clock, to the second."""
    return f"{at.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"


def label(name: str) -> str:
    """A name as JSON can hold it: that of a file need not be Unicode."""
    return name.encode("utf-8", "backslashreplace").decode()


def subject(appraisal: Appraisal) -> Subject:
    """The model."""
    return Subject(name=label(appraisal.model_name) or "model", sha256=appraisal.model)
