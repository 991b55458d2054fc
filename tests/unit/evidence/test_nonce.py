"""Nonces: by chance, as a challenge, or of a beacon."""

from __future__ import annotations

import hashlib

import pytest

from lamslsa.errors import FormatError
from lamslsa.evidence.nonce import MAX_BEACON_BYTES, Nonce
from lamslsa.predicates.tee_evidence import BEACON_CHECKPOINT_MEDIA_TYPE, BEACON_TIMESTAMP_MEDIA_TYPE


def test_chance_gives_32_other_bytes_each_time() -> None:
    one, two = Nonce.random(), Nonce.random()
    assert len(one.value) == len(two.value) == 32
    assert one != two
    assert one.beacon is None


@pytest.mark.parametrize("size", [16, 32, 64])
def test_a_challenge_is_taken_as_it_is(size: int) -> None:
    assert Nonce.of_challenge(b"\x07" * size) == Nonce(value=b"\x07" * size)


@pytest.mark.parametrize("size", [0, 15, 65])
def test_a_challenge_of_another_size(size: int) -> None:
    with pytest.raises(FormatError) as caught:
        Nonce.of_challenge(bytes(size))
    assert caught.value.reason == "evidence-nonce"


@pytest.mark.parametrize(
    ("data", "media_type"),
    [(b"\x30\x03\x02\x01\x00", BEACON_TIMESTAMP_MEDIA_TYPE), (b"log.example\n", BEACON_CHECKPOINT_MEDIA_TYPE)],
)
def test_the_nonce_of_a_beacon_is_its_digest(data: bytes, media_type: str) -> None:
    nonce = Nonce.of_beacon(data)
    assert nonce.value == hashlib.sha256(data).digest()
    assert nonce.beacon is not None
    assert (nonce.beacon.media_type, nonce.beacon.data) == (media_type, data)


def test_the_smallest_beacon() -> None:
    assert Nonce.of_beacon(b"x").beacon is not None


def test_the_largest_beacon() -> None:
    assert Nonce.of_beacon(bytes(MAX_BEACON_BYTES)).beacon is not None


@pytest.mark.parametrize("size", [0, MAX_BEACON_BYTES + 1])
def test_a_beacon_of_another_size(size: int) -> None:
    with pytest.raises(FormatError) as caught:
        Nonce.of_beacon(bytes(size))
    assert caught.value.reason == "beacon-size"
