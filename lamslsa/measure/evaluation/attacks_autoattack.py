"""AutoAttack (Croce and Hein 2020, https://arxiv.org/abs/2003.01690) by pyautoattack, in its standard version.

    apgd-ce    APGD on the cross-entropy                                             one run
    apgd-t     APGD on the targeted DLR loss, towards the 9 likeliest other classes  needs four classes
    fab-t      FAB, the smallest perturbation towards each of these classes          Croce and Hein 2020b
    square     Square, random squares, without any gradient                          Andriushchenko et al. 2020

With fewer than ten classes there are fewer targets. A model of two classes with one logit z is attacked as one with the
logits (-z/2, z/2), which have the same probabilities.

Each attack runs on every row that gets its class. A row is broken if the point that the library returns, put back into
the ball and into 0 to 1 by us, gets another class from the network itself: nothing is counted on the library's word.

The library's own driver is not used: it sets the interpreter's trace function, seeds from the clock and writes its
state to disk where asked to. Its attacks seed torch's global generator, which is put back afterwards.

FAB sums up with ``torch.cumsum``, which on a GPU has no deterministic kernel and is refused there
(https://docs.pytorch.org/docs/2.13/generated/torch.use_deterministic_algorithms.html): these sums are taken on the CPU.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lamslsa.measure.evaluation.attacks import Norm, blocks, kept
from lamslsa.measure.interface import Context
from lamslsa.measure.seeds import sub_seed

if TYPE_CHECKING:
    import numpy as np
    import torch

    Array = np.ndarray[Any, Any]

__all__ = ["ATTACKS", "BATCH_ROWS", "Ensemble", "Outcomes", "auto_attack", "inapplicable"]

ATTACKS: Final = ("apgd-ce", "apgd-t", "fab-t", "square")
BATCH_ROWS: Final = 250
_MAX_TARGETS: Final = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """How long the attacks try; the standard version has 100 iterations and 5000 queries."""

    norm: Norm
    epsilons: tuple[float, ...]
    iterations: int
    queries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What came of it, row by row; every array is bool (n,).

    Attributes:
        correct: the row itself gets its class.
        robust: for each radius and each attack that applies, whether the row kept its class.
    """

    correct: Array
    robust: tuple[Mapping[str, Array], ...]


def inapplicable(attack: str, *, classes: int, shape: Sequence[int], norm: Norm) -> str | None:
    """Why an attack does not apply to such models and images, or None."""
    if attack == "apgd-t" and classes < 4:
        return f"the targeted DLR loss needs four classes, the model has {classes}"
    if attack == "square" and norm == "L2" and (shape[-2] != shape[-1] or shape[-1] < 5):
        return "Square in L2 needs square images of at least five pixels a side"
    return None


def auto_attack(
    network: torch.nn.Module,
    images: Array,
    labels: Array,
    *,
    classes: int,
    ensemble: Ensemble,
    seed: bytes,
    context: Context,
) -> Outcomes:
    """Attack every image.

    Args:
        network: gives logits, (n, 1) of two classes or (n, classes), on ``context.device`` and in evaluation mode.
        images: float32 (n, channels, height, width) in 0 to 1.
        labels: classes, (n,).
        classes: how many there are.
        ensemble: how.
        seed: of every attack on every batch.
        context: device and progress.
    """
    import numpy as np

    names = [
        name for name in ATTACKS if inapplicable(name, classes=classes, shape=images.shape, norm=ensemble.norm) is None
    ]
    correct = np.zeros(len(images), dtype=bool)
    robust = [{name: np.zeros(len(images), dtype=bool) for name in names} for _ in ensemble.epsilons]
    parts = list(blocks(images, at_most=BATCH_ROWS))
    total = len(parts) * len(names) * len(ensemble.epsilons)
    done = 0
    with _contained(network, context):
        for number, part in enumerate(parts):
            batch = _Batch(network, images[part], labels[part], context)
            correct[part] = batch.correct
            for position, epsilon in enumerate(ensemble.epsilons):
                for name in names:
                    context.progress("running AutoAttack", done, total)
                    done += 1
                    before = correct if position == 0 else robust[position - 1][name]
                    alive = before[part].copy()
                    chosen_seed = sub_seed(seed, "autoattack", [name, str(position), str(number)])
                    if epsilon > 0:
                        tool = _attack(
                            name,
                            _TwoLogits(network),
                            classes=classes,
                            ensemble=ensemble,
                            epsilon=epsilon,
                            context=context,
                        )
                        alive &= batch.kept_under(tool, chosen_seed, epsilon)
                    robust[position][name][part] = alive
    context.progress("running AutoAttack", total, total)
    return Outcomes(correct=correct, robust=tuple(robust))


class _Batch:
    """Some images as tensors, of which those that get their class are attacked."""

    def __init__(self, network: torch.nn.Module, images: Array, labels: Array, context: Context) -> None:
        import numpy as np
        import torch

        self._network = network
        self._images = torch.from_numpy(np.array(images)).to(context.device)
        self._labels = torch.from_numpy(labels.astype(np.int64)).to(context.device)
        self._right = self._kept(self._images)

    @property
    def correct(self) -> Array:
        found: Array = self._right.cpu().numpy()
        return found

    def kept_under(self, attack: Any, seed: bytes, epsilon: float) -> Array:
        """Whether each image keeps its class; one that never had it does not."""
        import torch

        result = self._right.clone()
        if not bool(result.any()):
            return self.correct
        rows = torch.nonzero(result).squeeze(1)
        images, labels = self._images[rows], self._labels[rows]
        attack.seed = int.from_bytes(seed[:8], "big") >> 1
        with _sums_on_the_cpu() if images.is_cuda else nullcontext():
            points = attack.perturb(images.clone(), labels.clone()).detach()
        points = torch.where(points.isfinite(), points, images)
        moved = points - images
        if attack.norm == "Linf":
            moved = moved.clamp(-epsilon, epsilon)
        else:
            length = moved.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)
            moved = torch.where(length > epsilon, moved * (epsilon / length.clamp(min=1e-12)), moved)
        reached = self._images.clone()
        reached[rows] = (images + moved).clamp(0, 1)
        result &= self._kept(reached)
        found: Array = result.cpu().numpy()
        return found

    def _kept(self, points: torch.Tensor) -> torch.Tensor:
        import torch

        with torch.no_grad():
            return kept(self._network(points), self._labels)


def _attack(name: str, model: Any, *, classes: int, ensemble: Ensemble, epsilon: float, context: Context) -> Any:
    from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted
    from pyautoattack.fab_pt import FABAttack_PT
    from pyautoattack.square import SquareAttack

    log = logging.Logger("pyautoattack", level=logging.CRITICAL)  # noqa: LOG001 - one that reaches no handler
    common = {"norm": ensemble.norm, "eps": epsilon, "n_restarts": 1, "device": context.device, "verbose": False}
    targets = min(_MAX_TARGETS, classes - 1)
    match name:
        case "apgd-ce":
            return APGDAttack(model, n_iter=ensemble.iterations, loss="ce", rho=0.75, logger=log, **common)
        case "apgd-t":
            return APGDAttack_targeted(
                model, n_iter=ensemble.iterations, rho=0.75, n_target_classes=targets, logger=log, **common
            )
        case "fab-t":
            return FABAttack_PT(model, n_iter=ensemble.iterations, targeted=True, n_target_classes=targets, **common)
        case _:
            return SquareAttack(model, n_queries=ensemble.queries, p_init=0.8, resc_schedule=False, **common)


class _TwoLogits:
    """The network as the library wants it: a logit for each class."""

    def __init__(self, network: torch.nn.Module) -> None:
        self._network = network

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        import torch

        logits: torch.Tensor = self._network(images)
        return torch.cat([-logits / 2, logits / 2], dim=1) if logits.shape[1] == 1 else logits


def _sums_on_the_cpu() -> AbstractContextManager[object]:
    """Have cumulative sums of a GPU's tensors taken on the CPU; those of the CPU stay as they are."""
    import torch
    from torch.overrides import TorchFunctionMode

    class Sums(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func not in (torch.cumsum, torch.Tensor.cumsum) or not args[0].is_cuda:
                return func(*args, **(kwargs or {}))
            return func(args[0].cpu(), *args[1:], **(kwargs or {})).to(args[0].device)

    return Sums()


@contextmanager
def _contained(network: torch.nn.Module, context: Context) -> Iterator[None]:
    """Put back what the library touches: torch's generators, and the gradients of the weights; it prints nothing."""
    import torch

    wanted = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    devices = [torch.cuda.current_device()] if context.device == "cuda" else []
    with torch.random.fork_rng(devices=devices), redirect_stdout(io.StringIO()):
        for parameter, _ in wanted:
            parameter.requires_grad = False
        try:
            yield
        finally:
            for parameter, wants in wanted:
                parameter.requires_grad = wants
