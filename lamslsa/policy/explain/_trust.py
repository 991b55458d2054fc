"""Who may sign, and which platforms count, in words."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Final

from lamslsa.evidence.appraise import AcceptedCode, GpuTerms, PlatformTerms
from lamslsa.policy.explain.words import Item, count, digest, either, listed, time
from lamslsa.policy.identities import Credential, Identity
from lamslsa.policy.model import Policy
from lamslsa.sign import KeyVerifier

__all__ = ["identities", "platforms"]

_TEES: Final = {"sgx": "Intel SGX", "tdx": "Intel TDX", "snp": "AMD SEV-SNP", "nitro": "AWS Nitro Enclaves"}


def identities(policy: Policy) -> Iterator[Item]:
    """Every identity, and by what its signatures are known."""
    for name, identity in policy.identities.items():
        ways = [_credential(credential) for credential in identity.credentials]
        asked = [
            words
            for words, given in (
                ("with a timestamp (RFC 3161)", identity.require_timestamp),
                ("in a transparency log", identity.require_log),
            )
            if given
        ]
        only = f" Only signatures {listed(asked)} count." if asked else ""
        yield Item(key=f"identity {name}", text=f"{name}: {either(ways)}.{only}", exact=_exact(identity))


def _credential(credential: Credential) -> str:
    times = [
        *([] if credential.valid_from is None else [f"from {time(credential.valid_from)} on"]),
        *([] if credential.valid_until is None else [f"until {time(credential.valid_until)}"]),
        *([] if credential.revoked_at is None else [f"revoked at {time(credential.revoked_at)}"]),
    ]
    return f"{_signer(credential)}{', ' if times else ''}{', '.join(times)}"


def _signer(credential: Credential) -> str:
    from lamslsa.sign.keyless import KeylessVerifier

    verifier = credential.verifier
    if isinstance(verifier, KeyVerifier):
        return f"the public key {digest(base64.b64decode(verifier.key_id).hex())}"
    if not isinstance(verifier, KeylessVerifier):
        return "another kind of credential"
    terms = verifier.terms
    said = [
        *([] if terms.identity is None else [f"the subject {terms.identity}"]),
        *([] if terms.identity_regex is None else [f"a subject like /{terms.identity_regex}/"]),
        *([] if terms.workflow is None else [f"the workflow {terms.workflow}"]),
        *([] if terms.repository is None else [f"the repository {terms.repository}"]),
        *([] if terms.repository_id is None else [f"the repository number {terms.repository_id}"]),
        *([] if terms.owner_id is None else [f"the owner number {terms.owner_id}"]),
        *([] if terms.ref is None else [f"the ref {terms.ref}"]),
        *([] if terms.runner_environment is None else [f"the runner {terms.runner_environment}"]),
    ]
    return f"certificates of Sigstore with {listed(said)}, for which {terms.issuer} vouched"


def _known_by(credential: Credential) -> object:
    """The key or the terms; roots of trust are files, which are compared as such."""
    from lamslsa.sign.keyless import KeylessVerifier

    verifier = credential.verifier
    if isinstance(verifier, KeylessVerifier):
        return verifier.terms
    return verifier.key_id if isinstance(verifier, KeyVerifier) else verifier


def _exact(identity: Identity) -> object:
    return (
        identity.require_timestamp,
        identity.require_log,
        tuple(
            (
                _known_by(item),
                (item.valid_from, item.valid_until, item.revoked_at),
            )
            for item in identity.credentials
        ),
    )


def platforms(policy: Policy) -> Iterator[Item]:
    """Every platform: what it is, how patched, with which code and devices."""
    for name, terms in policy.platforms.items():
        yield Item(key=f"platform {name}", text=f"{name}: {' '.join(_platform(terms))}", exact=terms)
    if policy.beacons:
        text = f"{count(len(policy.beacons), 'source')} of beacons can say since when evidence exists."
        yield Item(key="beacons", text=text, exact=len(policy.beacons))


def _platform(terms: PlatformTerms) -> Iterator[str]:
    if terms.unsafe_no_evidence:
        yield "UNSAFE: no TEE. No quote is asked for, and none is looked at: the signature alone counts."
        return
    kinds = either(_TEES.get(tee, tee) for tee in sorted(terms.tee))
    if terms.simulated:
        yield f"a SIMULATION of {kinds} under {_roots(len(terms.roots))}, which proves nothing about hardware."
    else:
        yield f"{kinds} hardware."
    yield _code(terms)
    yield from _patched(terms)
    if terms.snp_keys is not None:
        yield f"Its reports are signed by {either(sorted(terms.snp_keys))} keys."
    if terms.platform_ids is not None:
        yield f"Only the platforms {either(sorted(terms.platform_ids))} count."
    denied = (*terms.denied.platform_ids, *terms.denied.measurements, *terms.denied.device_ids)
    if denied:
        yield f"Never {either(sorted(denied))}."
    if terms.gpu is not None:
        yield _gpu(terms.gpu)
    if terms.unsafe_as_of_only:
        yield "UNSAFE: nobody asks how it stands now, so that one that has been revoked still counts."


def _patched(terms: PlatformTerms) -> Iterator[str]:
    """How well it has to be patched."""
    if terms.tcb and terms.tee & {"sgx", "tdx"}:
        yield f"Intel rates it {either(sorted(terms.tcb))}."
    if terms.advisories.deny:
        yield f"None of {listed(sorted(terms.advisories.deny))} holds for it."
    if terms.advisories.accept is not None:
        accepted = [f"{name} until {time(until)}" for name, until in sorted(terms.advisories.accept.items())]
        yield f"Advisories may hold for it: {listed(accepted) if accepted else 'none'}."
    if terms.minimum_tcb_evaluation_data_number is not None:
        yield f"It is judged by evaluation number {terms.minimum_tcb_evaluation_data_number} of Intel's data or later."
    for what, least in (*sorted(terms.minimum_svns.items()), *sorted(terms.snp_minimum_svns.items())):
        versions = listed(f"{key} {value}" for key, value in sorted(least.items()))
        yield f"Security versions of {what}: at least {versions}."


def _code(terms: PlatformTerms) -> str:
    if terms.unsafe_any_measurement:
        return "UNSAFE: it may run any code."
    return f"It runs {either(dict.fromkeys(map(_accepted, terms.code)))}."


def _accepted(code: AcceptedCode) -> str:
    measured = f"the code {code.measurement[:12]}…"
    if code.release is None or code.vouches is None:
        return f"{measured}, which may vouch for everything"
    vouches = code.vouches
    named = [item.removeprefix("https://") for item in sorted(vouches.predicate_types)]
    named += [item.removeprefix("https://") for item in sorted(vouches.build_types)]
    named += sorted(vouches.measurers)
    named += [digest(item) for item in sorted(vouches.own_code)]
    least = listed(f"{key} {value}" for key, value in sorted(code.minimum_svns.items())) if code.minimum_svns else ""
    above = f" with at least {least}" if least else ""
    return f"{measured} of release {code.release}{above}, which may vouch for {listed(named)}"


def _gpu(terms: GpuTerms) -> str:
    measured = "compared with nothing (UNSAFE)" if terms.unsafe_not_compared else "those that NVIDIA published"
    limits = [
        f"{what} {either(sorted(values))}"
        for what, values in (("driver", terms.drivers), ("VBIOS", terms.vbios), ("device", terms.device_ids))
        if values is not None
    ]
    only = f", {listed(limits)}" if limits else ""
    plural = "" if terms.minimum == 1 else "s"
    kinds = either(sorted(terms.architectures))
    return f"It has at least {terms.minimum} NVIDIA GPU{plural} of {kinds}{only}, with measurements {measured}."


def _roots(number: int) -> str:
    return f"{number} pinned root{'' if number == 1 else 's'}"
