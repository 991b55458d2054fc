from lamslsa.api import load_verified as load_verified
from lamslsa.api import verify as verify

__version__: str
__all__ = ["__version__", "load_verified", "verify"]
