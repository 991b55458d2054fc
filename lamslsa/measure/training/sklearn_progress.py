"""How far a solver of scikit-learn has come.

From 1.9 on the library tells of every iteration of lbfgs, and of no other solver; before, of none. Who listens changes
no weight: the solver hands on a copy of them and goes on.
"""

from __future__ import annotations

from typing import Any

from lamslsa.measure.interface import Progress

__all__ = ["listen"]


class _Iterations:
    """A callback of scikit-learn; its hooks have the names and parameters that the library asks for."""

    def __init__(self, progress: Progress, most: int) -> None:
        self._progress, self._most, self._begun = progress, most, 0

    def setup(self, estimator: Any, context: Any) -> None:
        """Nothing is set up."""

    def teardown(self, estimator: Any, context: Any) -> None:
        """Nothing is left."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """As many are done as were begun before; after the last the library begins one that it does not run."""
        del estimator
        if context.parent is None:  # the fit itself
            return
        if 0 < self._begun < self._most:
            self._progress("training", self._begun, self._most)
        self._begun += 1

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:
        """Go on."""
        del estimator, context
        return False


def listen(estimator: Any, progress: Progress, *, most: int) -> None:
    """Report iterations of an estimator that is fitted next, where it tells of them.

    Args:
        estimator: of scikit-learn, of any version.
        progress: hears of each iteration but the last that there may be.
        most: iterations that there may be; a solver that converges stops before.
    """
    if hasattr(estimator, "set_callbacks"):
        estimator.set_callbacks(_Iterations(progress, most))
