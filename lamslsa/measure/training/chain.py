"""Checkpoints and losses of a training as a hash chain.

    link 0 = SHA-256( domain 0x0A ‖ JCS of {trainer, configuration, datasets: {role: {digest, schemaDigest}}} )
    link i = SHA-256( domain 0x0A ‖ link i-1 ‖ u64be(step) ‖ SHA-256(checkpoint) ‖ f64be(loss) )
    SHA-256(checkpoint) = SHA-256( SHA-256(weights) ‖ SHA-256(optimiser state) ), both as safetensors

    domain = "https://lamslsa.dev/checkpoint-chain/v1"

``step`` counts the updates of the weights, ``loss`` is the mean over the epoch. Of a private training no loss is
published, since it is a number about the rows without noise; its eight bytes are left out. A training of more than 256
epochs has a checkpoint after every so many, at most 256 of them, and always one after the last: the weights of that one
are the bytes of ``model.safetensors``.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec

from lamslsa import _codec
from lamslsa.errors import FormatError, VerificationError
from lamslsa.predicates._common import HexDigest, WireModel
from lamslsa.predicates.provenance import Byproduct, Provenance

__all__ = ["CHAIN", "Checkpoint", "dump_chain", "every", "first_link", "next_link", "verify_chain"]

CHAIN: Final = "checkpoint-chain"
_DOMAIN: Final = b"https://lamslsa.dev/checkpoint-chain/v1\n"
_MOST: Final = 256
_MAX_BYTES: Final = 1024 * 1024
_WEIGHTS: Final = "model.safetensors"


class Checkpoint(WireModel, frozen=True, kw_only=True):
    """One link, as it stands in the byproduct ``checkpoint-chain``."""

    epoch: Annotated[int, msgspec.Meta(ge=1)]
    step: Annotated[int, msgspec.Meta(ge=0)]
    weights: HexDigest
    optimizer: HexDigest
    link: HexDigest
    loss: float | None = None


def every(epochs: int) -> int:
    """After how many epochs there is a checkpoint.

    >>> every(1), every(256), every(257), every(1000)
    (1, 1, 2, 4)
    """
    return math.ceil(epochs / _MOST)


def first_link(trainer: str, configuration: Mapping[str, Any], datasets: Mapping[str, Mapping[str, str]]) -> bytes:
    """Link 0, which ties the chain to what was asked for and to what was read."""
    document = {"trainer": trainer, "configuration": dict(configuration), "datasets": dict(datasets)}
    return hashlib.sha256(_DOMAIN + _codec.canonical_with_fractions(document)).digest()


def next_link(before: bytes, *, step: int, weights: str, optimizer: str, loss: float | None) -> bytes:
    """Link i from link i - 1."""
    checkpoint = hashlib.sha256(bytes.fromhex(weights) + bytes.fromhex(optimizer)).digest()
    value = b"" if loss is None else struct.pack(">d", loss)
    return hashlib.sha256(_DOMAIN + before + struct.pack(">Q", step) + checkpoint + value).digest()


def dump_chain(chain: Sequence[Checkpoint]) -> Byproduct:
    """The chain as a byproduct."""
    data = _codec.dumps(msgspec.to_builtins(list(chain)))
    return Byproduct(name=CHAIN, content=_codec.encode_base64(data), media_type="application/json")


def verify_chain(provenance: Provenance) -> tuple[Checkpoint, ...]:
    """Compute every link of a training's chain again.

    It shows that losses and checkpoints are those of this training, in this order, and that the last weights are the
    model's; that they came about by training at all is what the evidence vouches for.

    Raises:
        FormatError: there is no chain, or it is not one.
        VerificationError: a link, the epochs or the last weights are others.
    """
    chain = _parse(provenance)
    external = provenance.build_definition.external_parameters
    found = {item.name: item for item in provenance.build_definition.resolved_dependencies}
    datasets = {}
    for role, name in external.datasets.items():
        annotations = found[name].annotations if name in found else None
        schema = None if annotations is None else annotations.schema_digest
        datasets[role] = {
            "digest": found[name].digest.sha256 if name in found else "",
            "schemaDigest": "" if schema is None else schema.sha256,
        }
    link = first_link(str(external.code), external.configuration, datasets)
    before = Position(epoch=0, step=-1)
    for item in chain:
        link = next_link(link, step=item.step, weights=item.weights, optimizer=item.optimizer, loss=item.loss)
        if not hmac.compare_digest(link.hex(), item.link):
            raise VerificationError(
                f"expected link {link.hex()} after epoch {item.epoch}, got {item.link}", reason=CHAIN
            )
        if item.epoch <= before.epoch or item.step < before.step:
            raise VerificationError(f"expected epochs and steps in order, got {item.epoch}", reason=CHAIN)
        before = Position(epoch=item.epoch, step=item.step)
    if before.epoch != external.configuration.get("epochs"):
        raise VerificationError(f"expected a chain to the last epoch, got one to epoch {before.epoch}", reason=CHAIN)
    files = {item.name: item.digest.sha256 for item in provenance.run_details.byproducts if item.digest is not None}
    if files.get(_WEIGHTS) != chain[-1].weights:
        raise VerificationError("expected the last checkpoint's weights to be the model's, got others", reason=CHAIN)
    return chain


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a chain has come to."""

    epoch: int
    step: int


def _parse(provenance: Provenance) -> tuple[Checkpoint, ...]:
    items = [item for item in provenance.run_details.byproducts if item.name == CHAIN]
    if len(items) != 1 or items[0].content is None:
        raise FormatError(f"expected one byproduct {CHAIN}, got {len(items)}", reason="chain-missing")
    data = _codec.decode_base64(items[0].content, what=CHAIN, max_bytes=_MAX_BYTES)
    try:
        chain = msgspec.convert(_codec.loads(data, max_bytes=_MAX_BYTES), tuple[Checkpoint, ...], strict=True)
    except msgspec.ValidationError as err:
        raise FormatError(f"expected a checkpoint chain, got {err}", reason="chain-syntax") from err
    if not chain:
        raise FormatError("expected a checkpoint, got an empty chain", reason="chain-syntax")
    return chain
