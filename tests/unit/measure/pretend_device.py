"""A GPU that is none: computes on the CPU and refuses what CUDA refuses.

    with pretend_device():
        …                       # device="cuda" works here: real numbers, and the rules of a second device

A tensor is on the device if its storage was made there. By the documents of torch 2.13, what a GPU refuses is refused:

- operands on two devices, except indices, a single number, and a copy from one to the other;
- NumPy's view of a tensor that is on the device, and lengths of sequences that are;
- a generator of the CPU for numbers that are drawn on the device, which has a state of its own;
- kernels that have no deterministic form (``_ALERTS``), and cuBLAS without CUBLAS_WORKSPACE_CONFIG;
- the gradient of an LSTM that was asked in evaluation mode, which cuDNN does not have.

And what no computation of ours may do is an AssertionError: work there while algorithms need not be deterministic, TF32
is allowed or algorithms are chosen by the clock. What it cannot tell: speed, rounding, memory, and whether a kernel of
this GPU and driver keeps what the documents say.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

__all__ = ["NAME", "Pretended", "pretend_device"]

NAME: Final = "Pretended H100"
_WORKSPACES: Final = (":4096:8", ":16:8")
# https://docs.pytorch.org/docs/2.13/generated/torch.use_deterministic_algorithms.html, as the kernels are called
_ALERTS: Final = frozenset((
    "_adaptive_avg_pool2d_backward", "_adaptive_avg_pool3d_backward", "_ctc_loss_backward", "avg_pool3d_backward",
    "adaptive_max_pool2d_backward", "fractional_max_pool2d_backward", "fractional_max_pool3d_backward", "histc",
    "grid_sampler_2d_backward", "grid_sampler_3d_backward", "kthvalue", "max_unpool2d", "max_unpool3d", "put", "put_",
    "nll_loss2d_forward", "reflection_pad1d_backward", "reflection_pad2d_backward", "reflection_pad3d_backward",
    "upsample_bicubic2d_backward", "upsample_bilinear2d_backward", "upsample_linear1d_backward",
    "upsample_trilinear3d_backward",
))  # fmt: skip
_CUBLAS: Final = frozenset(
    ["addbmm", "addmm", "addmv", "baddbmm", "bmm", "dot", "linear", "matmul", "mm", "mv", "vdot"]
)
_INDEXING: Final = frozenset(["index", "index_put", "index_put_", "_index_put_impl_"])
_COPIES: Final = frozenset(["copy", "copy_", "_to_copy"])
_MOVES: Final = _COPIES | {"clone", "detach", "alias"}
_LENGTHS: Final = frozenset(["_pack_padded_sequence", "lstm"])
_DRAWN: Final = torch.Tag.nondeterministic_seeded
_TENSOR: Final[Any] = torch.Tensor
_GETTERS: Final[Mapping[Any, Any]] = {
    _TENSOR.device.__get__: torch.device("cuda", 0),
    _TENSOR.is_cuda.__get__: True,
    _TENSOR.is_cpu.__get__: False,
}


class Pretended:
    """What is on the device, and what happened there.

    Attributes:
        calls: how often each kernel ran on the device.
        within: whether a function of torch is at work on it, whose own tensors are made there.
    """

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.within = False
        self._storages: dict[int, StorageWeakRef] = {}
        self._generator = torch.Generator().manual_seed(0)

    def holds(self, tensor: Any) -> bool:
        """Whether a tensor is on the device."""
        return isinstance(tensor, torch.Tensor) and tensor.untyped_storage()._cdata in self._storages

    def put(self, tensor: torch.Tensor, *, there: bool = True) -> torch.Tensor:
        """Say where a tensor is, and with it whatever shares its storage."""
        storage = tensor.untyped_storage()
        if there:
            # the reference keeps the address from being given to another storage
            self._storages.setdefault(storage._cdata, StorageWeakRef(storage))  # type: ignore[no-untyped-call]
        else:
            self._storages.pop(storage._cdata, None)
        return tensor

    def ran(self, name: str) -> None:
        """Count a kernel; now and then forget storages that are gone."""
        self.calls[name] += 1
        if self.calls.total() % 1000 == 0:
            self._storages = {key: kept for key, kept in self._storages.items() if not _gone(kept)}

    def get_state(self, device: object = 0) -> torch.Tensor:
        """The state of the device's generator, which lies on the CPU."""
        return self._generator.get_state()

    def set_state(self, state: torch.Tensor, device: object = 0) -> None:
        """Put a state back; it has to lie on the CPU."""
        if self.holds(state):
            raise TypeError("RNG state must be a torch.ByteTensor")
        self._generator.set_state(state)

    def seed(self, seed: int) -> None:
        """Seed the device's generator."""
        self._generator.manual_seed(seed)

    @contextmanager
    def working(self, *, there: bool) -> Iterator[None]:
        """A call of torch, on the device or not."""
        before, self.within = self.within, there
        try:
            yield
        finally:
            self.within = before

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Draw from the device's own generator."""
        before = torch.get_rng_state()
        torch.set_rng_state(self._generator.get_state())
        try:
            yield
        finally:
            self._generator.set_state(torch.get_rng_state())
            torch.set_rng_state(before)


def _gone(storage: Any) -> bool:
    return bool(storage.expired())


class _Kernels(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch says no types of it
    """Every kernel that is run, gradients and optimisers included."""

    def __init__(self, device: Pretended) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device = device

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        there = [self.device.holds(tensor) for tensor in tensors]
        if not tensors and self.device.within:
            return self._placed(func(*args, **kwargs))
        if not any(there):
            return func(*args, **kwargs)
        _refuse_mixture(name, tensors, there)
        if name not in _MOVES:
            _refuse_kernel(name, args, kwargs)
            self.device.ran(name)
        if _DRAWN in func.tags:
            _refuse_generator(kwargs.get("generator"))
            with self.device.drawing():
                result = func(*args, **kwargs)
        else:
            result = func(*args, **kwargs)
        if name == "copy_":  # what is copied into stays where it is
            return self.device.put(result, there=there[0])
        if name == "_pack_padded_sequence":  # how long sequences are is for the CPU
            return self.device.put(result[0]), result[1]
        return self._placed(result)

    def _placed(self, result: Any) -> Any:
        return tree_map(lambda leaf: self.device.put(leaf) if isinstance(leaf, torch.Tensor) else leaf, result)


def _refuse_mixture(name: str, tensors: list[torch.Tensor], there: list[bool]) -> None:
    if name in _LENGTHS and tensors[1].dtype == torch.int64:
        if there[1]:
            raise RuntimeError("'lengths' argument should be a 1D CPU int64 tensor, but got 1D cuda:0 Long tensor")
        tensors, there = [tensors[0], *tensors[2:]], [there[0], *there[2:]]
    if name in _COPIES or (name in _INDEXING and there[0]):
        values = name != "index" and name in _INDEXING and tensors[-1].dim() > 0 and not there[-1]
        if not values:
            return
    if any(not on and tensor.dim() for tensor, on in zip(tensors, there, strict=True)):
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! ({name})"
        )


def _refuse_kernel(name: str, args: Any, kwargs: Any) -> None:
    if not torch.are_deterministic_algorithms_enabled():
        raise AssertionError(f"{name} ran on the device while algorithms need not be deterministic")
    if torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32 or torch.backends.cudnn.benchmark:
        raise AssertionError(f"{name} ran on the device with TF32, or with algorithms that are chosen by the clock")
    if name in _CUBLAS and os.environ.get("CUBLAS_WORKSPACE_CONFIG") not in _WORKSPACES:
        raise RuntimeError("Deterministic behavior was enabled, but CUBLAS_WORKSPACE_CONFIG is not set")
    floating = name in ("cumsum", "cumsum_") and args[0].is_floating_point()
    weighted = name == "bincount" and (len(args) > 1 or kwargs.get("weights") is not None)
    product = name.startswith("scatter_reduce") and "prod" in args
    indexed = name == "median" and len(args) > 1
    if name in _ALERTS or floating or weighted or product or indexed:
        raise RuntimeError(f"{name}_cuda does not have a deterministic implementation")


def _refuse_generator(generator: torch.Generator | None) -> None:
    if generator is not None:
        raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")


class _Calls(TorchFunctionMode):
    """Every function of torch that names a device, or asks where a tensor is."""

    def __init__(self, device: Pretended) -> None:
        super().__init__()
        self.device = device

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        there = bool(args) and self.device.holds(args[0])
        if func in _GETTERS:
            return _GETTERS[func] if there else func(*args)
        name = getattr(func, "__name__", "")
        if there and name in ("numpy", "__array__"):
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")
        if func is torch.Tensor.backward:  # with this mode around the hooks of modules
            with self, self.device.working(there=there):
                kwargs["grad_tensors"] = kwargs.pop("gradient", None)
                return torch.autograd.backward(*args, **kwargs)
        if name in ("cuda", "cpu", "to") and args and isinstance(args[0], torch.Tensor):
            return self._moved(func, name, there, args, kwargs)
        if name == "lstm" and there:
            return _without_gradient(func, args)
        if name == "new_tensor" and there:
            kwargs.setdefault("device", "cuda")
        if kwargs.get("device") is not None:
            return self._made(func, there, args, kwargs)
        work = any(self.device.holds(leaf) for leaf in tree_leaves((args, kwargs))) and name != "_pack_padded_sequence"
        with self.device.working(there=work):
            return func(*args, **kwargs)

    def _made(self, func: Any, there: bool, args: Any, kwargs: dict[str, Any]) -> Any:
        """What a function gives that was told a device."""
        asked = torch.device(kwargs["device"]).type
        kwargs["device"] = "cpu" if asked == "cuda" else asked
        if asked == "cuda":
            _refuse_generator(kwargs.get("generator"))
            with self.device.drawing():
                return self.device.put(func(*args, **kwargs))
        made = func(*args, **kwargs)
        return self.device.put(made.clone() if there else made, there=False)

    def _moved(self, func: Any, name: str, there: bool, args: Any, kwargs: dict[str, Any]) -> Any:
        """What ``to``, ``cpu`` and ``cuda`` give: the tensor itself if it is there already, else a copy."""
        words = [name] if name != "to" else [*args[1:], *kwargs.values()]
        target = next((torch.device(word).type for word in words if isinstance(word, str | torch.device)), None)
        if target == "meta" or any(isinstance(word, torch.Tensor) for word in words):
            return func(*args, **kwargs)
        found = args[0]
        for dtype in (word for word in words if isinstance(word, torch.dtype)):
            found = found.to(dtype)
        if target is None or (target == "cuda") == there:
            return found
        return self.device.put(found.clone(), there=target == "cuda")


def _without_gradient(func: Any, args: Any) -> Any:
    """What an LSTM answers; in evaluation mode cuDNN has no gradient of it."""
    result = func(*args)
    training = args[7] if isinstance(args[1], torch.Tensor) else args[6]
    if not training:
        for tensor in result:
            if tensor.requires_grad:
                tensor.register_hook(_refuse_gradient)
    return result


def _refuse_gradient(gradient: torch.Tensor) -> None:
    raise RuntimeError("cudnn RNN backward can only be called in training mode")


@contextmanager
def pretend_device() -> Iterator[Pretended]:
    """Have a GPU to the end of the block; the environment of the process is put back then."""
    device = Pretended()
    properties = SimpleNamespace(name=NAME, major=9, minor=0, multi_processor_count=132, total_memory=80 * 2**30)
    functions: dict[Any, dict[str, Any]] = {
        torch.cuda: {
            "is_available": lambda: True,
            "is_initialized": lambda: bool(device.calls),
            "device_count": lambda: 1,
            "current_device": lambda: 0,
            "get_device_name": lambda device=0: NAME,
            "get_device_capability": lambda device=0: (9, 0),
            "get_device_properties": lambda device=0: properties,
            "get_rng_state": device.get_state,
            "set_rng_state": device.set_state,
            "manual_seed": device.seed,
            "manual_seed_all": device.seed,
        },
        torch.cuda.random: {"manual_seed": device.seed},
        torch.version: {"cuda": "13.0"},
        torch.backends.cudnn: {"version": lambda: 91300, "is_acceptable": lambda tensor: False},
    }
    with ExitStack() as stack:
        stack.enter_context(patch.dict(os.environ))
        os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
        for module, known in functions.items():
            for name, value in known.items():
                stack.enter_context(patch.object(module, name, value))
        stack.enter_context(_Kernels(device))
        stack.enter_context(_Calls(device))
        yield device
