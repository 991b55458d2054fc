"""What becomes of an appraisal: text and JSON, reports for CI, and summaries that other verifiers read."""

from lamslsa.reports.interface import (
    FORMATS,
    STATEMENTS,
    SUMMARIES,
    VERIFIER,
    About,
    Format,
    FromArchive,
    Renderer,
)
from lamslsa.reports.render import render

__all__ = [
    "FORMATS",
    "STATEMENTS",
    "SUMMARIES",
    "VERIFIER",
    "About",
    "Format",
    "FromArchive",
    "Renderer",
    "render",
]
