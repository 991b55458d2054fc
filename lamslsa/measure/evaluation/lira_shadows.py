"""Shadow models: the architecture of the target, trained as declared on half of the rows that are judged.

Rules:
- The rows of both datasets are one pool. Each row is in exactly half of the shadows' training data, chosen by the seed
  (Carlini et al. 2022); rows that are the same to the network are in or out together, since a model that
  saw one of them saw the other.
- First weights and the order of rows of each shadow have a seed of their own, which follows from the evaluation's.
- Inputs are encoded as the target encodes them: whoever attacks a model has its ``model.json``.
- How sure each shadow is of each row is kept sealed after each of them, where there is somewhere to keep it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from lamslsa import _codec
from lamslsa.errors import FormatError
from lamslsa.measure.evaluation.membership_rows import logit_of
from lamslsa.measure.interface import Context, silent
from lamslsa.measure.models import weights
from lamslsa.measure.models.examples import Examples
from lamslsa.measure.models.interface import TorchDescription
from lamslsa.measure.models.loading import LoadedModel
from lamslsa.measure.seeds import generator, sub_seed
from lamslsa.measure.training.loop import Material, fit
from lamslsa.measure.training.settings import Settings

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["assign", "fit_rows", "shadow_confidences", "trainable", "work_of"]

_SEED_BYTES: Final = 6


def trainable(loaded: LoadedModel, trainer: str) -> TorchDescription:
    """The description of a target whose shadows can be trained.

    Raises:
        FormatError: the target is of another architecture than the shadows, or is no network that is trained here.
    """
    description: Any = loaded.description
    if loaded.architecture != trainer or loaded.network is None or not hasattr(description, "network"):
        raise FormatError(
            f"expected a network of the architecture {trainer}, got {loaded.architecture}",
            reason="lira-architecture",
            hint="shadows have the architecture of the model; membership-inference/1 takes any network of classes",
        )
    found: TorchDescription = description
    return found


def assign(keys: Sequence[bytes], shadows: int, seed: bytes) -> Array:
    """Which row each shadow is trained on: bool (shadows, rows), half of each column true, equal keys alike."""
    import numpy as np

    _, rows = np.unique(np.array(keys, dtype="S64"), return_inverse=True)
    draws = generator(sub_seed(seed, "lira-halves", ())).random((shadows, int(rows.max()) + 1))
    inside: Array = (np.argsort(draws, axis=0, kind="stable") < shadows // 2)[:, rows.reshape(-1)]
    return inside


def shadow_confidences(
    description: TorchDescription,
    pool: Examples,
    keys: Sequence[bytes],
    *,
    shadows: int,
    settings: Settings,
    seed: bytes,
    work: bytes,
    context: Context,
) -> tuple[Array, Array]:
    """Train every shadow and ask it about every row.

    Args:
        description: of the target.
        pool: the rows of both datasets.
        keys: what makes two rows the same, in hexadecimal.
        shadows: how many; even.
        settings: how each is trained; the seed in them counts for nothing.
        seed: of the evaluation.
        work: a digest of all that the result depends on.
        context: device, progress, and where to keep what is done.

    Returns:
        Confidences, float64 (shadows, rows), and which rows each was trained on, bool of the same shape.
    """
    import numpy as np

    inside = assign(keys, shadows, seed)
    rows = len(keys)
    found = _kept(work, rows, context)[:shadows]
    quiet = replace(context, progress=silent, checkpoints=None)
    for number in range(shadows):
        _leave_no_single_row(inside[number], keys, settings.batch_size)
        if number < len(found):
            continue
        context.progress("training shadow models", number, shadows)
        number_seed = sub_seed(seed, "lira-shadow", [str(number)])
        own = replace(settings, seed=int.from_bytes(number_seed[:_SEED_BYTES], "big"))
        network = fit_rows(description, pool, np.flatnonzero(inside[number]), own, quiet)
        found.append(logit_of(network, pool.inputs, pool.labels, quiet))
        if context.checkpoints is not None:
            context.checkpoints.keep(work, np.stack(found).astype("<f8").tobytes())
    context.progress("training shadow models", shadows, shadows)
    return np.stack(found), inside


def fit_rows(description: TorchDescription, pool: Examples, rows: Array, settings: Settings, context: Context) -> Any:
    """A network of this description, trained on these rows and no others; in evaluation mode."""
    import safetensors.torch

    material = Material(description=description, inputs=pool.inputs[rows], labels=pool.labels[rows])
    fitted = fit(material, settings, context, start=bytes(32), work=bytes(32))
    network = weights.build(description, safetensors.torch.load(fitted.weights))
    return network.to(context.device).eval()


def work_of(*parts: str) -> bytes:
    """The digest under which progress is kept."""
    return hashlib.sha256(_codec.canonical(["lira/1", *parts])).digest()


def _leave_no_single_row(inside: Array, keys: Sequence[bytes], batch_size: int) -> None:
    """Leave out the last rows of a shadow until no batch of a single row remains, which some networks cannot learn."""
    import numpy as np

    while int(inside.sum()) % batch_size == 1 and int(inside.sum()) > 1 and batch_size > 1:
        last = keys[int(np.flatnonzero(inside)[-1])]
        inside &= np.array([key != last for key in keys])


def _kept(work: bytes, rows: int, context: Context) -> list[Array]:
    import numpy as np

    data = None if context.checkpoints is None else context.checkpoints.latest(work)
    if data is None or not data or len(data) % (8 * rows):
        return []
    return list(np.frombuffer(data, dtype="<f8").reshape(-1, rows).astype(np.float64))
