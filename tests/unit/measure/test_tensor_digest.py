"""The digest of tensors in memory is that of the file that they would be."""

from __future__ import annotations

import hashlib

import pytest
import torch

from lamslsa.measure.training.state import TensorDigest, dump_tensors, optimizer_tensors


def tensors(seed: int) -> dict[str, torch.Tensor]:
    drawn = torch.Generator().manual_seed(seed)
    return {
        "z.weight": torch.rand(3, 5, generator=drawn),
        "a.step": torch.tensor(float(seed)),
        "ü.empty": torch.zeros(0, 4),
        "b.count": torch.tensor([seed], dtype=torch.int64),
        "c.half": torch.rand(7, generator=drawn).to(torch.bfloat16),
        "d.bits": torch.rand(9, generator=drawn) > 0.5,
    }


def expected(found: dict[str, torch.Tensor]) -> str:
    return hashlib.sha256(dump_tensors(found)).hexdigest()


def test_it_is_the_digest_of_the_file_each_time() -> None:
    digest = TensorDigest()
    assert [digest(tensors(seed)) for seed in range(4)] == [expected(tensors(seed)) for seed in range(4)]


@pytest.mark.parametrize("name", [name for name, tensor in tensors(0).items() if tensor.numel()])
def test_every_tensor_counts(name: str) -> None:
    digest = TensorDigest()
    before = digest(tensors(2))
    assert digest(tensors(2) | {name: torch.ones_like(tensors(2)[name])}) != before


@pytest.mark.parametrize(
    "other",
    [
        {"z.weight": torch.zeros(5, 3)},
        {"z.weight": torch.zeros(3, 5, dtype=torch.float64)},
        {"y.weight": torch.zeros(3, 5)},
        {},
    ],
)
def test_another_layout_is_another_file(other: dict[str, torch.Tensor]) -> None:
    digest = TensorDigest()
    digest({"z.weight": torch.zeros(3, 5)})
    assert digest(other) == expected(other)


def test_what_an_optimiser_holds_is_hashed_as_it_is_now() -> None:
    layer = torch.nn.Linear(4, 2)
    optimizer = torch.optim.Adam(layer.parameters())
    digest = TensorDigest()
    seen = set()
    for _ in range(3):
        optimizer.zero_grad()
        layer(torch.ones(1, 4)).sum().backward()
        optimizer.step()
        now = optimizer_tensors(optimizer)
        assert digest(now) == expected(now)
        seen.add(digest(now))
    assert len(seen) == 3
