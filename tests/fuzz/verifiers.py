"""Whole verifiers, under mutated evidence: what they take says what its signers said, to the last field.

The mutations know nothing of the keys. So whatever a verifier takes has to equal one of the originals; a claim, a
standing or a measurement that differs is one that nobody signed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import lru_cache

from lamslsa.evidence import verifier_for
from lamslsa.evidence.interface import Claims, DeviceClaims, Root, Standing
from lamslsa.evidence.roots import root_of
from tests.fuzz import seeds
from tests.fuzz.mutate import split
from tests.fuzz.parsers import attempt, require
from tests.fuzz.seeds import NONCE, NOW

__all__ = ["Pair", "QuoteTarget", "verify_event_log", "verify_gpu", "verify_gpu_manifest"]

Pair = tuple[bytes, bytes | None]


class QuoteTarget:
    """The verifier of one format, as a function of a quote, and of its collateral where it needs some.

    Args:
        media_type: the format.
        originals: quotes with their collateral.
        other_collateral: under which the platforms may stand otherwise.
    """

    def __init__(
        self,
        media_type: str,
        originals: Callable[[], Sequence[Pair]],
        other_collateral: Callable[[], Sequence[bytes]] = tuple,
    ) -> None:
        self._verifier = verifier_for(media_type)
        self._originals = originals
        self._other_collateral = other_collateral
        self._expected: tuple[list[Root], list[Claims], list[Standing]] | None = None

    def __call__(self, data: bytes) -> object:
        """The claims.

        Raises:
            LamslsaError: not authentic.
        """
        quote, collateral = data, None
        if self._verifier.collateral_media_type is not None:
            quote, collateral = split(data, 2)
            self._verifier.concerns(quote, collateral)
        roots, claims, standings = self._expect()
        stands = attempt(self._verifier.standing, quote, collateral=collateral, roots=roots, now=NOW)
        require(stands is None or stands in standings, f"a standing that nobody signed: {stands}")
        presented = attempt(self._verifier.presented_root, quote, collateral)
        if presented is not None and presented not in roots:  # whichever the root, the claims are signed
            other = attempt(self._verifier.verify, quote, collateral=collateral, roots=[presented], at=NOW)
            known = [dataclasses.replace(item, root=presented.sha256) for item in claims]
            require(other is None or other in known, f"claims that nobody signed: {other}")
        reported = attempt(self._verifier.presented_report_data, quote)
        found = self._verifier.verify(quote, collateral=collateral, roots=roots, at=NOW)
        require(found in claims, f"claims that nobody signed: {found}")
        require(reported == found.report_data, "other report data than the claims say")
        return found

    def _expect(self) -> tuple[list[Root], list[Claims], list[Standing]]:
        """What is taken of the originals."""
        if self._expected is None:
            verifier, pairs = self._verifier, self._originals()
            roots = [verifier.presented_root(*pair) for pair in pairs]
            claims = [verifier.verify(quote, collateral=item, roots=roots, at=NOW) for quote, item in pairs]
            every = [*self._other_collateral(), *(item for _, item in pairs)]
            standings = [
                attempt(verifier.standing, quote, collateral=item, roots=roots, now=NOW)
                for quote, _ in pairs
                for item in every
            ]
            self._expected = roots, claims, [item for item in standings if item is not None]
        return self._expected


def verify_event_log(data: bytes) -> object:
    """What the registers were extended with, in the order of each, is what the original says."""
    from lamslsa.evidence.tdx.ccel import Event, verify_event_log
    from lamslsa.evidence.tdx.verify import TdxClaims, TdxVerifier

    @lru_cache(maxsize=1)
    def claims() -> TdxClaims:
        _, _, collateral, _, quote = seeds.tdx()
        roots = [TdxVerifier().presented_root(quote, collateral)]
        return TdxVerifier().verify(quote, collateral=collateral, roots=roots, at=NOW)

    def extended(events: Sequence[Event]) -> list[list[bytes]]:
        return [[item.digest for item in events if item.extends and item.register == number] for number in range(5)]

    found = verify_event_log(data, claims())
    known = verify_event_log(seeds.tdx()[3], claims())
    require(extended(found) == extended(known), "events that no register was extended with")
    return found


def verify_gpu(data: bytes) -> object:
    """A GPU's report, held against both manifests."""
    found = _verify_gpu(data)
    require(found == _gpu(), f"claims that nobody signed: {found}")
    return found


def _verify_gpu(data: bytes) -> DeviceClaims:
    from lamslsa.evidence.nvidia.verify import NvidiaVerifier

    report, *manifests, _ = seeds.gpu()
    root = NvidiaVerifier().presented_root(report)
    return NvidiaVerifier().verify(data, nonce=NONCE, roots=[root], manifests=manifests, at=NOW)


@lru_cache(maxsize=1)
def _gpu() -> DeviceClaims:
    return _verify_gpu(seeds.gpu()[0])


def verify_gpu_manifest(data: bytes) -> object:
    """A manifest up to the simulated maker's root."""
    from lamslsa.evidence.nvidia import parse, rim

    report, *originals = seeds.gpu()
    roots = [root_of(parse.parse(report).root).sha256]
    found = rim.verify(rim.parse(data), roots=roots, at=NOW)
    known = [rim.verify(rim.parse(item), roots=roots, at=NOW) for item in originals]
    require(found in known, f"a manifest that nobody signed: {found}")
    return found
