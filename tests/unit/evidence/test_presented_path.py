"""Which certificates a quote rests on, for lists that revoke one of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from lamslsa.errors import FormatError
from lamslsa.evidence import attester_for, verifier_for
from lamslsa.evidence.collateral import parse as parse_dcap
from lamslsa.evidence.interface import Root
from lamslsa.evidence.snp.collateral import parse as parse_snp
from lamslsa.evidence.snp.collateral import render
from lamslsa.predicates import tee_evidence as types
from lamslsa.testing.simulated import DcapVendor, SimulatedVendor
from lamslsa.testing.simulated_tdx import SimulatedTdxVendor


@pytest.mark.parametrize(
    ("mint", "media_type"),
    [(SimulatedVendor, types.SGX_QUOTE_MEDIA_TYPE), (SimulatedTdxVendor, types.TDX_QUOTE_MEDIA_TYPE)],
)
def test_intel(
    mint: Callable[[dt.datetime], SimulatedVendor | SimulatedTdxVendor], media_type: str, now: dt.datetime
) -> None:
    vendor, verifier = mint(now), verifier_for(media_type)
    quote, collateral = vendor.quote(bytes(64)), vendor.collateral()
    assert isinstance(vendor, DcapVendor)
    assert verifier.presented_path(quote, None) == vendor.chain
    path = verifier.presented_path(quote, collateral)
    assert path[:3] == vendor.chain
    assert len(path) == len(set(path)) == 4
    assert set(path) == {der for chain in parse_dcap(collateral).chains.values() for der in chain} | {vendor.chain[0]}
    for quoted, endorsed in ((b"junk", None), (b"junk", collateral), (quote, b"junk")):
        with pytest.raises(FormatError):
            verifier.presented_path(quoted, endorsed)


def test_amd(tmp_path: Path, now: dt.datetime) -> None:
    evidence = attester_for("simulated-snp", simulated_platform=tmp_path / "platform", now=now).quote(bytes(64))
    verifier = verifier_for(evidence.media_type)
    assert evidence.collateral is not None
    found = parse_snp(evidence.collateral)
    assert found.leaf is not None
    assert verifier.presented_path(evidence.quote, evidence.collateral) == (found.leaf, found.issuer, found.root)
    assert verifier.presented_path(evidence.quote, render(leaf=found.leaf)) == (found.leaf,)
    assert verifier.presented_path(evidence.quote, render(root=b"root")) == (b"root",)
    assert verifier.presented_path(evidence.quote, None) == ()
    for quoted, endorsed in ((b"junk", None), (b"junk", evidence.collateral), (evidence.quote, b"junk")):
        with pytest.raises(FormatError):
            verifier.presented_path(quoted, endorsed)


def test_aws_publishes_no_lists(tmp_path: Path, now: dt.datetime) -> None:
    evidence = attester_for("simulated-nitro", simulated_platform=tmp_path / "platform", now=now).quote(bytes(64))
    verifier = verifier_for(evidence.media_type)
    assert isinstance(verifier.presented_root(evidence.quote, None), Root)
    assert verifier.presented_path(evidence.quote, None) == ()
