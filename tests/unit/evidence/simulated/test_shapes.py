"""Certificates and reports of simulated vendors to their last bit: as those of the real ones, but for the names."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import dcap_qvl
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from lamslsa._der import element, integer, object_identifier, octets, sequence
from lamslsa.errors import FormatError
from lamslsa.evidence import collateral
from lamslsa.evidence._pem import parse_chain, render_chain
from lamslsa.evidence.nitro.parse import parse as parse_document
from lamslsa.evidence.simulated import _folder, certificates, gpu_report, nitro_document, quote, snp_report
from lamslsa.evidence.simulated.attester import SimulatedAttester
from lamslsa.evidence.simulated.der import sgx_extension
from lamslsa.evidence.simulated.gpu import SimulatedGpu
from lamslsa.evidence.simulated.nitro import SimulatedNitroPlatform, package_pcrs
from lamslsa.evidence.simulated.open import platform_folder
from lamslsa.evidence.simulated.platform import SimulatedPlatform
from lamslsa.evidence.simulated.snp import SimulatedSnpPlatform
from lamslsa.evidence.simulated.snp_report import SnpChip, SnpGuest
from lamslsa.evidence.simulated.td_quote import TEE_TCB_SVN
from lamslsa.evidence.snp.certificates import CSP_ID, HARDWARE_ID
from lamslsa.evidence.snp.collateral import parse as parse_snp
from lamslsa.evidence.snp.parse import SigningKey
from lamslsa.testing.simulated import SimulatedVendor
from lamslsa.testing.simulated_tdx import SimulatedTdxVendor

DAY = dt.timedelta(days=1)
NOW = dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)
WINDOW = (NOW - DAY, NOW + DAY)
FLAGS = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)


def shape(certificate: x509.Certificate) -> tuple[object, ...]:
    """What an issuer and a leaf may do, and which extensions are critical."""
    constraints = usage = None
    critical = set()
    for extension in certificate.extensions:
        if extension.critical:
            critical.add(extension.oid._name)
        if isinstance(extension.value, x509.BasicConstraints):
            constraints = (extension.value.ca, extension.value.path_length)
        if isinstance(extension.value, x509.KeyUsage):
            usage = {name for name in FLAGS if getattr(extension.value, name)}
    return constraints, usage, critical


BOTH = {"basicConstraints", "keyUsage"}


def test_intel() -> None:
    keys = certificates.generate_keys()
    made = certificates.certify(keys, cpu=certificates.Cpu(), windows=dict.fromkeys(certificates.ROLES, WINDOW))
    authority, leaf = {"key_cert_sign", "crl_sign"}, {"digital_signature", "content_commitment"}
    assert {role: shape(item) for role, item in made.items()} == {
        "root": ((True, 1), authority, BOTH),
        "pck-ca": ((True, 0), authority, BOTH),
        "tcb-signing": ((False, None), leaf, BOTH),
        "pck": ((False, None), leaf, BOTH),
    }
    issuers: dict[certificates.Role, certificates.Role] = {
        "root": "root",
        "pck-ca": "root",
        "tcb-signing": "root",
        "pck": "pck-ca",
    }
    for role, issuer in issuers.items():
        find, signer, own = made[role].extensions.get_extension_for_class, keys[issuer], keys[role]
        assert find(x509.AuthorityKeyIdentifier).value == x509.AuthorityKeyIdentifier.from_issuer_public_key(
            signer.public_key()
        )
        assert find(x509.SubjectKeyIdentifier).value == x509.SubjectKeyIdentifier.from_public_key(own.public_key())


def test_amd() -> None:
    keys, chip = snp_report.generate_keys(), snp_report.SnpChip()
    made = snp_report.certify(
        keys,
        names=snp_report.certificate_names(chip),
        extensions=snp_report.leaf_extensions(chip),
        windows=dict.fromkeys(snp_report.ROLES, WINDOW),
    )
    authority = {"key_cert_sign", "crl_sign"}
    assert {role: shape(item) for role, item in made.items()} == {
        "root": ((True, None), authority, BOTH),
        "issuer": ((True, 0), authority, BOTH),
        "leaf": (None, None, set()),
    }


def test_aws() -> None:
    keys = nitro_document.generate_keys()
    made = {role: nitro_document.certify(role, keys, window=WINDOW) for role in nitro_document.ROLES}
    assert {role: shape(item) for role, item in made.items()} == {
        "root": ((True, None), {"key_cert_sign"}, BOTH),
        "instance": ((True, 0), {"key_cert_sign"}, BOTH),
        "leaf": ((False, None), {"digital_signature"}, BOTH),
    }


@pytest.mark.parametrize("chip", ["GH100", "GB100"])
def test_nvidia(chip: str) -> None:
    gpu, keys = gpu_report.Gpu(chip=chip), {role: gpu_report.generate_key() for role in gpu_report.CHAIN}
    device = keys["device"].public_key()
    dice = gpu_report.dice_extension(gpu, device)
    made = gpu_report.certify(keys, chip=chip, dice=dice, windows=dict.fromkeys(gpu_report.CHAIN, WINDOW))
    assert {role: shape(item) for role, item in made.items()} == {
        "report": (None, {"digital_signature"}, {"keyUsage"}),
        **dict.fromkeys(("device", "provisioner", "identity", "root"), ((True, None), {"key_cert_sign"}, BOTH)),
    }
    sha384 = object_identifier("2.16.840.1.101.3.4.2.2")
    firmware = sequence(sha384, octets(gpu.fwid))
    key = device.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    layers = element(0xA6, firmware + sequence(sha384, octets(bytes(48))))
    assert (
        dice.value
        == {
            "GH100": sequence(integer(1), key, firmware),
            "GB100": sequence(element(0x80, b"SIMULATED"), element(0x83, b"\1"), layers),
        }[chip]
    )


# --- reports ----------------------------------------------------------------------------------------------------------


def test_the_messages_of_a_gpu() -> None:
    gpu = gpu_report.Gpu()
    assert len(gpu.measurements) == len(set(gpu.measurements)) == 64
    data = gpu_report.messages(gpu, b"n" * 32, salt=b"s" * 32)
    assert data[:37] == b"\x11\xe0\x01\xff" + b"n" * 32 + b"\0"
    assert data[37:42] == b"\x11\x60\0\0\x40"
    assert data[42:45] == (64 * 55).to_bytes(3, "little")
    for index, value in enumerate(gpu.measurements):
        at = 45 + 55 * index
        assert data[at : at + 55] == bytes((index + 1, 1, 51, 0, 1, 48, 0)) + value
    rest = data[45 + 64 * 55 :]
    assert rest[:32] == b"s" * 32
    assert int.from_bytes(rest[32:34], "little") == len(rest) - 34


def test_the_gpus_of_a_machine_share_their_authorities(tmp_path: Path) -> None:
    folder = tmp_path / "gpus"
    gpus = SimulatedGpu.open_or_create(folder, now=NOW)
    assert (len(gpus), len(gpus.collect(bytes(32)))) == (1, 1)
    assert len(SimulatedGpu.create(tmp_path / "many", now=NOW, count=16)) == 16
    chains = [parse_chain((tmp_path / "many" / f"gpu-{n}.pem").read_bytes(), what="a test") for n in range(16)]
    assert len({chain[2:] for chain in chains}) == 1
    assert len({chain[0] for chain in chains}) == len({chain[1] for chain in chains}) == 16
    for count in (0, 17):
        with pytest.raises(ValueError, match=f"expected 1 to 16 GPUs, got {count}"):
            SimulatedGpu.create(tmp_path / "none", now=NOW, count=count)


def test_what_is_wrong_with_a_folder_of_gpus(tmp_path: Path) -> None:
    folder, other = tmp_path / "gpus", tmp_path / "other"
    SimulatedGpu.create(folder, now=NOW)
    SimulatedGpu.create(other, now=NOW)

    def refused(name: str, data: bytes, said: str) -> None:
        kept = (folder / name).read_bytes()
        (folder / name).write_bytes(data)
        with pytest.raises(FormatError, match=said) as caught:
            SimulatedGpu.open(folder)
        assert caught.value.reason == "simulated-platform"
        (folder / name).write_bytes(kept)

    refused("gpu-0.pem", (other / "gpu-0.pem").read_bytes(), r"expected a chain from gpu-0 to root\.pem, got another")
    chain = parse_chain((folder / "gpu-0.pem").read_bytes(), what="a test")
    refused("gpu-0.pem", render_chain(chain[1:]), "expected a chain from gpu-0")
    SimulatedPlatform.create(tmp_path / "sgx", now=NOW)
    refused("gpu-0.key", (tmp_path / "sgx" / "pck.key").read_bytes(), "expected a P-384 private key")
    (folder / "gpu-0.pem").unlink()
    with pytest.raises(FormatError, match=r"expected simulated GPUs in .*, got none") as caught:
        SimulatedGpu.open(folder)
    assert caught.value.reason == "simulated-platform"


def test_a_document_names_its_enclave_and_its_time(tmp_path: Path) -> None:
    platform = SimulatedNitroPlatform.create(tmp_path / "nitro", now=NOW)
    document = parse_document(platform.document(package_pcrs(), b"x", now=NOW))
    assert re.fullmatch(r"i-simulated-enc[0-9a-f]{16}", document.module_id)
    leaf = x509.load_der_x509_certificate(document.chain[0])
    assert leaf.not_valid_after_utc == NOW + nitro_document.LEAF_LIFE
    assert leaf.not_valid_before_utc < NOW


# --- endorsements -----------------------------------------------------------------------------------------------------


def test_the_ppid_of_an_installation_has_its_size(tmp_path: Path) -> None:
    SimulatedPlatform.create(tmp_path / "platform", now=NOW)
    read = dcap_qvl.parse_pck_extension_from_pem((tmp_path / "platform" / "pck.pem").read_bytes())
    assert len(bytes(read.ppid)) == 16
    assert any(bytes(read.ppid))


@pytest.mark.parametrize(("after", "renewed"), [(dt.timedelta(), False), (dt.timedelta(seconds=1), True)])
def test_endorsements_are_renewed_from_a_moment_on(tmp_path: Path, after: dt.timedelta, *, renewed: bool) -> None:
    platform = SimulatedPlatform.create(tmp_path / "platform", now=NOW)
    parsed = collateral.parse(platform.collateral)
    for moment in (parsed.issued - after, parsed.expires - 20 * DAY + after):
        opened = SimulatedPlatform.open(tmp_path / "platform", now=moment)
        assert (opened.collateral != platform.collateral) is renewed
        (tmp_path / "platform" / "collateral.json").write_bytes(platform.collateral)


MODULE = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
ISSUED, EXPIRES = "2026-11-21T06:00:00Z", "2026-12-21T06:00:00Z"


@pytest.mark.parametrize("form", ["SGX", "TDX"])
def test_the_documents_of_intel(form: str) -> None:
    """To the letter: hexadecimal in capitals, dates as of the issue, and nothing of TDX in those of SGX."""
    vendor = SimulatedVendor(NOW) if form == "SGX" else SimulatedTdxVendor(NOW)
    document = json.loads(vendor.collateral())
    tcb: dict[str, Any] = {"sgxtcbcomponents": [{"svn": svn} for svn in certificates.Cpu().cpu_svn], "pcesvn": 13}
    more: dict[str, Any] = {}
    if form == "TDX":
        tcb["tdxtcbcomponents"] = [{"svn": svn} for svn in TEE_TCB_SVN]
        level = {"tcb": {"isvsvn": TEE_TCB_SVN[0]}, "tcbDate": ISSUED, "tcbStatus": "UpToDate"}
        more = {
            "tdxModule": MODULE,
            "tdxModuleIdentities": [{"id": f"TDX_{TEE_TCB_SVN[1]:02X}", **MODULE, "tcbLevels": [level]}],
        }
    dates = {"issueDate": ISSUED, "nextUpdate": EXPIRES, "tcbEvaluationDataNumber": 17}
    assert json.loads(document["tcb_info"]) == {
        "id": form,
        "version": 3,
        **dates,
        "fmspc": "53494D000000",
        "pceId": "0000",
        "tcbType": 0,
        **more,
        "tcbLevels": [{"tcb": tcb, "tcbDate": ISSUED, "tcbStatus": "UpToDate"}],
    }
    identity = json.loads(document["qe_identity"])
    assert {name: identity[name] for name in dates} == dates
    assert re.fullmatch(r"[0-9A-F]{64}", identity["mrsigner"])
    assert identity["mrsigner"] == quote.QE_MR_SIGNER.hex().upper()
    assert [level["tcbDate"] for level in identity["tcbLevels"]] == [ISSUED]


def test_the_lists_of_intel() -> None:
    document = json.loads(SimulatedVendor(NOW).collateral(revoked=["pck", "pck-ca"]))
    for key in ("root_ca_crl", "pck_crl"):
        found = x509.load_der_x509_crl(bytes.fromhex(document[key]))
        assert [extension.critical for extension in found.extensions] == [False, False]
        assert found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 1
        (entry,) = found
        assert entry.revocation_date_utc == found.last_update_utc == NOW - DAY


def test_the_extension_of_a_pck_certificate() -> None:
    made = sgx_extension(ppid=bytes(16), cpu_svn=bytes(range(16)), pce_svn=13, pce_id=bytes(2), fmspc=bytes(6))
    for number in range(16):
        pair = sequence(object_identifier(f"1.2.840.113741.1.13.1.2.{number + 1}"), integer(number))
        assert made.count(pair) == 1


def test_a_report_of_the_quoting_enclave_ends_in_zeros() -> None:
    data = SimulatedVendor(NOW).quote(bytes(64))
    report = data[436 + 128 :][:384]
    assert any(report[320:352])
    assert report[352:] == bytes(32)


def test_another_kind_of_key(tmp_path: Path) -> None:
    platform = SimulatedPlatform.create(tmp_path / "platform", now=NOW)
    pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    (tmp_path / "platform" / "attestation.key").write_bytes(pem)
    with pytest.raises(FormatError, match="expected an EC private key") as caught:
        SimulatedAttester(platform)
    assert caught.value.reason == "simulated-platform"


# --- platforms of AMD -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chip", "extension"),
    [
        (SnpChip(chip_id=b"c" * 70), (HARDWARE_ID, b"c" * 64)),
        (SnpChip(product="Turin", chip_id=b"c" * 64), (HARDWARE_ID, b"c" * 8)),
        (SnpChip(signing_key="vlek", csp_id="CN=cloud"), (CSP_ID, element(0x16, b"CN=cloud"))),
    ],
)
def test_whom_a_leaf_of_amd_names(chip: SnpChip, extension: tuple[str, bytes]) -> None:
    made = snp_report.leaf_extensions(chip)
    assert {arc: value for arc, value in made.items() if arc in {HARDWARE_ID, CSP_ID}} == dict([extension])


@pytest.mark.parametrize(
    ("signing_key", "author", "key_info"), [("vcek", 0, 0), ("vcek", 1, 1), ("vlek", 0, 4), ("vlek", 1, 5)]
)
def test_what_a_report_of_amd_says_of_its_keys(signing_key: SigningKey, author: int, key_info: int) -> None:
    guest = SnpGuest(measurement=b"m" * 48, author_key_digest=bytes(47) + bytes([author]))
    body = snp_report.report_body(SnpChip(signing_key=signing_key), guest, b"d" * 64)
    assert body[0x40:0x48] == (1).to_bytes(8, "little")
    assert body[0x48:0x4C] == key_info.to_bytes(4, "little")
    assert body[0x140:0x160] == bytes(32)
    assert body[0x160:0x180] == b"\xff" * 32


@pytest.mark.parametrize(("after", "renewed"), [(dt.timedelta(), False), (dt.timedelta(seconds=1), True)])
def test_a_list_is_renewed_from_a_moment_on(tmp_path: Path, after: dt.timedelta, *, renewed: bool) -> None:
    platform = SimulatedSnpPlatform.create(tmp_path / "platform", now=NOW)
    path = tmp_path / "platform" / "collateral.json"
    found = x509.load_der_x509_crl(parse_snp(platform.collateral).revocation_list or b"")
    assert found.next_update_utc is not None
    for moment in (found.last_update_utc - after, found.next_update_utc - 20 * DAY + after):
        opened = SimulatedSnpPlatform.open(tmp_path / "platform", now=moment)
        assert (opened.collateral != platform.collateral) is renewed
        assert path.stat().st_mode & 0o777 == 0o600
        path.write_bytes(platform.collateral)


def test_a_key_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "leaf.key").write_bytes(b"junk")
    with pytest.raises(FormatError, match="expected a private key in") as caught:
        _folder.read_key(tmp_path / "leaf.key")
    assert caught.value.reason == "simulated-platform"


@pytest.mark.parametrize(
    ("tee", "name"),
    [
        ("simulated", "a"),
        ("simulated-tdx", "a-tdx"),
        ("simulated-snp", "a-snp"),
        ("simulated-nitro", "a-nitro"),
        ("simulated-gpu", "a-gpu"),
    ],
)
def test_where_platforms_lie(tmp_path: Path, tee: str, name: str) -> None:
    assert platform_folder(tee, tmp_path / "a") == tmp_path / name
