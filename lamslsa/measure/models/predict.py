"""What a model says about examples: in evaluation mode, on one thread, in batches of 4096 in file order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lamslsa.errors import FormatError
from lamslsa.measure.interface import Context
from lamslsa.measure.models.loading import LoadedModel

if TYPE_CHECKING:
    import numpy as np

__all__ = ["BATCH_ROWS", "predict"]

BATCH_ROWS: Final = 4096


def predict(
    loaded: LoadedModel, inputs: np.ndarray[Any, Any], context: Context
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """What the model says about each example.

    Returns:
        float32: of two classes the probability of class 1, shape (n,); of more classes the probability of each, shape
        (n, classes); the number where the model says numbers, shape (n,).

    Raises:
        FormatError: something that is not a number.
    """
    import numpy as np

    parts = []
    for start in range(0, len(inputs), BATCH_ROWS):
        context.progress("predicting rows", start, len(inputs))
        parts.append(loaded.answer(inputs[start : start + BATCH_ROWS]))
    context.progress("predicting rows", len(inputs), len(inputs))
    scores = np.concatenate(parts)
    if not np.isfinite(scores).all():
        raise FormatError(
            "expected a probability for each row, got one that is not a number", reason="evaluation-not-finite"
        )
    return scores
