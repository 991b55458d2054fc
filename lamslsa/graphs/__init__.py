"""Where a model comes from, drawn: a tree for the terminal, DOT, Mermaid, and JSON for programs."""

from lamslsa.graphs.build import of_appraisal, of_bundles
from lamslsa.graphs.interface import FORMS, Form, Graph, Node, Step, View
from lamslsa.graphs.render import render

__all__ = ["FORMS", "Form", "Graph", "Node", "Step", "View", "of_appraisal", "of_bundles", "render"]
