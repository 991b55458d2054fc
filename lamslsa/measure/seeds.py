"""Seeds that nobody chooses: the prover cannot repeat a measurement until the luck is good.

    seed      = SHA-256(model ‖ dataset ‖ configuration)      `lamslsa.predicates.evaluation.derive_seed`
    sub-seed  = SHA-256(seed ‖ JCS([metric, groups]))          so no value depends on which others were asked for

>>> from lamslsa.predicates.evaluation import derive_seed
>>> seed = bytes.fromhex(derive_seed(model="00" * 32, dataset="11" * 32, configuration="22" * 32))
>>> seed.hex()[:8], sub_seed(seed, "auroc", ()).hex()[:8]
('b647d261', '58bc1ba7')
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lamslsa import _codec

if TYPE_CHECKING:
    import numpy as np

__all__ = ["generator", "sub_seed"]


def sub_seed(seed: bytes, metric: str, groups: Sequence[str]) -> bytes:
    """The seed of one value."""
    return hashlib.sha256(seed + _codec.canonical([metric, list(groups)])).digest()


def generator(seed: bytes) -> np.random.Generator:
    """NumPy's PCG64 (O'Neill 2014) started from 32 bytes, read as a big-endian integer."""
    import numpy as np

    return np.random.Generator(np.random.PCG64(int.from_bytes(seed, "big")))
