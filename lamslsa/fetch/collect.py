"""From a request to collateral that is worth writing down, and what is to be said about it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from lamslsa.errors import FormatError, VerificationError
from lamslsa.evidence import verifier_for
from lamslsa.evidence.roots import is_vendor_root
from lamslsa.fetch.interface import AmdPlatform, Collateral, IntelPlatform
from lamslsa.fetch.kds import KeyDistributionService
from lamslsa.fetch.pcs import ProvisioningService
from lamslsa.fetch.quotes import Quote, Request

__all__ = ["Fetched", "collect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Collateral, and how it went with the quotes that it was fetched for.

    Attributes:
        verified: quotes that verify with it now, up to whichever root they present.
        remarks: what a reader should know before relying on it.
    """

    collateral: Collateral
    verified: int
    remarks: tuple[str, ...]


def collect(request: Request, *, pcs: ProvisioningService, kds: KeyDistributionService, now: dt.datetime) -> Fetched:
    """Fetch the collateral of one platform, and try it on the quotes that want it.

    A quote that does not verify is a remark and no error: it may be old, or of an enclave in debug mode, and the
    collateral may be wanted for that very reason.

    Raises:
        FormatError: a server sent something else than what was asked for.
        UnavailableError: a server does not answer.
    """
    match request.platform:
        case IntelPlatform() as platform:
            collateral = pcs.collateral(platform)
        case AmdPlatform() as platform:
            collateral = kds.collateral(platform)
    refusals = [(quote, _refusal(quote, collateral, now)) for quote in request.quotes]
    remarks = [f"{quote.source} does not verify with it: {refusal}" for quote, refusal in refusals if refusal]
    if collateral.expires <= now:
        remarks.append(f"it had to be replaced by {collateral.expires:%Y-%m-%dT%H:%M:%SZ}: the server is behind")
    if not is_vendor_root(collateral.root, of=request.platform.tee):
        remarks.append(f"it hangs from root {collateral.root}, which is no vendor's: simulated")
    platform = request.platform
    if request.quotes and isinstance(platform, AmdPlatform) and platform.key == "vlek" and platform.leaf is None:
        remarks.append("it has no certificate of the VLEK, which comes with the platform: add it with --leaf")
    return Fetched(
        collateral=collateral, verified=sum(refusal is None for _, refusal in refusals), remarks=tuple(remarks)
    )


def _refusal(quote: Quote, collateral: Collateral, now: dt.datetime) -> str | None:
    """Why a quote does not verify with the collateral, up to the root that it presents; None where it does."""
    try:
        verifier = verifier_for(quote.media_type)
        root = verifier.presented_root(quote.data, collateral.data)
        verifier.verify(quote.data, collateral=collateral.data, roots=(root,), at=now)
    except (FormatError, VerificationError) as err:
        return f"{err} ({err.reason})"
    return None
