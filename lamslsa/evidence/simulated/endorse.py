"""Collateral of the simulated platform: what Intel's provisioning service would serve, signed by the platform itself.

Spec: Intel PCS API v4, TCB info version 3 and enclave identity version 2; RFC 5280 for revocation lists.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from lamslsa import _codec
from lamslsa.evidence._pem import render_chain
from lamslsa.evidence.simulated.certificates import Cpu, Key, KeyName, Role, Window, sign
from lamslsa.evidence.simulated.quote import QE_ISV_SVN, QE_MR_SIGNER, QE_PROD_ID
from lamslsa.evidence.simulated.td_quote import TD_QE_PROD_ID, TEE_TCB_SVN

__all__ = ["Endorsement", "Form", "endorse"]

Form = Literal["sgx", "tdx"]

# As Intel's: INIT and the provisioning key, not DEBUG; MODE64BIT and XFRM do not count.
_QE_ATTRIBUTES: Final = "11000000000000000000000000000000"
_QE_ATTRIBUTES_MASK: Final = "FBFFFFFFFFFFFFFF0000000000000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsement:
    """What the collateral says.

    Attributes:
        form: what kind of TEE it is about.
        window: of TCB info, QE identity and revocation lists.
        crl_window: of the revocation lists, where it differs.
        revoked: whose certificates the revocation lists name.
        module_status: of the TDX module.
        tcb_info: members that replace those of the TCB info, before it is signed.
        qe_identity: the same for the QE identity.
    """

    form: Form = "sgx"
    window: Window
    crl_window: Window | None = None
    tcb_status: str = "UpToDate"
    advisories: tuple[str, ...] = ()
    qe_tcb_status: str = "UpToDate"
    module_status: str = "UpToDate"
    evaluation_data_number: int = 17
    revoked: frozenset[Role] = frozenset()
    tcb_info: Mapping[str, Any] = field(default_factory=dict)
    qe_identity: Mapping[str, Any] = field(default_factory=dict)


def endorse(
    keys: Mapping[KeyName, Key], certificates: Mapping[Role, x509.Certificate], cpu: Cpu, terms: Endorsement
) -> bytes:
    """The collateral as JSON bytes."""
    tcb_info = _codec.dumps(_tcb_info(cpu, terms)).decode("utf-8")
    qe_identity = _codec.dumps(_qe_identity(terms)).decode("utf-8")
    signing_chain = _chain(certificates, "tcb-signing", "root")
    window = terms.crl_window or terms.window
    by_pck_ca = [certificates["pck"]] if "pck" in terms.revoked else []
    by_root = [certificates[role] for role in sorted(terms.revoked - {"pck"})]
    return _codec.dumps(
        {
            "pck_crl_issuer_chain": _chain(certificates, "pck-ca", "root"),
            "root_ca_crl": _revocation_list(certificates["root"], keys["root"], window, by_root),
            "pck_crl": _revocation_list(certificates["pck-ca"], keys["pck-ca"], window, by_pck_ca),
            "tcb_info_issuer_chain": signing_chain,
            "tcb_info": tcb_info,
            "tcb_info_signature": sign(keys["tcb-signing"], tcb_info.encode("utf-8")).hex(),
            "qe_identity_issuer_chain": signing_chain,
            "qe_identity": qe_identity,
            "qe_identity_signature": sign(keys["tcb-signing"], qe_identity.encode("utf-8")).hex(),
        }
    )


def _chain(certificates: Mapping[Role, x509.Certificate], *roles: Role) -> str:
    return render_chain([certificates[role].public_bytes(Encoding.DER) for role in roles]).decode("ascii")


def _revocation_list(issuer: x509.Certificate, key: Key, window: Window, revoked: list[x509.Certificate]) -> str:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(window[0])
        .next_update(window[1])
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    for certificate in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number).revocation_date(window[0])
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER).hex()


def _tcb_info(cpu: Cpu, terms: Endorsement) -> dict[str, Any]:
    level: dict[str, Any] = {
        "tcb": {"sgxtcbcomponents": [{"svn": svn} for svn in cpu.cpu_svn], "pcesvn": cpu.pce_svn},
        "tcbDate": _time(terms.window[0]),
        "tcbStatus": terms.tcb_status,
    }
    if terms.form == "tdx":
        level["tcb"]["tdxtcbcomponents"] = [{"svn": svn} for svn in TEE_TCB_SVN]
    if terms.advisories:
        level["advisoryIDs"] = list(terms.advisories)
    return {
        "id": terms.form.upper(),
        "version": 3,
        "issueDate": _time(terms.window[0]),
        "nextUpdate": _time(terms.window[1]),
        "fmspc": cpu.fmspc.hex().upper(),
        "pceId": cpu.pce_id.hex().upper(),
        "tcbType": 0,
        "tcbEvaluationDataNumber": terms.evaluation_data_number,
        **(_tdx_modules(terms) if terms.form == "tdx" else {}),
        "tcbLevels": [level],
        **terms.tcb_info,
    }


def _tdx_modules(terms: Endorsement) -> dict[str, Any]:
    """Who may have signed the TDX module, and how the one version that there is stands."""
    module = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
    level = {
        "tcb": {"isvsvn": TEE_TCB_SVN[0]},
        "tcbDate": _time(terms.window[0]),
        "tcbStatus": terms.module_status,
    }
    return {
        "tdxModule": module,
        "tdxModuleIdentities": [{"id": f"TDX_{TEE_TCB_SVN[1]:02X}", **module, "tcbLevels": [level]}],
    }


def _qe_identity(terms: Endorsement) -> dict[str, Any]:
    tdx = terms.form == "tdx"
    return {
        "id": "TD_QE" if tdx else "QE",
        "version": 2,
        "issueDate": _time(terms.window[0]),
        "nextUpdate": _time(terms.window[1]),
        "tcbEvaluationDataNumber": terms.evaluation_data_number,
        "miscselect": "00000000",
        "miscselectMask": "FFFFFFFF",
        "attributes": _QE_ATTRIBUTES,
        "attributesMask": _QE_ATTRIBUTES_MASK,
        "mrsigner": QE_MR_SIGNER.hex().upper(),
        "isvprodid": TD_QE_PROD_ID if tdx else QE_PROD_ID,
        "tcbLevels": [
            {"tcb": {"isvsvn": QE_ISV_SVN}, "tcbDate": _time(terms.window[0]), "tcbStatus": terms.qe_tcb_status}
        ],
        **terms.qe_identity,
    }


def _time(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
