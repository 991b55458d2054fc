"""The attester inside a Gramine-SGX enclave: ``/dev/attestation``.

What is written to ``user_report_data`` counts when the file is closed, and opening ``quote`` is what has the quoting
enclave sign; the files belong to the whole enclave and are not safe to use from two threads, so one lock covers all of
it, and the quote is parsed to see that it is about what was asked.

Source: Gramine documentation, "Attestation and Secret Provisioning", low-level /dev/attestation interface.
"""

from __future__ import annotations

import threading
from typing import Final

from lamslsa.errors import UnavailableError
from lamslsa.evidence._kernel import (
    Kernel,
    Linux,
    answering,
    read_file,
    refuse_other_report_data,
    require_report_data,
    write_file,
)
from lamslsa.evidence.interface import DeviceEvidence, Evidence
from lamslsa.evidence.sgx.parse import MAX_QUOTE_BYTES, parse
from lamslsa.predicates.tee_evidence import SGX_QUOTE_MEDIA_TYPE

__all__ = ["ATTESTATION_FOLDER", "ATTESTATION_TYPE", "SgxAttester"]

ATTESTATION_FOLDER: Final = "/dev/attestation"
ATTESTATION_TYPE: Final = b"dcap"
_MAX_TYPE_BYTES: Final = 64
_ONE_AT_A_TIME: Final = threading.Lock()
_HINT: Final = "run inside an enclave: gramine-sgx has these files, gramine-direct and a plain process do not"


class SgxAttester:
    """Emits SGX quotes of the enclave that this process is."""

    def __init__(self, kernel: Kernel | None = None) -> None:
        self._kernel = kernel or Linux()

    @property
    def tee(self) -> str:
        """What ``--tee`` calls this attester."""
        return "sgx"

    def device_evidence(self, nonce: bytes) -> tuple[DeviceEvidence, ...]:  # noqa: ARG002 - the interface's signature
        """None: an enclave cannot tell a device of its own from one that the host relays."""
        return ()

    def quote(self, report_data: bytes) -> Evidence:
        """Have the quoting enclave sign exactly 64 bytes of report data.

        1. Gramine was built to attest with DCAP.
        2. The report data is written, and the file closed.
        3. The quote is made as its file is opened, and read.
        4. It carries our report data.

        Raises:
            UnavailableError: not inside such an enclave, no quoting enclave on the host, or a race (evidence-race).
            ValueError: not 64 bytes.
        """
        require_report_data(report_data)
        with _ONE_AT_A_TIME, answering("Gramine", hint=_HINT):
            kind = read_file(self._kernel, f"{ATTESTATION_FOLDER}/attestation_type", limit=_MAX_TYPE_BYTES)
            if kind != ATTESTATION_TYPE:  # (1)
                raise UnavailableError(
                    f"expected an enclave that attests with {ATTESTATION_TYPE!r}, got {kind!r}",
                    reason="tee-attestation-type",
                    hint='build the enclave with sgx.remote_attestation = "dcap" in its manifest',
                )
            write_file(self._kernel, f"{ATTESTATION_FOLDER}/user_report_data", report_data)  # (2)
            quote = read_file(self._kernel, f"{ATTESTATION_FOLDER}/quote", limit=MAX_QUOTE_BYTES)  # (3)
            refuse_other_report_data(parse(quote).report.report_data, report_data, what="the quote")  # (4)
        return Evidence(media_type=SGX_QUOTE_MEDIA_TYPE, quote=quote, collateral=None)
