"""lamslsa: checkable claims about ML models, from dataset to deployment."""

__version__ = "0.1.0"

__all__ = ["__version__"]
