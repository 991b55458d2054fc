"""Seeds are derived, not chosen."""

from __future__ import annotations

import hashlib

from lamslsa.measure.seeds import generator, sub_seed
from lamslsa.predicates.evaluation import derive_seed


def test_seed_is_sha256_over_three_raw_digests() -> None:
    parts = [hashlib.sha256(text).digest() for text in (b"model", b"data", b"configuration")]
    seed = derive_seed(model=parts[0].hex(), dataset=parts[1].hex(), configuration=parts[2].hex())
    assert seed == hashlib.sha256(parts[0] + parts[1] + parts[2]).hexdigest()


def test_sub_seed_is_sha256_over_seed_and_name() -> None:
    seed = bytes(range(32))
    assert sub_seed(seed, "f1", ("sex", "race")) == hashlib.sha256(seed + b'["f1",["sex","race"]]').digest()
    assert sub_seed(seed, "f1", ()) != sub_seed(seed, "auroc", ())


def test_generator_repeats() -> None:
    draws = [generator(bytes(32)).integers(0, 1000, size=5).tolist() for _ in range(2)]
    assert draws[0] == draws[1] != generator(bytes(31) + b"\1").integers(0, 1000, size=5).tolist()
