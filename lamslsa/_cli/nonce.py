"""``--nonce`` and ``--beacon``: what the nonce of a run is, for every command that starts one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from lamslsa._cli.inputs import read_capped
from lamslsa.evidence.nonce import MAX_BEACON_BYTES, Nonce

__all__ = ["nonce_options", "read_nonce"]

F = TypeVar("F", bound=Callable[..., Any])


def nonce_options(command: F) -> F:
    """``--nonce`` and ``--beacon``."""
    command = click.option(
        "--beacon",
        type=click.Path(path_type=Path),
        help="Timestamp response or log checkpoint of which the nonce is to be the digest.",
    )(command)
    return click.option("--nonce", metavar="HEX", help="Challenge of the relying party (lamslsa challenge).")(command)


def read_nonce(challenge: str | None, beacon: Path | None) -> Nonce:
    """The nonce that the options ask for; by chance where they ask for none.

    Raises:
        FormatError: a challenge of another size, or a file that is no beacon.
        click.UsageError: both, or a challenge that is not hexadecimal.
    """
    if challenge is not None and beacon is not None:
        raise click.UsageError("expected --nonce or --beacon, got both")
    if beacon is not None:
        from lamslsa.evidence.beacon import refuse_other_than_beacon

        nonce = Nonce.of_beacon(read_capped(beacon, what="beacon", limit=MAX_BEACON_BYTES))
        if nonce.beacon is not None:
            refuse_other_than_beacon(nonce.beacon)
        return nonce
    if challenge is None:
        return Nonce.random()
    try:
        return Nonce.of_challenge(bytes.fromhex(challenge))
    except ValueError as err:
        raise click.UsageError(f"expected --nonce in hexadecimal, got {challenge[:80]!r}") from err
