"""What a policy says of platforms, reference values, beacons and age: read exactly, and refused with its place."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from lamslsa.errors import FormatError
from lamslsa.evidence.appraise import AcceptedCode, AdvisoryTerms, Denied, GpuTerms, PlatformTerms, Vouches
from lamslsa.evidence.beacon import TimestampAuthority, WitnessedLog
from lamslsa.evidence.interface import Measurement
from lamslsa.evidence.reference import make_statement
from lamslsa.evidence.snp.parse import SigningKey
from lamslsa.policy import Policy, load_policy
from lamslsa.predicates.reference_values import MEASURE_VOUCHES, EnclaveBuild, train_own_vouches
from lamslsa.sign import KeySigner, generate
from lamslsa.testing import chain

BASE = Path(__file__).parents[2] / "vectors" / "policy" / "base"
TEXT = (BASE / "policy.yaml").read_text()
DIGEST = chain.claims(root="0" * 64).measurement_digest
SPELLED = (
    f'{{digest: "{DIGEST}", release: 0.1.0, predicateTypes: [https://lamslsa.dev/evaluation/v1], measurers: [a/1]}}'
)
CODE = "c0de" * 16
OWN = (
    f'{{digest: "{DIGEST}", release: 0.1.0, predicateTypes: [https://slsa.dev/provenance/v1], '
    f"buildTypes: [https://lamslsa.dev/own-training/v1], ownCode: [{CODE}]}}"
)
SNP_MINIMUMS = "minSvns: {snp: {milan: {bootloader: 4, tee: 0, snp: 22, microcode: 213}}}"
PRODUCTION = next(line for line in TEXT.splitlines() if line.startswith("    production:"))

Edit = Callable[[str], Policy]


def with_platform(terms: str, *, more: str = "") -> Policy:
    """The base policy with one platform more, in the place of the one for production; and further parts of trust."""
    text = TEXT.replace(PRODUCTION, f"    tried: {{{terms}}}\n{more}".rstrip("\n"))
    return load_policy(text.encode(), source="policy.yaml", directory=BASE)


def tried(terms: str) -> PlatformTerms:
    return with_platform(terms).platforms["tried"]


def refused(terms: str, reason: str, words: str = "", *, more: str = "") -> None:
    with pytest.raises(FormatError) as caught:
        with_platform(terms, more=more)
    assert caught.value.reason == reason, str(caught.value)
    assert str(caught.value).startswith("policy.yaml:1"), "a place is named"
    assert words in str(caught.value)


def test_everything_of_a_guest() -> None:
    terms = tried(
        "tee: [tdx, snp], tcb: [UpToDate], minTcbEvaluationDataNumber: 17, minSvns: {tdx: {tdxModule: 5}, snp: {milan: "
        "{bootloader: 4, tee: 0, snp: 22, microcode: 213}, turin: {fmc: 1, bootloader: 1, tee: 1, snp: 4, microcode: "
        f"72}}}}}}, snpKeys: [vcek], measurements: [{SPELLED}], "
        "advisories: {deny: [INTEL-SA-00615], accept: [{id: INTEL-SA-00657, until: 2027-01-01T00:00:00Z}]}, "
        "gpu: {architectures: [hopper, blackwell], min: 8, goldenValues: unsafeNotCompared, drivers: ['570.1'], "
        f"vbios: ['96.0'], deviceIds: ['{'ab' * 32}']}}, platformIds: [00ff, i-0ab-enc1], "
        f"deny: {{platformIds: [00ee], measurements: ['{'cd' * 32}'], deviceIds: ['{'ef' * 32}']}}, "
        "unsafeAsOfOnly: true"
    )
    (own,) = tried(f"{SGX}, measurements: [{OWN}]").code
    assert own.vouches is not None
    assert own.vouches.own_code == {CODE}
    vouches = Vouches(predicate_types=frozenset({"https://lamslsa.dev/evaluation/v1"}), measurers=frozenset({"a/1"}))
    assert terms == PlatformTerms(
        name="tried",
        tee=frozenset({"tdx", "snp"}),
        simulated=False,
        roots=frozenset(),
        tcb=frozenset({"UpToDate"}),
        code=(AcceptedCode(measurement=DIGEST, release="0.1.0", vouches=vouches),),
        advisories=AdvisoryTerms(
            deny=frozenset({"INTEL-SA-00615"}), accept={"INTEL-SA-00657": dt.datetime(2027, 1, 1, tzinfo=dt.UTC)}
        ),
        minimum_tcb_evaluation_data_number=17,
        minimum_svns={"tdx": {"tdxModule": 5}},
        snp_minimum_svns={
            "milan": {"bootloader": 4, "tee": 0, "snp": 22, "microcode": 213},
            "turin": {"bootloader": 1, "tee": 1, "snp": 4, "microcode": 72, "fmc": 1},
        },
        snp_keys=frozenset({"vcek"}),
        gpu=GpuTerms(
            architectures=frozenset({"hopper", "blackwell"}),
            minimum=8,
            unsafe_not_compared=True,
            drivers=frozenset({"570.1"}),
            vbios=frozenset({"96.0"}),
            device_ids=frozenset({"ab" * 32}),
        ),
        platform_ids=frozenset({"00ff", "i-0ab-enc1"}),
        denied=Denied(
            platform_ids=frozenset({"00ee"}), measurements=frozenset({"cd" * 32}), device_ids=frozenset({"ef" * 32})
        ),
        unsafe_as_of_only=True,
    )


def test_what_is_left_out() -> None:
    terms = tried("tee: [nitro], unsafeAnyMeasurement: true")
    assert terms == PlatformTerms(
        name="tried",
        tee=frozenset({"nitro"}),
        simulated=False,
        roots=frozenset(),
        tcb=frozenset(),
        code=(),
        unsafe_any_measurement=True,
    )
    gpu = tried("tee: [tdx], tcb: [UpToDate], unsafeAnyMeasurement: true, gpu: {architectures: [hopper], "
                "goldenValues: unsafeNotCompared}").gpu  # fmt: skip
    assert gpu is not None
    assert (gpu.minimum, gpu.drivers, gpu.vbios, gpu.device_ids, gpu.roots) == (1, None, None, None, frozenset())


def test_simulated_guests(root: str) -> None:
    terms = tried(
        "tee: [snp], simulated: true, roots: [simulated-root.pem], unsafeAnyMeasurement: true, gpu: {architectures: "
        "[hopper], roots: [other-root.pem], goldenValues: unsafeNotCompared}"
    )
    assert (terms.tcb, terms.roots, terms.snp_minimum_svns) == (frozenset(), frozenset({root}), {})
    assert terms.snp_keys is None
    some = tried(
        "tee: [snp], simulated: true, roots: [simulated-root.pem], unsafeAnyMeasurement: true, minSvns: {snp: {genoa: "
        "{snp: 1}}}, snpKeys: [vlek, vcek]"
    )
    assert (some.minimum_svns, some.snp_minimum_svns) == ({}, {"genoa": {"snp": 1}})
    assert some.snp_keys == frozenset(get_args(SigningKey)), "spelled as claims are"
    assert terms.gpu is not None
    assert len(terms.gpu.roots) == 1
    assert terms.gpu.roots != terms.roots
    plain = tried(f"tee: [sgx], simulated: true, roots: [simulated-root.pem], measurements: ['{DIGEST}']")
    assert plain.code == (AcceptedCode(measurement=DIGEST),)


SGX = "tee: [sgx], tcb: [UpToDate]"
ANY = "unsafeAnyMeasurement: true"
TDX = f"tee: [tdx], tcb: [UpToDate], {ANY}"
GPU = "architectures: [hopper], goldenValues: unsafeNotCompared"
DATED = "{id: INTEL-SA-00615, until: 2027-01-01T00:00:00Z}"
SIMULATED = "tee: [sgx], simulated: true, roots: [simulated-root.pem]"

REFUSALS = [
    # kinds, TCB, terms without meaning
    (f"tee: [sgx], {ANY}", "yaml-missing-key", "'tcb'"),
    (f"tee: [snp, tdx], {SNP_MINIMUMS}, {ANY}", "yaml-missing-key", "'tcb'"),
    (f"tee: [snp], {SNP_MINIMUMS}, tcb: [UpToDate], {ANY}", "policy-platform", "no tcb"),
    (f"tee: [nitro], simulated: true, roots: [simulated-root.pem], tcb: [UpToDate], {ANY}", "policy-platform", ""),
    (f"tee: [nitro], minTcbEvaluationDataNumber: 1, {ANY}", "policy-platform", ""),
    (f"tee: [nitro], advisories: {{deny: [INTEL-SA-00615]}}, {ANY}", "policy-platform", ""),
    (f"tee: [nitro], gpu: {{{GPU}}}, {ANY}", "policy-platform", "tdx"),
    (f"{SGX}, gpu: {{{GPU}}}, {ANY}", "policy-platform", "no gpu"),
    (f"{SGX}, snpKeys: [vcek], {ANY}", "policy-platform", "no snpKeys without snp"),
    (f"tee: [snp], {SNP_MINIMUMS}, snpKeys: [], {ANY}", "yaml-empty", ""),
    (f"tee: [snp], {SNP_MINIMUMS}, snpKeys: [VCEK], {ANY}", "yaml-choice", ""),
    (f"{SGX}, minTcbEvaluationDataNumber: 0, {ANY}", "yaml-range", ""),
    (f"{SGX}, minTcbEvaluationDataNumber: '17', {ANY}", "yaml-type", ""),
    (f"{SGX}, unsafeAsOfOnly: false, {ANY}", "policy-platform", "expected true"),
    (f"{SGX}, unsafeAsOfOnly: 1, {ANY}", "yaml-type", ""),
    (f"{SGX}, {ANY}, unknown: 1", "yaml-unknown-key", ""),
    (f"{SGX}, roots: [simulated-root.pem], {ANY}", "policy-root", ""),
    # advisories
    (f"{SGX}, advisories: {{}}, {ANY}", "yaml-empty", ""),
    (f"{SGX}, advisories: {{deny: []}}, {ANY}", "yaml-empty", ""),
    (f"{SGX}, advisories: {{deny: [intel-sa-00615]}}, {ANY}", "policy-identifier", ""),
    (f"{SGX}, advisories: {{deny: [INTEL-SA-615]}}, {ANY}", "policy-identifier", ""),
    (f"{SGX}, advisories: {{deny: [INTEL-SA-00615, INTEL-SA-00615]}}, {ANY}", "policy-duplicate", ""),
    (f"{SGX}, advisories: {{accept: [INTEL-SA-00615]}}, {ANY}", "yaml-type", ""),
    (f"{SGX}, advisories: {{accept: [{{id: INTEL-SA-00615}}]}}, {ANY}", "yaml-missing-key", "until"),
    (
        f"{SGX}, advisories: {{accept: [{{id: INTEL-SA-00615, until: 2027-01-01T00:00:00Z, why: x}}]}}, {ANY}",
        "yaml-unknown-key",
        "",
    ),
    (f"{SGX}, advisories: {{accept: [{{id: INTEL-SA-00615, until: 2027-01-01}}]}}, {ANY}", "policy-time", ""),
    (f"{SGX}, advisories: {{deny: [INTEL-SA-00615], accept: [{DATED}]}}, {ANY}", "policy-duplicate", ""),
    (f"{SGX}, advisories: {{accept: [{DATED}, {DATED}]}}, {ANY}", "policy-duplicate", ""),
    (f"{SGX}, advisories: {{denied: [INTEL-SA-00615]}}, {ANY}", "yaml-unknown-key", ""),
    # security versions
    (f"tee: [snp], {ANY}", "policy-svn", "minSvns.snp with milan, genoa, turin or some of them"),
    (f"tee: [snp, tdx], tcb: [UpToDate], minSvns: {{tdx: {{tdxModule: 1}}}}, {ANY}", "policy-svn", "minSvns.snp with"),
    (
        f"tee: [snp], minSvns: {{snp: {{milan: {{bootloader: 4, snp: 22}}}}}}, {ANY}",
        "policy-svn",
        "expected tee, microcode at trust.platforms.tried.minSvns.snp.milan, got none",
    ),
    (f"tee: [snp], {SNP_MINIMUMS[:-2]}, turin: {{fmc: 1}}}}}}, {ANY}", "policy-svn", "minSvns.snp.turin"),
    (
        f"tee: [snp], minSvns: {{snp: {{bootloader: 4, tee: 0, snp: 22, microcode: 213}}}}, {ANY}",
        "yaml-choice",
        "milan",
    ),
    (f"tee: [snp], {SNP_MINIMUMS.replace('milan', 'Milan')}, {ANY}", "yaml-choice", "'Milan'"),
    (f"tee: [snp], {SNP_MINIMUMS.replace('tee', 'fmc: 0, tee')}, {ANY}", "yaml-choice", "'fmc'"),
    (f"tee: [snp], {SNP_MINIMUMS.replace('tee', 'guest: 0, tee')}, {ANY}", "yaml-choice", "'guest'"),
    (f"tee: [snp], minSvns: {{snp: {{}}}}, {ANY}", "yaml-empty", ""),
    (f"tee: [snp], minSvns: {{snp: {{milan: {{}}}}}}, {ANY}", "yaml-empty", ""),
    (f"tee: [snp], minSvns: {{snp: {{milan: 1}}}}, {ANY}", "yaml-type", ""),
    (f"{SGX}, {SNP_MINIMUMS}, {ANY}", "yaml-choice", "'snp'"),
    (f"{SGX}, minSvns: {{}}, {ANY}", "yaml-empty", ""),
    (f"{SGX}, minSvns: {{sgx: {{}}}}, {ANY}", "yaml-empty", ""),
    (f"{SGX}, minSvns: {{tdx: {{tdxModule: 1}}}}, {ANY}", "yaml-choice", ""),
    (f"tee: [nitro], minSvns: {{nitro: {{pcr: 1}}}}, {ANY}", "yaml-choice", ""),
    (f"{SGX}, minSvns: {{sgx: {{isvProdId: 1}}}}, {ANY}", "yaml-choice", ""),
    (f"{SGX}, minSvns: {{sgx: {{isvSvn: -1}}}}, {ANY}", "yaml-range", ""),
    (f"{SGX}, minSvns: {{sgx: {{isvSvn: true}}}}, {ANY}", "yaml-type", ""),
    # measurements
    (SGX, "policy-measurement", "got none"),
    (f"{SGX}, measurements: [{SPELLED}], {ANY}", "policy-measurement", "measurements and unsafeAnyMeasurement"),
    (f"{SGX}, measurements: ['{DIGEST}']", "policy-measurement", "the digest alone"),
    (f"{SGX}, measurements: [{SPELLED}, {SPELLED}]", "policy-duplicate", ""),
    (f"{SGX}, measurements: [{SPELLED.replace(DIGEST, DIGEST.upper())}]", "policy-measurement", ""),
    (f"{SGX}, measurements: [{SPELLED.replace('0.1.0', 'a/b')}]", "policy-release", ""),
    (f"{SGX}, measurements: [{SPELLED.replace('release: 0.1.0, ', '')}]", "yaml-missing-key", "release"),
    (f"{SGX}, measurements: [{SPELLED.replace('evaluation/v1', 'other/v1')}]", "yaml-choice", ""),
    (f"{SGX}, measurements: [{SPELLED.replace('[https://lamslsa.dev/evaluation/v1]', '[]')}]", "yaml-empty", ""),
    (f"{SGX}, measurements: [{SPELLED.replace(', measurers: [a/1]', '')}]", "policy-vouches", "measurers"),
    (f"{SGX}, measurements: [{SPELLED.replace('[a/1]', '[a]')}]", "policy-measurer", ""),
    (f"{SGX}, measurements: [{OWN.replace(', ownCode: [' + CODE + ']', '')}]", "policy-vouches", "the key ownCode"),
    (f"{SGX}, measurements: [{OWN.replace('[' + CODE + ']', '[]')}]", "yaml-empty", ""),
    (f"{SGX}, measurements: [{OWN.replace(CODE, CODE[1:])}]", "policy-measurement", "64"),
    (f"{SGX}, measurements: [{OWN.replace('/own-training', '/training')}]", "policy-vouches", "no ownCode"),
    (
        f"{SGX}, measurements: [{SPELLED.replace('[a/1]', '[a/1], buildTypes: [https://lamslsa.dev/training/v1]')}]",
        "policy-vouches",
        "no buildTypes",
    ),
    (
        f"{SGX}, measurements: [{SPELLED.replace('https://lamslsa.dev/evaluation/v1', 'https://slsa.dev/provenance/v1')}]",
        "policy-vouches",
        "buildTypes",
    ),
    (f"{SGX}, measurements: [{SPELLED.replace('[a/1]', '[a/1], minimumSvns: {}')}]", "yaml-unknown-key", ""),
    # GPUs
    (f"{TDX}, gpu: {{goldenValues: unsafeNotCompared}}", "yaml-missing-key", "architectures"),
    (f"{TDX}, gpu: {{architectures: [], goldenValues: unsafeNotCompared}}", "yaml-empty", ""),
    (f"{TDX}, gpu: {{architectures: [ampere], goldenValues: unsafeNotCompared}}", "yaml-choice", ""),
    (f"{TDX}, gpu: {{architectures: [hopper]}}", "yaml-missing-key", "goldenValues"),
    (f"{TDX}, gpu: {{architectures: [hopper], goldenValues: compared}}", "yaml-choice", ""),
    (f"{TDX}, gpu: {{architectures: [hopper], goldenValues: matched}}", "policy-gpu", "manifests"),
    (f"{TDX}, gpu: {{{GPU}, min: 0}}", "yaml-range", ""),
    (f"{TDX}, gpu: {{{GPU}, drivers: []}}", "yaml-empty", ""),
    (f"{TDX}, gpu: {{{GPU}, drivers: [570.1]}}", "yaml-type", ""),
    (f"{TDX}, gpu: {{{GPU}, deviceIds: ['{'AB' * 32}']}}", "policy-identifier", ""),
    (f"{TDX}, gpu: {{{GPU}, roots: [simulated-root.pem]}}", "policy-root", ""),
    (f"{TDX}, gpu: {{{GPU}, manifests: [absent.swidtag]}}", "policy-file", ""),
    (f"{TDX}, gpu: {{{GPU}, manifests: [simulated-root.pem]}}", "manifest-xml", ""),
    (f"{TDX}, gpu: {{{GPU}, serial: x}}", "yaml-unknown-key", ""),
    (f"tee: [tdx], simulated: true, roots: [simulated-root.pem], {ANY}, gpu: {{{GPU}}}", "yaml-missing-key", "roots"),
    # lists
    (f"{SGX}, {ANY}, platformIds: []", "yaml-empty", ""),
    (f"{SGX}, {ANY}, platformIds: [00FF]", "policy-identifier", ""),
    (f"{SGX}, {ANY}, deny: {{}}", "yaml-empty", ""),
    (f"{SGX}, {ANY}, deny: {{platformIds: [00FF]}}", "policy-identifier", ""),
    (f"{SGX}, {ANY}, deny: {{measurements: [abc]}}", "policy-identifier", ""),
    (f"{SGX}, {ANY}, deny: {{platformIds: []}}", "yaml-empty", ""),
    (f"{TDX}, deny: {{deviceIds: []}}", "yaml-empty", ""),
    (f"{SGX}, {ANY}, deny: {{deviceIds: ['{'ab' * 32}']}}", "policy-platform", "no deviceIds without snp or tdx"),
    (f"tee: [nitro], {ANY}, deny: {{deviceIds: ['{'ab' * 32}']}}", "policy-platform", "no deviceIds"),
    (f"{SGX}, {ANY}, deny: {{keys: [x]}}", "yaml-unknown-key", ""),
    (f"{SIMULATED}, measurements: [abc]", "policy-measurement", ""),
]


@pytest.mark.parametrize(("terms", "reason", "words"), REFUSALS)
def test_refused(terms: str, reason: str, words: str) -> None:
    refused(terms, reason, words)


class TestBeacons:
    def test_read(self) -> None:
        more = "  beacons:\n    tsa: {timestampAuthority: tsa.pem}\n    log: {witnessedLog: witnesses.txt}\n"
        policy = with_platform(f"{SGX}, {ANY}", more=more)
        assert [type(source) for source in policy.beacons] == [TimestampAuthority, WitnessedLog]
        at = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
        assert policy.trust_material(at=at, now=at).beacons == policy.beacons
        assert with_platform(f"{SGX}, {ANY}").beacons == ()

    @pytest.mark.parametrize(
        ("beacons", "reason"),
        [
            ("{}", "yaml-empty"),
            ("{tsa: {}}", "policy-beacon"),
            ("{tsa: {timestampAuthority: tsa.pem, witnessedLog: witnesses.txt}}", "policy-beacon"),
            ("{tsa: {timestampAuthority: tsa.pem, url: x}}", "yaml-unknown-key"),
            ("{tsa: {timestampAuthority: witnesses.txt}}", "pem-chain"),
            ("{tsa: {timestampAuthority: absent.pem}}", "policy-file"),
            ("{tsa: {witnessedLog: tsa.pem}}", "beacon-witnesses"),
            ("{t s a: {timestampAuthority: tsa.pem}}", "policy-name"),
        ],
    )
    def test_refused(self, beacons: str, reason: str) -> None:
        refused(f"{SGX}, {ANY}", reason, more=f"  beacons: {beacons}\n")


class TestAge:
    @pytest.mark.parametrize(
        ("words", "seconds"), [("45s", 45), ("30m", 1800), ("12h", 43200), ("90d", 90 * 86400), ("999999d", None)]
    )
    def test_read(self, load: Edit, policy_text: str, words: str, seconds: int | None) -> None:
        text = policy_text.replace("    samples: {min: 10000}\n", f"    maxAge: {words}\n")
        age = load(text).require[0].witness.max_age
        assert age == dt.timedelta(days=999999) if seconds is None else age == dt.timedelta(seconds=seconds)

    @pytest.mark.parametrize("words", ["0d", "-1d", "1.5d", "90", "'90'", "90 d", "90D", "1w", "01d", "1000000d", "d"])
    def test_refused(self, load: Edit, policy_text: str, words: str) -> None:
        with pytest.raises(FormatError) as caught:
            load(policy_text.replace("    samples: {min: 10000}\n", f"    maxAge: {words}\n"))
        assert caught.value.reason == ("yaml-type" if words == "90" else "policy-age")
        assert "policy.yaml:27:13: " in str(caught.value)

    def test_where(self, load: Edit, policy_text: str) -> None:
        text = policy_text.replace("platform: rehearsal, parameters", "platform: rehearsal, maxAge: 2d, parameters")
        text = text.replace("data-owner, platform: rehearsal}", "data-owner, platform: rehearsal, maxAge: 3d}")
        policy = load(text)
        assert policy.training.witness.max_age == dt.timedelta(days=2)
        assert policy.ingredients.datasets[0].datasheet.max_age == dt.timedelta(days=3)
        assert {terms.datasheet.max_age for terms in policy.datasets} == {dt.timedelta(days=3)}
        assert {witness.max_age for witness in policy.witnesses} == {
            None,
            dt.timedelta(days=2),
            dt.timedelta(days=3),
        }
        assert {witness.max_age for witness in load(policy_text).witnesses} == {None}

    def test_a_dataset_has_one_age(self, load: Edit, policy_text: str) -> None:
        """Declared in several places it is declared alike."""
        head, _, tail = policy_text.rpartition("data-owner, platform: rehearsal}")
        with pytest.raises(FormatError) as caught:
            load(f"{head}data-owner, platform: rehearsal, maxAge: 1d}}{tail}")
        assert caught.value.reason == "policy-dataset"


FILE = "enclave.reference-values.sigstore.json"


@pytest.fixture(scope="module")
def signer() -> KeySigner:
    return KeySigner.load(generate(None), None)


class TestReferenceValues:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """A copy of the base, in which the test signs."""
        return Path(shutil.copytree(BASE, tmp_path / "base"))

    def statement(self, *, release: str = "0.1.0", own: bool = False, **changes: str) -> bytes:
        parts = {**chain.claims(root="0" * 64).measurement, **changes}
        return make_statement(
            Measurement(tee="sgx", parts=parts),
            release=release,
            build=EnclaveBuild(name="train-own" if own else "measure"),
            vouches_for=train_own_vouches("c0de" * 16) if own else MEASURE_VOUCHES,
            minimum_svns={"isvSvn": 2} if own else {},
        )

    def load(
        self, folder: Path, signer: KeySigner, *, values: str = f"{{file: {FILE}, signedBy: release}}", tee: str = SGX
    ) -> Policy:
        (folder / "release.pub").write_bytes(signer.public_pem)
        text = TEXT.replace(PRODUCTION, f"    tried: {{{tee}, referenceValues: {values}}}")
        text = text.replace("  platforms:\n", "    release: {key: release.pub}\n  platforms:\n")
        return load_policy(text.encode(), source="policy.yaml", directory=folder)

    def refused(self, folder: Path, signer: KeySigner, reason: str, **options: str) -> str:
        with pytest.raises(FormatError) as caught:
            self.load(folder, signer, **options)
        assert caught.value.reason == reason, str(caught.value)
        assert str(caught.value).startswith("policy.yaml:13:")
        return str(caught.value)

    def test_read(self, folder: Path, signer: KeySigner) -> None:
        (folder / FILE).write_bytes(signer.sign(self.statement()))
        (code,) = self.load(folder, signer).platforms["tried"].code
        assert (code.measurement, code.tee, code.release) == (DIGEST, "sgx", "0.1.0")
        assert code.minimum_svns == {}
        assert code.vouches is not None
        assert code.vouches.predicate_types == set(MEASURE_VOUCHES.predicate_types)
        assert code.vouches.build_types == set(MEASURE_VOUCHES.build_types)
        assert code.vouches.measurers == set(MEASURE_VOUCHES.measurers)

    def test_several(self, folder: Path, signer: KeySigner) -> None:
        two = [self.statement(), self.statement(own=True, mrEnclave="99" * 32)]
        (folder / "all.intoto.jsonl").write_bytes(b"".join(signer.sign(item) + b"\n" for item in two))
        (folder / FILE).write_bytes(signer.sign(self.statement(mrEnclave="88" * 32)))
        values = f"[{{file: all.intoto.jsonl, signedBy: release}}, {{file: {FILE}, signedBy: release}}]"
        codes = self.load(folder, signer, values=values).platforms["tried"].code
        assert len({code.measurement for code in codes}) == 3
        own = codes[1].vouches
        assert own is not None
        assert (own.measurers, codes[1].minimum_svns) == (frozenset(), {"isvSvn": 2})
        assert own.own_code == {"c0de" * 16}

    def test_another_key(self, folder: Path, signer: KeySigner) -> None:
        other = KeySigner.load(generate(None), None)
        (folder / FILE).write_bytes(other.sign(self.statement()))
        self.refused(folder, signer, "policy-reference-signature")
        both = signer.sign(self.statement()) + b"\n" + other.sign(self.statement(mrEnclave="99" * 32)) + b"\n"
        (folder / "all.intoto.jsonl").write_bytes(both)
        message = self.refused(
            folder, signer, "policy-reference-signature", values="{file: all.intoto.jsonl, signedBy: release}"
        )
        assert "all.intoto.jsonl:2: " in message

    def test_a_changed_file(self, folder: Path, signer: KeySigner) -> None:
        signed, other = (signer.sign(self.statement(release=release)) for release in ("0.1.0", "0.1.1"))
        swapped = signed.replace(
            signed.split(b'"payload":"')[1].split(b'"')[0], other.split(b'"payload":"')[1].split(b'"')[0]
        )
        assert swapped not in (signed, other)
        (folder / FILE).write_bytes(swapped)
        self.refused(folder, signer, "policy-reference-signature")

    def test_another_statement(self, folder: Path, signer: KeySigner) -> None:
        (folder / FILE).write_bytes(signer.sign(chain.census()["evaluation"]))
        assert "got a statement of type" in self.refused(folder, signer, "policy-measurement")

    def test_a_subject_that_is_not_its_measurement(self, folder: Path, signer: KeySigner) -> None:
        payload = chain.edited(self.statement(), ("subject", 0, "digest", "sha256"), "0" * 64)
        (folder / FILE).write_bytes(signer.sign(payload))
        self.refused(folder, signer, "reference-values-subject")

    def test_of_another_kind_of_tee(self, folder: Path, signer: KeySigner) -> None:
        (folder / FILE).write_bytes(signer.sign(self.statement()))
        self.refused(folder, signer, "policy-measurement", tee="tee: [tdx], tcb: [UpToDate]")
        assert self.load(folder, signer, tee="tee: [tdx, sgx], tcb: [UpToDate]")

    def test_no_file_and_no_signer(self, folder: Path, signer: KeySigner) -> None:
        (folder / FILE).unlink()
        self.refused(folder, signer, "policy-file")
        (folder / FILE).write_bytes(b"{}")
        self.refused(folder, signer, "bundle-media-type")
        (folder / "values.json").write_bytes(b"{}")
        self.refused(folder, signer, "bundle-file-name", values="{file: values.json, signedBy: release}")
        self.refused(folder, signer, "yaml-missing-key", values=f"{{file: {FILE}}}")
        self.refused(folder, signer, "yaml-choice", values=f"{{file: {FILE}, signedBy: nobody}}")
        self.refused(folder, signer, "yaml-empty", values="[]")
        self.refused(folder, signer, "yaml-unknown-key", values=f"{{file: {FILE}, signedBy: release, any: true}}")
        (folder / "all.intoto.jsonl").write_bytes(b"\n")
        self.refused(folder, signer, "policy-measurement", values="{file: all.intoto.jsonl, signedBy: release}")

    @pytest.mark.parametrize("role", ["data-owner", "trainer", "auditor"])
    def test_who_signs_reference_values_signs_nothing_else(self, folder: Path, role: str) -> None:
        signer = KeySigner.load(generate(None), None)
        (folder / f"{role}.pub").write_bytes(signer.public_pem)
        (folder / FILE).write_bytes(signer.sign(self.statement()))
        values = f"{{file: {FILE}, signedBy: {role}}}"
        message = self.refused(folder, KeySigner.load(generate(None), None), "policy-reference-signer", values=values)
        assert repr(role) in message
