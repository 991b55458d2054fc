"""`lamslsa tee` and `lamslsa doctor`, on machines that are folders and on the one that runs the tests."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from lamslsa._cli.doctor import Surroundings
from lamslsa._cli.doctor import command as doctor
from lamslsa._cli.tee import command as tee
from lamslsa.errors import FormatError
from lamslsa.evidence.attesters import SIMULATED, attester_for
from lamslsa.evidence.detect import Machine
from lamslsa.evidence.simulated.platform import SimulatedPlatform
from lamslsa.sign.keyless import SigstoreRoot

GOLDEN = Path(__file__).parent / "golden"
NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
OFFERS = ["sgx", "nitro", "tdx", "snp", "sgx-host", "gramine-direct", "nvidia"]
FORMS = (*SIMULATED, "simulated-gpu")
MACHINES: dict[str, tuple[list[str], list[str]]] = {
    "bare": ([], []),
    "tdx-guest": (["dev/tdx_guest", "sys/kernel/config/tsm/report/"], []),
    "old-snp-guest": (["dev/sev-guest"], []),
    "sgx-host": (["dev/sgx_enclave", "run/aesmd/aesm.socket"], ["gramine-sgx", "gramine-direct"]),
    "gramine-without-sgx": (["dev/attestation/keys/"], []),
}
Golden = Callable[[str, str], None]


def _machine(root: Path, paths: list[str], programs: list[str]) -> Machine:
    for name in paths:
        path = root / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.touch()
    return Machine(
        root=root, find=lambda name: f"/usr/bin/{name}" if name in programs else None, why_no_gpu=lambda: "no driver"
    )


def _run(command: click.Command, *words: str | Path, obj: Any) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words], obj=obj, standalone_mode=False)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return compare


@pytest.mark.parametrize("name", MACHINES)
def test_tee_says_what_is_there_and_why_not(tmp_path: Path, golden: Golden, name: str) -> None:
    done = _run(tee, obj=_machine(tmp_path, *MACHINES[name]))
    assert done.return_value == 0
    golden(f"tee-{name}.txt", done.stdout)


@pytest.mark.parametrize(("name", "auto"), [("bare", None), ("tdx-guest", "tdx"), ("sgx-host", "sgx-host")])
def test_tee_as_json(tmp_path: Path, name: str, auto: str | None) -> None:
    document = json.loads(_run(tee, "--format", "json", obj=_machine(tmp_path, *MACHINES[name])).stdout)
    assert document["auto"] == auto
    assert [offer["kind"] for offer in document["offers"]] == OFFERS
    for offer in document["offers"]:
        assert set(offer) == {"kind", "usable", "why", "hint"}
        assert (offer["hint"] is None) == offer["usable"]


def test_what_a_device_says_cannot_steer_the_terminal(tmp_path: Path) -> None:
    machine = _machine(tmp_path, ["dev/attestation/quote"], [])
    (tmp_path / "dev/attestation/attestation_type").write_bytes(b"\x1b[2J")
    assert "\x1b" not in _run(tee, obj=machine).stdout


def _around(tmp_path: Path, **changes: Any) -> Surroundings:
    usual: dict[str, Any] = {
        "machine": _machine(tmp_path / "machine", [], []),
        "version": lambda name: "1.2.3",
        "now": lambda: NOW,
        "elapsed": lambda: 0.0,
    }
    return Surroundings(**usual | changes)


def _doctor(tmp_path: Path, **changes: Any) -> tuple[int, dict[str, dict[str, Any]]]:
    words = ["--simulated-platform", str(tmp_path / "simulated"), "--format", "json"]
    done = _run(doctor, *words, obj=_around(tmp_path, **changes))
    document = json.loads(done.stdout)
    findings = {finding["name"]: finding for finding in document["findings"]}
    assert len(findings) == len(document["findings"])
    assert document["broken"] == sum(finding["state"] == "broken" for finding in findings.values())
    assert done.return_value == (6 if document["broken"] else 0)
    return done.return_value, findings


def test_doctor_finds_nothing_broken_and_makes_nothing(tmp_path: Path) -> None:
    code, findings = _doctor(tmp_path)
    assert code == 0
    assert {"lamslsa", "python", "kernel", "cryptography", "dcap-qvl", "gramine", "torch", "clock"} <= set(findings)
    assert {f"tee {kind}" for kind in OFFERS} <= set(findings)
    for form in FORMS:
        assert findings[form]["state"] == "note"
        assert not (tmp_path / form).exists()
    assert findings["tee auto"]["state"] == "note"
    done = _run(doctor, "--simulated-platform", tmp_path / "simulated", obj=_around(tmp_path))
    assert "nothing broken" in done.stdout


def test_doctor_names_roots_by_fingerprint_and_age(tmp_path: Path) -> None:
    roots = {name: finding["found"] for name, finding in _doctor(tmp_path)[1].items() if name.startswith("root of")}
    (intel,) = (found for name, found in roots.items() if "Intel" in name)
    assert "sha256:44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3" in intel
    assert "2018-05-21 to 2049-12-31, 3107 days old" in intel
    assert "root of sgx, tdx: Intel SGX Root CA" in roots
    assert any(name.startswith("root of snp") for name in roots)


def test_doctor_names_the_root_of_keyless_signatures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = _doctor(tmp_path)[1]["root of keyless signatures"]
    assert (found["state"], SigstoreRoot.embedded().sha256 in found["found"]) == ("ok", True)

    def refuse() -> SigstoreRoot:
        raise FormatError("expected a root, got none", reason="trusted-root-missing")

    monkeypatch.setattr(SigstoreRoot, "embedded", refuse)
    code, findings = _doctor(tmp_path)[:2]
    assert (code, findings["root of keyless signatures"]["state"]) == (6, "broken")


@pytest.mark.parametrize("year", [2017, 2050])
def test_doctor_finds_a_root_outside_of_its_time(tmp_path: Path, year: int) -> None:
    code, findings = _doctor(tmp_path, now=lambda: dt.datetime(year, 1, 1, tzinfo=dt.UTC))
    assert (code, findings["root of sgx, tdx: Intel SGX Root CA"]["state"]) == (6, "broken")


@pytest.mark.parametrize(("missing", "state"), [("cryptography", "broken"), ("torch", "note")])
def test_doctor_finds_what_is_not_installed(tmp_path: Path, missing: str, state: str) -> None:
    code, findings = _doctor(tmp_path, version=lambda name: None if name == missing else "1.2.3")
    assert (code, findings[missing]["state"]) == (6 if state == "broken" else 0, state)
    assert "not installed" in findings[missing]["found"]


def test_doctor_finds_gramine(tmp_path: Path) -> None:
    assert _doctor(tmp_path)[1]["gramine"]["state"] == "note"
    programs = ["gramine-manifest", "gramine-sgx-sign", "gramine-sgx", "gramine-direct"]
    for known, state in ((programs, "ok"), (programs[:3], "note")):
        machine = _machine(tmp_path / "machine", [], known)
        found = _doctor(tmp_path, machine=machine)[1]["gramine"]
        assert (found["state"], found["found"]) == (state, ", ".join(known))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated platforms of every form, made at ``NOW``; not to be changed."""
    folder = tmp_path_factory.mktemp("platforms")
    for form in SIMULATED:
        attester_for(form, simulated_platform=folder / "simulated", now=NOW)
    attester_for("simulated-tdx", simulated_platform=folder / "simulated", gpu="simulated", now=NOW)
    return folder


@pytest.fixture
def platforms(made: Path, tmp_path: Path) -> Path:
    for form in FORMS:
        shutil.copytree(made / form, tmp_path / form)
    return tmp_path


def test_doctor_reads_what_simulated_platforms_hold(platforms: Path) -> None:
    before = {path: path.read_bytes() for path in platforms.rglob("*") if path.is_file()}
    code, findings = _doctor(platforms)
    assert (code, {findings[form]["state"] for form in FORMS}) == (0, {"ok"})
    for form in FORMS:
        renewed = form not in ("simulated-nitro", "simulated-gpu")
        assert ("collateral of 2026-11-22 for 2026-12-22, 29 days left" in findings[form]["found"]) == renewed
    assert {path: path.read_bytes() for path in platforms.rglob("*") if path.is_file()} == before


def test_doctor_takes_note_of_collateral_that_will_be_renewed(platforms: Path) -> None:
    code, findings = _doctor(platforms, now=lambda: NOW + dt.timedelta(days=40))
    assert code == 0
    for form in ("simulated", "simulated-tdx", "simulated-snp"):
        assert findings[form]["state"] == "note"
        assert "expired, renewed on next use" in findings[form]["found"]
    assert findings["simulated-nitro"]["state"] == "ok"


def test_doctor_finds_collateral_of_the_future(platforms: Path) -> None:
    SimulatedPlatform.open(platforms / "simulated", now=NOW + dt.timedelta(days=365))
    code, findings = _doctor(platforms)
    assert (code, findings["simulated"]["state"]) == (6, "broken")
    assert "in the future" in findings["simulated"]["found"]


@pytest.mark.parametrize("form", [*SIMULATED, "simulated-gpu"])
def test_doctor_finds_a_platform_outside_of_its_time(platforms: Path, form: str) -> None:
    code, findings = _doctor(platforms, now=lambda: NOW + dt.timedelta(days=4000))
    assert (code, findings[form]["state"]) == (6, "broken")


@pytest.mark.parametrize("file", ["collateral.json", "root.pem"])
@pytest.mark.parametrize("form", ["simulated", "simulated-snp"])
@pytest.mark.parametrize("damage", [b"{}", b"", b'{"root": ""}'])
def test_doctor_finds_a_damaged_platform(platforms: Path, form: str, file: str, damage: bytes) -> None:
    (platforms / form / file).write_bytes(damage)
    code, findings = _doctor(platforms)
    assert (code, findings[form]["state"]) == (6, "broken")
    assert findings[form]["hint"]


def test_doctor_finds_a_platform_without_its_collateral(platforms: Path) -> None:
    (platforms / "simulated" / "collateral.json").unlink()
    assert _doctor(platforms)[1]["simulated"]["state"] == "broken"


def _ticks(*times: dt.datetime) -> Callable[[], dt.datetime]:
    left: Iterator[dt.datetime] = iter(times)
    last = [times[0]]

    def now() -> dt.datetime:
        last[0] = next(left, last[0])
        return last[0]

    return now


def test_doctor_finds_a_clock_that_is_behind(tmp_path: Path) -> None:
    code, findings = _doctor(tmp_path, now=lambda: dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    assert (code, findings["clock"]["state"]) == (6, "broken")
    assert "before the release" in findings["clock"]["found"]


@pytest.mark.parametrize(("jump", "state"), [(-2, "broken"), (2, "broken"), (0.5, "ok"), (-0.5, "ok")])
def test_doctor_finds_a_clock_that_is_set_meanwhile(tmp_path: Path, jump: float, state: str) -> None:
    now = _ticks(NOW, NOW + dt.timedelta(seconds=jump))
    code, findings = _doctor(tmp_path, now=now)
    assert (code, findings["clock"]["state"]) == (6 if state == "broken" else 0, state)


def test_doctor_takes_its_time(tmp_path: Path) -> None:
    seconds = iter([0.0, 30.0])
    now = _ticks(NOW, NOW + dt.timedelta(seconds=30))
    assert _doctor(tmp_path, now=now, elapsed=lambda: next(seconds))[1]["clock"]["state"] == "ok"


def test_doctor_takes_the_tee_that_is_there(tmp_path: Path) -> None:
    machine = _machine(tmp_path / "machine", *MACHINES["tdx-guest"])
    findings = _doctor(tmp_path, machine=machine)[1]
    assert (findings["tee auto"]["found"], findings["tee tdx"]["state"]) == ("takes tdx", "ok")


@pytest.mark.parametrize("command", [tee, doctor])
def test_on_this_machine(command: click.Command, tmp_path: Path) -> None:
    words = ["--simulated-platform", str(tmp_path / "simulated")] if command is doctor else []
    for form in ("text", "json"):
        done = _run(command, *words, "--format", form, obj=None)
        assert done.return_value in ((0, 6) if command is doctor else (0,))
        assert done.stdout.strip()
        assert "\x1b" not in done.stdout
