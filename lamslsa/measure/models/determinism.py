"""The same bits on every run of one kind of machine.

On a GPU, cuBLAS and cuDNN are held to algorithms that give the same bits, no matrix is rounded to TF32, and torch
refuses a kernel that has no deterministic form. Two variables say so to libraries that read them once, when they start;
they stay set, and where CUDA was started without them nothing is measured.

    CUBLAS_WORKSPACE_CONFIG=:4096:8   https://docs.nvidia.com/cuda/cublas/#results-reproducibility
    NVIDIA_TF32_OVERRIDE=0            https://developer.nvidia.com/blog/accelerating-ai-training-with-tf32-tensor-cores/
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from lamslsa.errors import UnavailableError
from lamslsa.measure.interface import Device

__all__ = ["one_thread"]

_VARIABLES: Final[Mapping[str, str]] = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8", "NVIDIA_TF32_OVERRIDE": "0"}


@contextmanager
def one_thread(*, device: Device = "cpu") -> Iterator[None]:
    """Run torch on one thread and with deterministic algorithms only; both are put back afterwards.

    Two threads give other sums on some runs; one thread gives the same bits in every process on one kind of machine.

    Raises:
        UnavailableError: there is no such device, it has not enough memory, or it fails.
    """
    import torch

    if device == "cuda":
        _start_cuda()
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    cudnn, cublas = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.benchmark, cudnn.allow_tf32, cublas.allow_tf32
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)  # noqa: FBT003 - torch's own signature
    cudnn.benchmark = cudnn.allow_tf32 = cublas.allow_tf32 = False
    try:
        yield
    except torch.OutOfMemoryError as err:
        raise UnavailableError(
            "expected enough memory on the GPU, got too little",
            reason="device-memory",
            hint="a smaller batchSize where the job has one, or --device cpu",
        ) from err
    except torch.AcceleratorError as err:
        raise UnavailableError(
            f"expected a GPU that computes, got {str(err).partition(chr(10))[0]!a:.200}",
            reason="device-failed",
            hint="look whether this torch is built for the GPU and its driver; --device cpu needs neither",
        ) from err
    finally:
        cudnn.benchmark, cudnn.allow_tf32, cublas.allow_tf32 = before
        torch.use_deterministic_algorithms(deterministic)
        torch.set_num_threads(threads)


def _start_cuda() -> None:
    """Return if torch has CUDA, after its libraries were told what they read when they start."""
    import torch

    # a build for AMD calls its devices cuda too, and says no version of it
    if torch.version.cuda is None or not torch.cuda.is_available():
        raise UnavailableError(
            "expected a CUDA device that torch can use, got none",
            reason="device-missing",
            hint="measure with --device cpu, or install torch for CUDA and its driver",
        )
    told = all(os.environ.get(name) == value for name, value in _VARIABLES.items())
    if not told and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        raise UnavailableError(
            "expected CUDA to be started by this measurement, got a process that started it before",
            reason="device-started",
            hint="measure in a process of its own, or set "
            + " and ".join(f"{name}={value}" for name, value in _VARIABLES.items()),
        )
    os.environ.update(_VARIABLES)
