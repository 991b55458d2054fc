"""A chain signed by identities and kept in a registry: verified from its manifest, pulled, exported and audited."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lamslsa import _codec, _stored_zip
from lamslsa.artifact import hash_artifact
from lamslsa.evidence import report_data
from lamslsa.evidence.nonce import Nonce
from lamslsa.evidence.run import NamedPayload, Run, write_run
from lamslsa.sign.keyless import SigstoreRoot
from lamslsa.sign.keyless.config import parse_trust_config
from lamslsa.sign.keyless.session import open_session
from lamslsa.sign.keyless.tokens import parse_token
from lamslsa.testing import chain
from lamslsa.testing.fixtures import local_sigstore
from lamslsa.testing.registry import Registry
from lamslsa.testing.sigstore import LocalSigstore, github_claims
from tests.cli.conftest import Cli
from tests.cli.world import NOW, ROLES, World

__all__ = ["local_sigstore"]

PEOPLE = {"data-owner": "data-owner@acme.example", "auditor": "audit@lab.example"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Signed:
    """A world whose roles are identities, and the model in a registry with its bundles beside it."""

    world: World
    sigstore: LocalSigstore
    registry: Registry
    config: Path
    root: Path
    reference: str

    @property
    def folder(self) -> Path:
        return self.world.folder

    def policy(self, **roles: str) -> Path:
        """The base policy with identities; ``roles`` gives further keys of an identity."""
        text = self.world.policy().read_text()
        for role in {*ROLES.values()}:
            terms = (
                {"issuer": self.sigstore.issuer, "identity": PEOPLE[role]}
                if role in PEOPLE
                else {"issuer": self.sigstore.issuer, "repository": "acme/model", "ref": "refs/heads/main"}
            )
            more = roles.get(role.replace("-", "_"), "")
            text = text.replace(f"{role}: {{key: {role}.pub}}", f"{role}: {{keyless: {json.dumps(terms)}{more}}}")
        path = self.folder / "keyless.yaml"
        path.write_text(text)
        return path


def token(sigstore: LocalSigstore, role: str) -> str:
    if role in PEOPLE:
        return sigstore.token(email=PEOPLE[role])
    claims = github_claims()
    return sigstore.token(claims["sub"], claims=claims)


def write_runs(world: World) -> dict[str, Path]:
    """Every statement of the chain as a run folder of its own."""
    runs = {}
    for name, payload in chain.census().items():
        nonce = Nonce(value=bytes(32))
        evidence = world.vendor.evidence(
            report_data(nonce.value, device_evidence=[], statements=[_codec.sha256_hex(payload)])
        )
        run = Run(
            statements=(NamedPayload(name=f"01-{name}", payload=payload),),
            nonce=nonce,
            evidence=evidence,
            quoted_at="2026-01-01T00:00:00Z",
        )
        runs[name] = world.folder / "runs" / name
        runs[name].parent.mkdir(exist_ok=True)
        write_run(run, runs[name])
    return runs


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, local_sigstore: LocalSigstore) -> Iterator[Signed]:
    """The chain, published once from the command line."""
    from lamslsa._cli.main import main

    folder = tmp_path_factory.mktemp("keyless")
    world = World.of(folder)
    config, root = folder / "trust-config.json", folder / "trusted-root.json"
    config.write_text(local_sigstore.trust_config_json(rekor=2))
    root.write_text(local_sigstore.trusted_root_json())
    with Registry(folder / "registry") as registry:
        target = f"oci://{registry.host}/acme/census-mlp:v1"
        assert main(["push", str(world.model), target, "--plain-http", "--quiet"]) == 0
        digest = hash_artifact(world.model, "model").sha256
        reference = f"{target}@sha256:{digest}"
        for name, run in write_runs(world).items():
            secret = folder / "token"
            secret.write_text(token(local_sigstore, ROLES[name]))
            words = ["--keyless", "--trust-config", config, "--identity-token", f"@{secret}", "--yes", "--quiet"]
            assert main([*map(str, ["publish", run, *words, "--to", reference, "--plain-http"])]) == 0
        yield Signed(
            world=world, sigstore=local_sigstore, registry=registry, config=config, root=root, reference=reference
        )


def ask(made: Signed, model: str | Path, *words: str | Path, policy: Path | None = None) -> list[str]:
    chosen = policy or made.policy()
    return [str(word) for word in (model, "--policy", chosen, "--trusted-root", made.root, "--plain-http", *words)]


def reasons(document: Any) -> set[str]:
    return {item["reason"] for item in (*document["rules"], *document["setAside"])} - {None}


@pytest.fixture
def pulled(cli: Cli, made: Signed, tmp_path: Path) -> Path:
    """The model and its bundles in a folder."""
    target = tmp_path / "pulled"
    code, document, _ = cli("pull", made.reference, target, "--plain-http")
    assert (code, len(document["attestations"]["copied"])) == (0, 8)
    return target


def test_verified_from_the_manifest_alone(cli: Cli, made: Signed) -> None:
    made.registry.forget_requests()
    code, document, _ = cli("verify", *ask(made, made.reference))
    assert (code, document["accepted"]) == (0, True)
    weights = hash_artifact(made.world.model, "model").files[-1]
    assert not made.registry.count("GET", f".*/blobs/sha256:{weights.sha256}")
    trainer = next(item for item in document["attestations"] if item["signers"] == ["trainer"])
    (signature,) = trainer["signatures"]
    assert signature["signer"].startswith("https://github.com/acme/model/.github/workflows/train.yml@refs/heads/main")
    assert signature["logged"]
    assert [time["source"] for time in signature["trustedTimes"]] == ["timestamp"]
    assert document["model"]["filesRead"] is False
    (evidence,) = trainer["evidence"]
    stamped = dt.datetime.fromisoformat(signature["trustedTimes"][0]["at"])
    assert abs(dt.datetime.fromisoformat(evidence["asOf"]) - stamped) < dt.timedelta(minutes=5)


def test_pull_reads_every_file(cli: Cli, made: Signed) -> None:
    made.registry.forget_requests()
    code, document, _ = cli("verify", *ask(made, made.reference, "--pull"))
    assert (code, document["model"]["filesRead"]) == (0, True)
    for file in hash_artifact(made.world.model, "model").files:
        assert made.registry.count("GET", f".*/blobs/sha256:{file.sha256}") == 1


def test_a_tag_is_resolved_once(cli: Cli, made: Signed) -> None:
    tagged = made.reference.partition("@")[0]
    code, document, _ = cli("verify", *ask(made, tagged))
    assert code == 0
    assert made.reference.endswith(document["model"]["digest"])


def test_without_the_trusted_root_nothing_is_authentic(cli: Cli, made: Signed) -> None:
    """The root that is embedded is another one; nothing falls back to the one in a trust configuration."""
    code, document, _ = cli("verify", made.reference, "--policy", made.policy(), "--plain-http")
    assert (code, document["accepted"]) == (4, False)
    assert {item["reason"] for item in document["setAside"]} <= {
        "signature-time",
        "signature-certificate",
        "signature-log",
    }


def test_another_branch_is_another_identity(cli: Cli, made: Signed) -> None:
    policy = made.policy()
    policy.write_text(policy.read_text().replace("refs/heads/main", "refs/heads/release"))
    code, document, _ = cli("verify", *ask(made, made.reference, policy=policy))
    assert code == 4
    (message,) = {item["message"] for item in document["setAside"] if item["reason"] == "signature-identity"}
    assert "as trainer, expected ref" in message
    assert "as auditor, expected " in message


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        (", validUntil: 2026-01-01T00:00:00Z", "signer-expired"),
        (", revokedAt: 2026-01-01T00:00:00Z", "signer-revoked"),
        (", validFrom: 2126-01-01T00:00:00Z", "signer-not-yet"),
        (", requireTimestamp: true, requireLog: true", None),
    ],
)
def test_terms_on_an_identity(cli: Cli, made: Signed, terms: str, reason: str | None) -> None:
    code, document, _ = cli("verify", *ask(made, made.reference, policy=made.policy(auditor=terms)))
    assert code == (0 if reason is None else 5)
    assert reasons(document) == ({reason} if reason else set())


def edited(store: Path, change: Callable[[dict[str, Any]], object]) -> None:
    for path in store.iterdir():
        bundle = json.loads(path.read_bytes())
        change(bundle["verificationMaterial"])
        path.write_text(json.dumps(bundle))


STRIPPED: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "timestamp": (lambda material: material.pop("timestampVerificationData"), "signature-time"),
    "log entry": (lambda material: material.update(tlogEntries=[]), "bundle-log-entries"),
    "certificate": (lambda material: material.pop("certificate"), "bundle-signer"),
}


@pytest.mark.parametrize("what", STRIPPED)
def test_stripped(cli: Cli, made: Signed, pulled: Path, what: str) -> None:
    change, reason = STRIPPED[what]
    assert cli("verify", *ask(made, pulled))[0] == 0
    edited(pulled / ".attestations", change)
    code, document, _ = cli("verify", *ask(made, pulled))
    assert code == 4
    assert {item["reason"] for item in document["setAside"]} == {reason}


def test_nothing_is_signed_twice(cli: Cli, made: Signed) -> None:
    """A run that is published again by the same identity needs no certificate and no log entry."""
    secret = made.folder / "token"
    secret.write_text(token(made.sigstore, "auditor"))
    listed = cli("list", made.reference, "--plain-http")[1]
    code, document, _ = cli(
        *("publish", made.folder / "runs" / "evaluation", "--keyless", "--trust-config", made.config),
        *("--identity-token", f"@{secret}", "--yes", "--to", made.reference, "--plain-http"),
    )
    assert code == 0
    assert [item["location"] for item in document["statements"]] == [None, None]
    assert cli("list", made.reference, "--plain-http")[1] == listed


def test_several_runs_under_one_certificate(cli: Cli, made: Signed, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text(token(made.sigstore, "auditor"))
    runs = [made.folder / "runs" / name for name in ("train", "test", "evaluation")]
    words = ["--keyless", "--trust-config", made.config, "--identity-token", f"@{secret}", "--yes"]
    code, document, _ = cli("publish", *runs, *words, "--to", tmp_path / "store")
    assert code == 0
    assert [item["run"] for item in document["statements"]] == [str(run) for run in runs for _ in range(2)]
    bundles = [json.loads(Path(item["location"]).read_bytes()) for item in document["statements"]]
    assert len({bundle["verificationMaterial"]["certificate"]["rawBytes"] for bundle in bundles}) == 1
    again = cli("publish", *runs, *words, "--to", tmp_path / "store")[1]
    assert {item["location"] for item in again["statements"]} == {None}


def test_a_run_that_was_changed_keeps_all_from_being_signed(cli: Cli, made: Signed, tmp_path: Path) -> None:
    shutil.copytree(made.folder / "runs", tmp_path / "runs")
    changed = tmp_path / "runs" / "test" / "01-test.json"
    changed.write_bytes(changed.read_bytes() + b" ")
    code, document, _ = cli(
        *("publish", tmp_path / "runs" / "train", tmp_path / "runs" / "test", "--keyless"),
        *("--trust-config", made.config, "--identity-token", token(made.sigstore, "auditor"), "--yes"),
        *("--to", tmp_path / "store"),
    )
    assert (code, document["error"]["reason"]) == (4, "evidence-binding")
    assert not (tmp_path / "store").exists()


class TestArchive:
    """Everything a verdict rests on, in one file."""

    @pytest.fixture
    def exported(self, cli: Cli, made: Signed, tmp_path: Path) -> Path:
        target = tmp_path / "audit.zip"
        policy = made.policy(auditor=", trustedRoot: trusted-root.json")
        code, document, _ = cli("export", *ask(made, made.reference, "--to", target, policy=policy))
        assert (code, document["appraisal"]["accepted"]) == (0, True)
        assert document["archive"]["sha256"] == _codec.sha256_hex(target.read_bytes())
        return target

    def test_what_is_in_it(self, exported: Path, made: Signed) -> None:
        with zipfile.ZipFile(exported) as zipped:
            names = zipped.namelist()
            assert zipped.read("sigstore/trusted-root.json") == made.root.read_bytes()
            assert zipped.read("policy/trusted-root.json") == made.root.read_bytes()
            assert zipped.read("policy/policy.yaml") == (made.folder / "keyless.yaml").read_bytes()
        assert len([name for name in names if name.startswith("bundles/")]) == 8
        assert "policy/simulated-root.pem" in names

    def test_verified_by_itself(self, cli: Cli, exported: Path, made: Signed) -> None:
        made.registry.forget_requests()
        code, document, _ = cli("verify", exported)
        assert (code, document["accepted"]) == (0, True)
        assert document["archive"]["ownPolicy"] is False
        assert document["model"]["filesRead"] is False
        assert any("no byte of the model was seen" in warning for warning in document["warnings"])
        assert any("chosen by whoever made it" in warning for warning in document["warnings"])
        assert not made.registry.requests

    def test_under_a_policy_of_ones_own_its_root_counts_for_nothing(
        self, cli: Cli, exported: Path, made: Signed
    ) -> None:
        code, document, _ = cli("verify", exported, "--policy", made.policy())
        assert (code, document["archive"]["ownPolicy"]) == (4, True)
        assert not any("chosen by" in warning for warning in document["warnings"])
        code, document, _ = cli("verify", *ask(made, exported))
        assert (code, document["accepted"]) == (0, True)

    def test_as_exported(self, cli: Cli, exported: Path, made: Signed, monkeypatch: pytest.MonkeyPatch) -> None:
        """Years later the policy has expired; as of the time that the archive states it has not."""
        from lamslsa._cli import appraise

        class Later(dt.datetime):
            @classmethod
            def now(cls, tz: Any = None) -> dt.datetime:  # type: ignore[override]
                return NOW + dt.timedelta(days=4000)

        monkeypatch.setattr(vars(appraise)["dt"], "datetime", Later)
        code, document, _ = cli("verify", exported)
        assert (code, document["error"]["reason"]) == (5, "policy-expired")
        code, document, _ = cli("verify", exported, "--as-exported")
        assert (code, document["accepted"], document["archive"]["asExported"]) == (0, True, True)
        assert any("which the archive states" in warning for warning in document["warnings"])
        assert cli("verify", exported, "--as-exported", "--at", "2026-01-01T00:00:00Z")[0] == 2

    @pytest.mark.parametrize("words", [("--pull",), ("--attestations", "elsewhere")])
    def test_what_does_not_go_with_an_archive(self, cli: Cli, exported: Path, words: tuple[str, ...]) -> None:
        assert cli("verify", exported, *words)[0] == 2

    def test_as_exported_goes_with_an_archive_alone(self, cli: Cli, made: Signed) -> None:
        assert cli("verify", *ask(made, made.reference, "--as-exported"))[0] == 2

    def rewritten(self, exported: Path, target: Path, change: Callable[[dict[str, bytes]], object]) -> Path:
        entries = _stored_zip.read(exported.read_bytes())
        change(entries)
        target.write_bytes(_stored_zip.write(entries))
        return target

    def test_a_bundle_that_was_changed(self, cli: Cli, exported: Path, tmp_path: Path) -> None:
        def change(entries: dict[str, bytes]) -> None:
            for name, data in entries.items():
                if name.startswith("bundles/"):
                    entries[name] = data.replace(b'"payloadType"', b'"payloadtype"')

        code, document, _ = cli("verify", self.rewritten(exported, tmp_path / "other.zip", change))
        assert (code, document["accepted"]) == (4, False)

    def test_a_time_that_lies_ahead(self, cli: Cli, exported: Path, tmp_path: Path) -> None:
        """An archive cannot move the clock forward."""

        def change(entries: dict[str, bytes]) -> None:
            index = json.loads(entries["audit.json"])
            entries["audit.json"] = json.dumps(index | {"exportedAt": "2999-01-01T00:00:00Z"}).encode()

        code, document, _ = cli("verify", self.rewritten(exported, tmp_path / "other.zip", change), "--as-exported")
        assert code == 0
        assert dt.datetime.fromisoformat(document["now"]) < dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1)

    def test_keys_under_a_policy_that_is_not_theirs(
        self, cli: Cli, exported: Path, made: Signed, tmp_path: Path
    ) -> None:
        """The digest that auditors compare covers what the policy names, and an export writes its own files."""

        def change(entries: dict[str, bytes]) -> None:
            entries["policy/trusted-root.json"] += b"\n"

        other = self.rewritten(exported, tmp_path / "other.zip", change)
        first, second = (cli("verify", path)[1]["policy"] for path in (exported, other))
        assert first["sha256"] == second["sha256"]
        assert first["closure"] != second["closure"]
        again = tmp_path / "again.zip"
        code, document, _ = cli("export", *ask(made, other, "--to", again))
        assert code == 0
        entries = _stored_zip.read(again.read_bytes())
        assert entries["policy/simulated-root.pem"] == (made.folder / "simulated-root.pem").read_bytes()
        assert "policy/trusted-root.json" not in entries
        assert cli("verify", again)[1]["policy"] == document["appraisal"]["policy"]

    def test_under_a_root_of_ones_own(self, cli: Cli, exported: Path, made: Signed, tmp_path: Path) -> None:
        """--trusted-root goes before the archive's own root."""

        def change(entries: dict[str, bytes]) -> None:
            policy = entries["policy/policy.yaml"].decode()
            entries["policy/policy.yaml"] = policy.replace(", trustedRoot: trusted-root.json", "").encode()
            entries["sigstore/trusted-root.json"] = SigstoreRoot.embedded().raw

        other = self.rewritten(exported, tmp_path / "other.zip", change)
        assert cli("verify", other)[0] == 4
        assert cli("verify", other, "--trusted-root", made.root)[0] == 0

    def test_nothing_there(self, cli: Cli, tmp_path: Path) -> None:
        for words in ((), ("--as-exported",)):
            code, document, _ = cli("verify", tmp_path / "nowhere.zip", *words)
            assert (code, document["error"]["reason"]) == (3, "archive-missing")

    def test_an_expired_policy_is_not_exported(self, cli: Cli, made: Signed, tmp_path: Path) -> None:
        policy = made.policy()
        policy.write_text(policy.read_text().replace("2027-06-30", "2020-06-30"))
        code, document, _ = cli("export", *ask(made, made.reference, "--to", tmp_path / "audit.zip", policy=policy))
        assert (code, document["error"]["reason"]) == (5, "policy-expired")
        assert not (tmp_path / "audit.zip").exists()

    def test_a_model_that_is_a_zip_file_is_a_model(self, cli: Cli, made: Signed, tmp_path: Path) -> None:
        model = tmp_path / "weights.zip"
        with zipfile.ZipFile(model, "w") as zipped:
            zipped.writestr("weights.bin", "1")
        code, document, _ = cli("verify", *ask(made, model))
        assert (code, "archive" in document) == (4, False)

    def test_export_of_a_refused_model(self, cli: Cli, made: Signed, pulled: Path, tmp_path: Path) -> None:
        (pulled / "model.json").write_text("[]")
        code, document, _ = cli("export", *ask(made, pulled, "--to", tmp_path / "refused.zip"))
        assert (code, document["appraisal"]["accepted"]) == (4, False)
        code, document, _ = cli("verify", tmp_path / "refused.zip")
        assert (code, document["accepted"]) == (4, False)

    def test_export_needs_a_zip(self, cli: Cli, made: Signed, tmp_path: Path) -> None:
        assert cli("export", *ask(made, made.reference, "--to", tmp_path / "audit.tar"))[0] == 2

    def test_a_bundle_that_cannot_be_read_is_said_and_blocks_nothing(
        self, cli: Cli, made: Signed, pulled: Path, tmp_path: Path
    ) -> None:
        (pulled / ".attestations" / "big.sigstore.json").write_bytes(bytes(17 * 1024 * 1024))
        code, document, note = cli("export", *ask(made, pulled, "--to", tmp_path / "audit.zip"))
        assert code == 0
        (left_out,) = document["archive"]["leftOut"]
        assert left_out["reason"] == "store-size"
        assert "big.sigstore.json" in note
        assert cli("verify", *ask(made, tmp_path / "audit.zip"))[0] == 0


def test_a_signature_of_all_files(cli: Cli, made: Signed, pulled: Path, tmp_path: Path) -> None:
    """By sign-model, outside the model, named on the command line; and inside, where it is one file more."""
    policy = made.policy()
    policy.write_text(policy.read_text().replace("\ntraining:", "\nmodel: {signature: {signedBy: trainer}}\ntraining:"))
    code, document, _ = cli("verify", *ask(made, pulled, policy=policy))
    assert (code, reasons(document)) == (4, {"model-signature-missing"})
    secret = tmp_path / "token"
    secret.write_text(token(made.sigstore, "trainer"))
    signature = tmp_path / "model.sig"
    code, _, _ = cli(
        *("sign-model", pulled, "--signature", signature, "--keyless", "--trust-config", made.config),
        *("--identity-token", f"@{secret}", "--yes"),
    )
    assert code == 0
    stores: list[str | Path] = ["--attestations", pulled / ".attestations", "--attestations", signature]
    code, document, _ = cli("verify", *ask(made, pulled, *stores, policy=policy))
    assert (code, document["accepted"]) == (0, True)
    assert cli("card", *ask(made, pulled, *stores, "--html", tmp_path / "card.html", policy=policy))[0] == 0
    assert "model signature" in (tmp_path / "card.html").read_text()
    assert cli("attach", pulled, signature)[0] == 0
    assert cli("verify", *ask(made, pulled, policy=policy))[0] == 0
    shutil.copy(made.root, pulled / "extra.json")
    code, document, _ = cli("verify", *ask(made, pulled, policy=policy))
    assert (code, "model-signature-other" in reasons(document)) == (4, True)


def test_inspect_says_who_signed_and_by_when(cli: Cli, made: Signed, pulled: Path) -> None:
    bundles = {json.loads(path.read_text())["mediaType"]: path for path in (pulled / ".attestations").iterdir()}
    (path,) = bundles.values()
    code, document, _ = cli("inspect", path, "--trusted-root", made.root)
    assert code == 0
    assert any(sentence.startswith("signed by ") for sentence in document["verified"])
    assert any(sentence.startswith("a timestamp authority had seen") for sentence in document["verified"])
    assert "the signature is in a transparency log" in document["verified"]
    assert document["facts"]["identity"]["issuer"] == made.sigstore.issuer
    code, document, _ = cli("inspect", path)
    assert (code, document["verified"]) == (0, [])
    assert any(sentence.startswith("its signature: ") for sentence in document["unverified"])


def test_reference_values_that_another_identity_signed_too(cli: Cli, made: Signed, tmp_path: Path) -> None:
    """Terms on certificates may overlap: then who signs attestations could make up the code that they come from."""
    secret = tmp_path / "token"
    secret.write_text(token(made.sigstore, "auditor"))
    values = Path("tests/vectors/policy/base/enclave.reference-values.sigstore.json").resolve()
    payload = json.loads(values.read_bytes())["dsseEnvelope"]["payload"]
    with open_session(
        parse_trust_config(made.config.read_bytes()),
        parse_token(secret.read_text(), at=dt.datetime.now(dt.UTC)),
        require_timestamp=False,
        consent=lambda: None,
        note=lambda _: None,
    ) as signer:
        signed = signer.sign(base64.b64decode(payload))
    (made.folder / "values.sigstore.json").write_bytes(signed)
    release = json.dumps({"issuer": made.sigstore.issuer, "identityRegex": "audit@lab[.]example"})
    policy = made.policy()
    text = policy.read_text()
    text = text.replace(
        "unsafeAnyMeasurement: true", "referenceValues: {file: values.sigstore.json, signedBy: release}"
    )
    policy.write_text(text.replace("  platforms:\n", f"    release: {{keyless: {release}}}\n  platforms:\n", 1))
    code, document, _ = cli("verify", *ask(made, made.reference, policy=policy))
    assert (code, document["error"]["reason"]) == (3, "policy-reference-signer")
    assert "auditor" in document["error"]["message"]
