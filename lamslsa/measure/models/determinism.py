"""The same bits on every run of one kind of machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from lamslsa.errors import UnavailableError
from lamslsa.measure.interface import Device

__all__ = ["one_thread"]

_WORKSPACE: Final = "CUBLAS_WORKSPACE_CONFIG"
_FIXED: Final = ":4096:8"  # https://docs.nvidia.com/cuda/cublas/#results-reproducibility


@contextmanager
def one_thread(*, device: Device = "cpu") -> Iterator[None]:
    """Run torch on one thread and with deterministic algorithms only; both are put back afterwards.

    Two threads give other sums on some runs; one thread gives the same bits in every process on one kind of machine.
    On a GPU, cuBLAS and cuDNN are held to algorithms that give the same bits, and no matrix is rounded to TF32.

    Raises:
        UnavailableError: there is no such device.
    """
    import torch

    if device == "cuda":
        if not torch.cuda.is_available():
            raise UnavailableError(
                "expected a CUDA device that torch can use, got none",
                reason="device-missing",
                hint="measure with --device cpu, or install torch for CUDA and its driver",
            )
        os.environ[_WORKSPACE] = _FIXED
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    cudnn, cublas = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.benchmark, cudnn.allow_tf32, cublas.allow_tf32
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)  # noqa: FBT003 - torch's own signature
    cudnn.benchmark = cudnn.allow_tf32 = cublas.allow_tf32 = False
    try:
        yield
    finally:
        cudnn.benchmark, cudnn.allow_tf32, cublas.allow_tf32 = before
        torch.use_deterministic_algorithms(deterministic)
        torch.set_num_threads(threads)
