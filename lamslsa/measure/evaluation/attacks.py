"""Projected gradient descent (Madry et al. 2018, https://arxiv.org/abs/1706.06083), inside what may move.

    x ← P( x + s ε · sign(g) )                 L∞
    x ← P( x + s ε · g / ‖g‖₂ )                L2          g the gradient of the loss over the inputs that may move

P projects on the ball of radius ε around the row and on the range of every input. The first run starts at the row, each
further one at a random place in the ball. A row is broken as soon as one point on the way, as it would be handed in
(`Space.step`), gets another class; it stays broken for every larger ε, since the smaller ball lies in the larger one.

The losses are taken of logits in float64: in float32 the gradient of the cross-entropy of a confident model is zero
long before the model is right for certain, and an attack that sees no gradient finds nothing.

What an attack does not find may exist all the same: robust accuracy is an upper bound of what an attacker leaves
(Athalye et al. 2018, https://arxiv.org/abs/1802.00420).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from lamslsa.measure.interface import Context
from lamslsa.measure.seeds import generator, sub_seed

if TYPE_CHECKING:
    import numpy as np
    import torch

    Array = np.ndarray[Any, Any]

__all__ = [
    "Attacked",
    "Descent",
    "Loss",
    "Norm",
    "Space",
    "attack",
    "block_rows",
    "blocks",
    "kept",
    "losses",
    "predicted",
]

Norm = Literal["Linf", "L2"]
Loss = Literal["cross-entropy", "margin"]

_BLOCK_VALUES: Final = 2**22
_MAX_BLOCK: Final = 4096
_ROUNDING: Final = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """What an attacker may change, in the units of the network's inputs.

    Attributes:
        movable: which inputs may move; bool, the shape of one row.
        lower: the least value of each input, the shape of one row. A row that lies outside may only come nearer.
        upper: the largest value.
        step: an input moves by multiples of this; 0 means by any amount.
        missing: inputs that a row does not have, and which therefore do not move; bool (n, …), or None.
    """

    movable: Array
    lower: Array
    upper: Array
    step: Array
    missing: Array | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Descent:
    """How the attack goes.

    Attributes:
        epsilons: radii, ascending.
        step_size: the length of a step, in units of the radius.
        restarts: runs for each row and radius.
    """

    norm: Norm
    epsilons: tuple[float, ...]
    loss: Loss
    steps: int
    step_size: float
    restarts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attacked:
    """What came of it, row by row; every array is bool (n,).

    Attributes:
        correct: the row itself gets its class.
        robust: for each radius, whether the row kept its class all along.
        immovable: for each radius, whether no input of the row can move: its room is less than a step, or none.
        vanishing: the loss has no gradient at the row, over the inputs that may move.
    """

    correct: Array
    robust: tuple[Array, ...]
    immovable: tuple[Array, ...]
    vanishing: Array


def attack(
    network: torch.nn.Module,
    inputs: Array,
    labels: Array,
    *,
    space: Space,
    descent: Descent,
    seed: bytes,
    context: Context,
) -> Attacked:
    """Attack every row.

    Args:
        network: gives logits, (n, 1) of two classes or (n, classes), on ``context.device`` and in evaluation mode.
        inputs: float32 (n, …).
        labels: classes, (n,).
        space: what may move.
        descent: how.
        seed: of the starting points; those of a row depend on its position, and on no other row.
        context: device and progress.
    """
    import numpy as np

    rows = len(inputs)
    result = Attacked(
        correct=np.zeros(rows, dtype=bool),
        robust=tuple(np.zeros(rows, dtype=bool) for _ in descent.epsilons),
        immovable=tuple(np.zeros(rows, dtype=bool) for _ in descent.epsilons),
        vanishing=np.zeros(rows, dtype=bool),
    )
    for number, part in enumerate(blocks(inputs)):
        context.progress("attacking rows", part.start, rows)
        missing = None if space.missing is None else space.missing[part]
        block = _Block(network, inputs[part], labels[part], space=space, missing=missing, context=context)
        result.correct[part], result.vanishing[part] = block.clean(descent.loss)
        alive = result.correct[part].copy()
        for position, epsilon in enumerate(descent.epsilons):
            result.immovable[position][part] = block.immovable(epsilon)
            for restart in range(descent.restarts):
                noise = None
                if restart:
                    start_seed = sub_seed(seed, "pgd", [str(position), str(restart), str(number)])
                    noise = _noise(start_seed, descent.norm, inputs[part].shape, space.movable)
                _run(block, alive, epsilon, descent, noise)
            result.robust[position][part] = alive
    context.progress("attacking rows", rows, rows)
    return result


def block_rows(inputs: Array) -> int:
    """How many rows go through the network at once: a function of the shape of one row only."""
    values = math.prod(int(length) for length in inputs.shape[1:])
    return max(1, min(_MAX_BLOCK, _BLOCK_VALUES // max(1, values)))


def blocks(inputs: Array, *, at_most: int = _MAX_BLOCK) -> Iterator[slice]:
    """The rows in blocks, in order."""
    size = min(at_most, block_rows(inputs))
    return (slice(start, min(start + size, len(inputs))) for start in range(0, len(inputs), size))


def predicted(logits: torch.Tensor) -> torch.Tensor:
    """The class of each row: of two classes 1 from probability one half on, else the first of the largest logits."""
    import torch

    return (torch.sigmoid(logits[:, 0]) >= 0.5).long() if logits.shape[1] == 1 else logits.argmax(1)


def kept(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Whether each row gets its class; an answer that is not finite is no class, so an overflow saves no row."""
    return (predicted(logits) == labels) & logits.isfinite().all(1)


def losses(logits: torch.Tensor, labels: torch.Tensor, loss: Loss) -> torch.Tensor:
    """The loss of each row, float64: the cross-entropy, or the margin of Carlini and Wagner (2017): max z_j - z_y."""
    import torch

    wide = logits.double()
    if wide.shape[1] == 1:
        margin = torch.where(labels == 1, wide[:, 0], -wide[:, 0])
        return torch.nn.functional.softplus(-margin) if loss == "cross-entropy" else -margin
    own = torch.nn.functional.one_hot(labels, wide.shape[1]).bool()
    if loss == "cross-entropy":
        return -(torch.log_softmax(wide, dim=1) * own).sum(1)
    return wide.masked_fill(own, -torch.inf).amax(1) - (wide * own).sum(1)


class _Block:
    """Some rows as tensors, with the room that each has."""

    def __init__(
        self,
        network: torch.nn.Module,
        inputs: Array,
        labels: Array,
        *,
        space: Space,
        missing: Array | None,
        context: Context,
    ) -> None:
        import numpy as np
        import torch

        def to_device(array: Array) -> torch.Tensor:
            return torch.from_numpy(np.array(array)).to(context.device)

        movable = np.broadcast_to(space.movable, inputs.shape)
        if missing is not None:
            movable = movable & ~missing
        self.network = network
        self.inputs = to_device(inputs)
        self.labels = to_device(labels.astype(np.int64))
        self.movable = to_device(movable)
        self.lower = to_device(np.where(movable, np.minimum(inputs, space.lower), inputs).astype(np.float32))
        self.upper = to_device(np.where(movable, np.maximum(inputs, space.upper), inputs).astype(np.float32))
        self.step = to_device(space.step.astype(np.float32)) if space.step.any() else None

    def clean(self, loss: Loss) -> tuple[Array, Array]:
        import torch

        rows = torch.arange(len(self.inputs), device=self.inputs.device)
        logits, gradient = self.gradient(self.inputs, rows, loss)
        vanishing = ~gradient.flatten(1).any(1)
        return kept(logits, self.labels).cpu().numpy(), vanishing.cpu().numpy()

    def gradient(self, points: torch.Tensor, rows: torch.Tensor, loss: Loss) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits at the points, and the gradient of the loss over what may move."""
        import torch

        leaf = points.detach().clone().requires_grad_()
        with torch.enable_grad():
            logits = self.network(leaf)
            (gradient,) = torch.autograd.grad(losses(logits, self.labels[rows], loss).sum(), [leaf])
        return logits.detach(), torch.where(self.movable[rows], gradient, 0).nan_to_num()

    def broken(self, points: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        import torch

        with torch.no_grad():
            return ~kept(self.network(points), self.labels[rows])

    def handed_in(self, points: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """The points with every movement cut down to whole steps, towards the row itself."""
        import torch

        if self.step is None:
            return points
        moved = points - self.inputs[rows]
        step = torch.where(self.step > 0, self.step, 1)
        whole = torch.trunc(moved / step + _ROUNDING * moved.sign()) * step
        return self.inputs[rows] + torch.where(self.step > 0, whole, moved)

    def immovable(self, epsilon: float) -> Array:
        """Whether each row stays where it is however far any one of its inputs goes; alike in every norm."""
        import torch

        rows = torch.arange(len(self.inputs), device=self.inputs.device)
        still = torch.ones(len(self.inputs), dtype=torch.bool, device=self.inputs.device)
        for way in (epsilon, -epsilon):
            furthest = self.handed_in(self.project(self.inputs + way, rows, "Linf", epsilon), rows)
            still &= (furthest == self.inputs).flatten(1).all(1)
        found: Array = still.cpu().numpy()
        return found

    def project(self, points: torch.Tensor, rows: torch.Tensor, norm: Norm, epsilon: float) -> torch.Tensor:
        """Into the ball, then into the range, which leaves the ball as it holds the row itself."""
        import torch

        moved = points - self.inputs[rows]
        if norm == "Linf":
            moved = moved.clamp(-epsilon, epsilon)
        else:
            length = _length(moved)
            moved = torch.where(length > epsilon, moved * (epsilon / length.clamp(min=1e-12)), moved)
        return torch.minimum(torch.maximum(self.inputs[rows] + moved, self.lower[rows]), self.upper[rows])


def _run(block: _Block, alive: Array, epsilon: float, descent: Descent, noise: Array | None) -> None:
    """One descent of the rows that are alive; those that it breaks are alive no longer."""
    import numpy as np
    import torch

    places = np.flatnonzero(alive)
    rows = torch.from_numpy(places).to(block.inputs.device)
    points = block.inputs[rows]
    if noise is not None:
        start = torch.from_numpy(noise[places]).to(block.inputs.device)
        points = block.project(points + epsilon * start, rows, descent.norm, epsilon)
    for step in range(descent.steps + 1):
        broken = block.broken(block.handed_in(points, rows), rows)
        alive[rows[broken].cpu().numpy()] = False
        rows, points = rows[~broken], points[~broken]
        if step == descent.steps or not len(rows):
            return
        _, gradient = block.gradient(points, rows, descent.loss)
        direction = gradient.sign() if descent.norm == "Linf" else _direction(gradient)
        points = block.project(points + descent.step_size * epsilon * direction, rows, descent.norm, epsilon)


def _length(vectors: torch.Tensor) -> torch.Tensor:
    """Euclidean length of each row, shape (n, 1, …)."""
    length: torch.Tensor = vectors.flatten(1).norm(dim=1).reshape(-1, *[1] * (vectors.dim() - 1))
    return length


def _direction(gradient: torch.Tensor) -> torch.Tensor:
    """The gradient of each row at length 1; scaled first, so that no square of it is lost. Zero stays zero."""
    scale = gradient.flatten(1).abs().amax(1).reshape(-1, *[1] * (gradient.dim() - 1))
    scaled = gradient / scale.clamp(min=1e-38)
    direction: torch.Tensor = scaled / _length(scaled).clamp(min=1e-12)
    return direction


def _noise(seed: bytes, norm: Norm, shape: Sequence[int], movable: Array) -> Array:
    """Uniform in the ball of radius 1 over the inputs that may move, float32."""
    import numpy as np

    random = generator(seed)
    if norm == "Linf":
        return np.where(movable, random.uniform(-1, 1, size=shape), 0).astype(np.float32)
    axes = tuple(range(1, len(shape)))
    # Uniform in a ball of d dimensions: a normal vector's direction, at a distance of U^(1/d).
    draws = np.concatenate(
        [random.standard_normal((shape[0], int(np.prod(shape[1:])))), random.random((shape[0], 1))], axis=1
    )
    direction = np.where(movable, draws[:, :-1].reshape(shape), 0)
    distance = draws[:, -1].reshape(-1, *[1] * len(axes)) ** (1 / max(1, int(movable.sum())))
    length = np.sqrt((direction**2).sum(axis=axes, keepdims=True))
    noise: Array = (direction / np.maximum(length, 1e-12) * distance).astype(np.float32)
    return noise
