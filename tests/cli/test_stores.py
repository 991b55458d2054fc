"""push, pull, attach, list and copy as a user meets them."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from lamslsa import statement
from lamslsa._cli import stores
from lamslsa._cli.main import main
from lamslsa.artifact import hash_artifact
from lamslsa.errors import FormatError, UnavailableError
from lamslsa.sign import KeySigner, generate
from lamslsa.statement import Subject
from lamslsa.store import DirectoryStore, StoredBundle
from lamslsa.store.oci import OciStore
from lamslsa.testing.registry import Registry

Run = Any
PREDICATE_TYPE = "https://lamslsa.dev/evaluation/v1"


@pytest.fixture(scope="module")
def signer() -> KeySigner:
    return KeySigner.load(generate(None), None)


def payload(name: str = "Census", digest: str = "0" * 64) -> bytes:
    return statement.make([Subject(name=name, sha256=digest)], PREDICATE_TYPE, {"a": 1})


@pytest.fixture
def model(tmp_path: Path, signer: KeySigner) -> Path:
    root = tmp_path / "model"
    (root / ".attestations").mkdir(parents=True)
    (root / "config.json").write_bytes(b"{}")
    (root / "model.safetensors").write_bytes(bytes(3_000_000))
    (root / ".attestations" / "a.sigstore.json").write_bytes(signer.sign(payload()))
    return root


def with_certificate(bundle: bytes, *names: x509.GeneralName) -> bytes:
    """The bundle as one of an identity; nobody looks at the signature."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    now = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + dt.timedelta(minutes=10))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    der = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    value = json.loads(bundle)
    value["verificationMaterial"] = {
        "certificate": {"rawBytes": base64.b64encode(der).decode()},
        "tlogEntries": [{}],
    }
    del value["dsseEnvelope"]["signatures"][0]["keyid"]
    return json.dumps(value).encode()


def document(done: Any) -> Any:
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_push_pull_and_copy(lamslsa: Run, model: Path, tmp_path: Path) -> None:
    digest = hash_artifact(model, "model").sha256
    layout = f"oci-layout:{tmp_path / 'layout'}:v1"
    pushed = lamslsa("push", model, layout)
    assert pushed.returncode == 0, pushed.stderr
    assert f"model  {layout}@sha256:{digest}" in pushed.stdout
    assert "files  2, 3,000,002 bytes" in pushed.stdout
    assert "attestations  1 copied, 0 already there, 0 failed" in pushed.stdout
    assert "copying: 100%" in pushed.stderr
    pulled = lamslsa("pull", f"{layout}@sha256:{digest}", tmp_path / "out", "--format", "json", "--quiet")
    found = document(pulled)
    assert found["digest"] == f"sha256:{digest}"
    assert found["reference"] == f"{tmp_path / 'out'}@sha256:{digest}"
    assert (found["kind"], found["files"], found["bytes"]) == ("model", 2, 3_000_002)
    assert len(found["attestations"]["copied"]) == 1
    again = document(lamslsa("copy", layout, tmp_path / "out", "--format", "json", "--quiet"))
    assert again["attestations"]["copied"] == []
    assert len(again["attestations"]["present"]) == 1
    bare = lamslsa("copy", tmp_path / "out", tmp_path / "bare", "--no-attestations")
    assert "attestations  left out" in bare.stdout
    assert not (tmp_path / "bare" / ".attestations").exists()


def test_a_registry(lamslsa: Run, model: Path, tmp_path: Path) -> None:
    digest = hash_artifact(model, "dataset").sha256
    with Registry(tmp_path / "registry") as registry:
        reference = f"oci://{registry.url.removeprefix('http://')}/demo/census:train"
        pushed = document(
            lamslsa("push", model, reference, "--kind", "dataset", "--plain-http", "--format", "json", "--quiet")
        )
        assert pushed["reference"] == f"{reference}@sha256:{digest}"
        listed = document(lamslsa("list", reference, "--plain-http", "--format", "json", "--quiet"))
        assert len(listed["bundles"]) == 1
        pulled = document(lamslsa("pull", reference, tmp_path / "out", "--plain-http", "--format", "json", "--quiet"))
        assert (pulled["kind"], pulled["digest"]) == ("dataset", f"sha256:{digest}")
    assert hash_artifact(tmp_path / "out", "dataset").sha256 == digest


def test_attach(lamslsa: Run, model: Path, tmp_path: Path, signer: KeySigner) -> None:
    extra = tmp_path / "extra"
    extra.mkdir()
    (extra / "all.intoto.jsonl").write_bytes(signer.sign(payload("one")) + b"\n" + signer.sign(payload("two")) + b"\n")
    found = document(lamslsa("attach", model, extra, "--format", "json", "--quiet"))
    assert [len(found[part]) for part in ("copied", "present", "failed")] == [2, 0, 0]
    assert all(Path(place).parent == model / ".attestations" for place in found["copied"])
    again = document(
        lamslsa("attach", model / ".attestations", extra / "all.intoto.jsonl", "--format", "json", "--quiet")
    )
    assert [len(again[part]) for part in ("copied", "present", "failed")] == [0, 2, 0]
    (extra / "bad.sigstore.json").write_bytes(b"{}")
    layout = f"oci-layout:{tmp_path / 'layout'}"
    assert lamslsa("push", model, layout).returncode == 0
    partly = lamslsa("attach", layout, extra / "bad.sigstore.json")
    assert partly.returncode == 3
    assert "[store-no-statement]" in partly.stdout
    assert "0 copied, 0 already there, 1 failed" in partly.stdout


def test_list_says_what_bundles_say(lamslsa: Run, model: Path, signer: KeySigner) -> None:
    folder = model / ".attestations"
    by_name = with_certificate(signer.sign(payload()), x509.UniformResourceIdentifier("https://example.com/w\u002fx"))
    (folder / "b.sigstore.json").write_bytes(by_name)
    (folder / "c.sigstore.json").write_bytes(with_certificate(signer.sign(payload())))
    (folder / "d.sigstore.json").write_bytes(b"{}")
    text = lamslsa("list", model)
    assert text.returncode == 0, text.stderr
    assert text.stdout.startswith("not verified")
    assert f"key {signer.key_id}" in text.stdout
    assert "unreadable" in text.stdout
    found = document(lamslsa("list", folder, "--format", "json", "--quiet"))
    assert found["verified"] is False
    first, second, third, bad = found["bundles"]
    assert first == {
        "predicateType": PREDICATE_TYPE,
        "subject": {"name": "Census", "digest": f"sha256:{'0' * 64}"},
        "signer": f"key {signer.key_id}",
        "bytes": (folder / "a.sigstore.json").stat().st_size,
        "source": str(folder / "a.sigstore.json"),
    }
    assert second["signer"] == "https://example.com/w/x"
    assert third["signer"] == "certificate without a name that can be read"
    assert "bundle-media-type" in bad["error"]


def test_hostile_names_are_shown_escaped(lamslsa: Run, model: Path, signer: KeySigner) -> None:
    (model / ".attestations" / "a.sigstore.json").write_bytes(signer.sign(payload("\x1b[2J\u202eevil")))
    done = lamslsa("list", model)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout


@pytest.mark.parametrize(
    ("words", "reason", "code"),
    [
        (["push", "{model}", "s3://bucket/m"], "store-reference", 3),
        (["push", "{none}", "{out}"], "artifact-missing", 3),
        (["push", "{model}", "hub:{none}"], "hub-layout", 3),
        (["pull", "oci-layout:{none}", "{out}"], "layout-missing", 3),
        (["pull", "{model}", "{model}/.attestations"], "store-taken", 3),
        (["copy", "{model}@sha256:" + "0" * 64, "{out}"], "store-pinned", 3),
        (["list", "{none}"], "list-missing", 3),
        (["attach", "{model}", "{none}"], "attach-missing", 3),
        (["attach", "{none}", "{model}/.attestations"], "store-no-artifact", 3),
        (["attach", "{model}", "{model}/config.json"], "store-reference", 3),
    ],
)
def test_refusals(
    model: Path, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], words: list[str], reason: str, code: int
) -> None:
    places = {"model": str(model), "none": str(tmp_path / "none"), "out": str(tmp_path / "out")}
    arguments = [word.format(**places) for word in words]
    assert main([*arguments, "--format", "json", "--quiet"]) == code
    found = json.loads(capsysbinary.readouterr().out)
    reasons = [failed["reason"] for failed in found.get("failed", [])]
    assert reason in [*reasons, found.get("error", {}).get("reason")]
    assert not (tmp_path / "out").exists()


def test_list_of_nothing_and_of_what_cannot_be_reached(
    model: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    (model / ".attestations" / "a.sigstore.json").unlink()
    assert main(["list", str(model)]) == 0
    assert capsysbinary.readouterr().out == b"no bundles\n"

    def broken(self: DirectoryStore) -> Iterator[StoredBundle]:
        yield StoredBundle(source="a", data=FormatError("bad", reason="bad"))
        yield StoredBundle(source="b", data=UnavailableError("gone", reason="gone"))

    monkeypatch.setattr(DirectoryStore, "bundles", broken)
    assert main(["list", str(model), "--quiet"]) == 6
    assert b"[gone]" in capsysbinary.readouterr().out


def test_what_holds_no_statement_is_not_attached_to_a_folder_either(
    model: Path, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    (tmp_path / "x.sigstore.json").write_bytes(b"{}")
    assert main(["attach", str(model), str(tmp_path / "x.sigstore.json")]) == 3
    assert b"[store-no-statement]" in capsysbinary.readouterr().out
    assert len(list((model / ".attestations").iterdir())) == 1


def test_many_bundles_are_counted(
    model: Path, tmp_path: Path, signer: KeySigner, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "_TOLD_EVERY", 2)
    for number in range(3):
        (model / ".attestations" / f"{number}.sigstore.json").write_bytes(signer.sign(payload(str(number))))
    assert main(["copy", str(model), str(tmp_path / "out")]) == 0
    assert "attestations: 4 done" in capsys.readouterr().err
    assert main(["copy", str(model), str(tmp_path / "quiet"), "--quiet"]) == 0
    assert not capsys.readouterr().err


@pytest.mark.parametrize("quiet", [False, True])
def test_what_a_registry_store_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], quiet: bool
) -> None:
    closed: list[str] = []
    close = OciStore.close

    def counted(self: OciStore) -> None:
        closed.append(self.reference)
        close(self)

    monkeypatch.setattr(OciStore, "close", counted)
    monkeypatch.setenv("LAMSLSA_TEST_MARK", "here")
    context = click.Context(click.Command("x"))
    context.params["quiet"] = quiet
    with context:
        store = stores.open_model("oci://registry.example/m", stores.StoreOptions())
        assert isinstance(store, OciStore)
        store._options.notify("waiting")
        assert store._options.environ["LAMSLSA_TEST_MARK"] == "here"
        assert closed == []
    assert closed == ["oci://registry.example/m"], "connections are closed when the command ends"
    assert capsys.readouterr().err == ("" if quiet else "waiting\n")
