# ruff: noqa: INP001 - a script beside the policies, and no package
"""A rehearsal of one of the policies beside this file: keys, a simulated platform, and a chain for each of its cases.

    python policies/rehearse.py hub-model build/hub-model
    lamslsa policy test build/hub-model/policy.yaml

The folder that is made holds the policy, filled in, what it names, and its cases with models and attestations. The
statements are made up, the signatures and quotes are not: what the cases show is what the policy decides, and nothing
about any model. For a policy of your own copy ``policy.yaml.in`` and put in your values.
"""

from __future__ import annotations

import datetime as dt
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from lamslsa import _codec
from lamslsa.evidence import report_data
from lamslsa.evidence._pem import render_chain
from lamslsa.evidence.interface import Measurement
from lamslsa.evidence.nonce import Nonce
from lamslsa.evidence.reference import make_statement
from lamslsa.evidence.run import NamedPayload, Run
from lamslsa.evidence.sgx import parse as sgx
from lamslsa.evidence.simulated.quote import Enclave
from lamslsa.predicates.reference_values import MEASURE_BUILD, MEASURE_VOUCHES, EnclaveBuild
from lamslsa.publish import publish_run
from lamslsa.sign import KeySigner, generate
from lamslsa.store import open_store
from lamslsa.testing.chain import TEST, TRAIN
from lamslsa.testing.simulated import SimulatedVendor

HERE: Final = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from scenes import REHEARSALS, Said, Scene  # noqa: E402 - a script, and what it plays lies beside it

AT: Final = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
EXPIRES: Final = "2027-11-22T00:00:00Z"
RELEASE: Final = "enclave-release"
_ENCLAVE: Final = Enclave(mr_enclave=b"\x11" * 32, mr_signer=b"\x22" * 32)
_OTHER_CODE: Final = Enclave(mr_enclave=b"\x33" * 32, mr_signer=b"\x22" * 32)
_NONCE: Final = Nonce.of_challenge(bytes(32))


class Stage:
    """Keys and a simulated platform in a folder, and what they sign and quote."""

    def __init__(self, folder: Path, *, roles: frozenset[str]) -> None:
        self.folder = folder
        self.vendor, self.stranger = SimulatedVendor(AT), SimulatedVendor(AT)
        self.signers = {role: KeySigner.load(generate(None), None) for role in sorted({*roles, RELEASE})}
        self._published: dict[Said, Path] = {}
        folder.mkdir(parents=True)
        for role, signer in self.signers.items():
            (folder / f"{role}.pub").write_bytes(signer.public_pem)
        (folder / "simulated-root.pem").write_bytes(render_chain([self.vendor.root.der]))
        (folder / "enclave.sigstore.json").write_bytes(self.signers[RELEASE].sign(_reference_values()))

    def fill(self, template: Path, values: Mapping[str, str]) -> None:
        """Write the policy."""
        text = template.read_text(encoding="utf-8")
        usual = {"TRAIN": f"sha256:{TRAIN}", "TEST": f"sha256:{TEST}", "PLATFORM": "rehearsal", "EXPIRES": EXPIRES}
        for name, value in {**usual, **values}.items():
            text = text.replace(f"@{name}@", value)
        (self.folder / "policy.yaml").write_text(text, encoding="utf-8")

    def play(self, scene: Scene, source: Path) -> None:
        """Write one case: its file, the manifest of the model, and the attestations."""
        case = self.folder / "cases" / source.name
        case.mkdir(parents=True)
        shutil.copyfile(source / "case.yaml", case / "case.yaml")
        (case / "model.json").write_bytes(scene.model.canonical)
        for item in scene.said.values():
            shutil.copytree(self._bundles(item), case / "attestations", dirs_exist_ok=True)

    def _bundles(self, item: Said) -> Path:
        """The folder with the bundles of a statement, made once."""
        if item not in self._published:
            place = self.folder / "bundles" / str(len(self._published))
            store, signer = open_store(str(place)), self.signers[item.role]
            if item.quoted == "nobody":
                store.put(signer.sign(item.payload), name="01-statement")
            else:
                publish_run(self._run(item), signer=signer, store=store)
            self._published[item] = place
        return self._published[item]

    def _run(self, item: Said) -> Run:
        data = report_data(_NONCE.value, device_evidence=[], statements=[_codec.sha256_hex(item.payload)])
        vendor = self.stranger if item.quoted == "other platform" else self.vendor
        enclave = _OTHER_CODE if item.quoted == "other code" else _ENCLAVE
        return Run(
            statements=(NamedPayload(name="01-statement", payload=item.payload),),
            nonce=_NONCE,
            evidence=vendor.evidence(data, enclave=enclave),
            quoted_at=f"{AT:%Y-%m-%dT%H:%M:%SZ}",
        )


def _reference_values() -> bytes:
    report = sgx.parse_report(_ENCLAVE.report(cpu_svn=bytes(16), report_data=bytes(64)))
    return make_statement(
        Measurement(tee="sgx", parts=report.measurement),
        release="0.1.0",
        build=EnclaveBuild(name=MEASURE_BUILD),
        vouches_for=MEASURE_VOUCHES,
        minimum_svns={},
    )


def rehearse(name: str, folder: Path) -> None:
    """Write the rehearsal of a policy into a new folder."""
    rehearsal = REHEARSALS[name]()
    known = sorted(path.parent for path in (HERE / name / "cases").glob("*/case.yaml"))
    if [path.name for path in known] != sorted(rehearsal.cases):
        raise ValueError(f"expected the cases {sorted(rehearsal.cases)} in {HERE / name}, got others")
    roles = {item.role for item in rehearsal.scene.said.values()} | {"auditor", "data-owner", "trainer"}
    stage = Stage(folder, roles=frozenset(roles))
    stage.fill(HERE / name / "policy.yaml.in", rehearsal.values)
    for source in known:
        stage.play(rehearsal.cases[source.name](rehearsal.scene), source)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in REHEARSALS:
        sys.exit(f"usage: python policies/rehearse.py {{{','.join(REHEARSALS)}}} FOLDER")
    rehearse(sys.argv[1], Path(sys.argv[2]))
