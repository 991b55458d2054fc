"""From a graph to text: find the renderer of the form, and import no other."""

from __future__ import annotations

import importlib
from typing import Any, Final

from lamslsa.graphs.interface import Form, Graph, View

__all__ = ["render"]

_EVERYTHING: Final = View()


def render(graph: Graph, *, form: Form, view: View = _EVERYTHING) -> str:
    """Draw a graph.

    Args:
        graph: what `of_bundles` or `of_appraisal` made.
        form: one of `FORMS`.
        view: how much of it; JSON has all of it, whatever the view.
    """
    module: Any = importlib.import_module(f"lamslsa.graphs.{'document' if form == 'json' else form}")
    drawn: str = module.render(graph, view)
    return drawn
