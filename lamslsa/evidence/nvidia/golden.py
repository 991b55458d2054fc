"""Are a GPU's measurements those that its manufacturer published? Compares a verified report with verified manifests.

Rules:
- A manifest is about a chip and one version, of the driver or of the VBIOS; those about others, those of another
  maker and those whose signer's certificate is not valid at the time in question count as not held.
- ``matched`` takes one manifest for the driver and one for the VBIOS, every measurement that they list, and no
  measurement listed by both. One manifest alone is ``not compared`` at best.
- Boards share version numbers, and a manifest does not name its board: where several fit, one pair that matches is
  enough, and otherwise the closest one is told.
- Indices are those of the manifests, from 0: one less than those of the report.
- Measurement 35 is that of a video decoder; it counts unless the report says that the decoder is disabled.

Source: NVIDIA's nvtrust, guest_tools/gpu_verifiers/local_gpu_verifier, on what is compared and how.
"""

from __future__ import annotations

import datetime as dt
import hmac
import itertools
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from lamslsa.errors import VerificationError
from lamslsa.evidence.interface import GoldenValues
from lamslsa.evidence.nvidia import rim
from lamslsa.evidence.nvidia.parse import GpuReport

__all__ = ["compare"]

_NVDEC0: Final = 35
_NOT_HELD: Final = {"evidence-manifest-root", "evidence-certificate-window"}


def compare(
    report: GpuReport, *, chip: str, manifests: Sequence[bytes], roots: Collection[str], at: dt.datetime
) -> tuple[GoldenValues, tuple[int, ...]]:
    """Whether the measurements are the published ones, and the indices of those that are not.

    Args:
        report: authentic.
        chip: as ``GH100``.
        manifests: that the verifier holds; those that are not about this GPU's chip, driver or VBIOS are ignored.
        roots: SHA-256 fingerprints of what a manifest of this chip's maker chains to.
        at: when a manifest's certificates have to be valid; timezone-aware.

    Raises:
        FormatError: not a manifest.
        VerificationError: a manifest that is about this GPU and was altered.
        UnavailableError: the package that verifies manifests is missing.
    """
    parsed = [rim.parse(data) for data in manifests]
    mine = [item for item in parsed if item.content.product == chip]
    of_driver, of_vbios = (
        list(_held((item for item in mine if item.content.version.upper() == version), roots=roots, at=at))
        for version in (report.driver_version, report.vbios_version)
    )
    if not of_driver and not of_vbios:
        return "not compared", ()
    chosen: list[list[rim.Manifest]] = [held for held in (of_driver, of_vbios) if held]
    differing = min((_differing(report, one_of_each) for one_of_each in itertools.product(*chosen)), key=len)
    if differing:
        return "different", differing
    return ("matched" if of_driver and of_vbios else "not compared"), ()


def _held(presented: Iterator[rim.Presented], *, roots: Collection[str], at: dt.datetime) -> Iterator[rim.Manifest]:
    for item in presented:
        try:
            yield rim.verify(item, roots=roots, at=at)
        except VerificationError as err:
            if err.reason not in _NOT_HELD:
                raise


def _differing(report: GpuReport, manifests: Sequence[rim.Manifest | None]) -> tuple[int, ...]:
    listed = [(index, values) for manifest in manifests if manifest for index, values in manifest.measurements.items()]
    indices = [index for index, _ in listed]
    found = {index for index in indices if indices.count(index) > 1}
    for index, values in listed:
        if index == _NVDEC0 and report.nvdec0_disabled:
            continue
        measured = report.measurements.get(index + 1, b"")
        if not any(hmac.compare_digest(measured, value) for value in values):
            found.add(index)
    return tuple(sorted(found))
