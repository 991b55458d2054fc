"""The release: its policy refuses every other provenance, and nothing is uploaded that was not accepted."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from lamslsa.testing.sigstore import LocalSigstore
from tests.actions.composite import ROOT
from tests.actions.release import REF, REPOSITORY, WHEEL, Release, claims
from tests.loading import load_script

APPRAISE = load_script(ROOT / "policies" / "release" / "appraise.py", "release_appraise")
COMMIT, NUMBER = claims()["sha"], claims()["repository_id"]


@pytest.fixture
def release(local_sigstore: LocalSigstore, tmp_path: Path) -> Release:
    return Release(local_sigstore, tmp_path / "checkout")


def verdict(release: Release, *bundles: bytes, run: Sequence[str] = ()) -> int:
    """The exit code of the policy's program on these bundles."""
    path = release.folder / "provenance.jsonl"
    path.write_bytes(b"".join(bundles))
    code = APPRAISE.main([str(release.wheel), "--provenance", str(path), "--policy", str(release.policy), *run])
    assert isinstance(code, int)
    return code


def test_what_the_release_built_of_this_commit_is_accepted(
    release: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verdict(release, release.provenance(), run=["--commit", COMMIT, "--repository-id", NUMBER]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"accepted by lamslsa-release: {WHEEL} sha256:")
    assert said.rstrip().endswith(f"{REPOSITORY}/.github/workflows/release.yml@{REF} at {COMMIT}")


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        ({"workflow": ".github/workflows/ci.yml"}, "signature-identity"),
        ({"repository": "lamslsa/lamslsa-fork"}, "signature-identity"),
        ({"repository": "mallory/lamslsa"}, "signature-identity"),
        ({"ref": "refs/heads/main"}, "signature-identity"),
        ({"ref": "refs/heads/refs/tags/v0.2.0"}, "signature-identity"),
        ({"ref": "refs/tags/v0.2.0-attack"}, "signature-identity"),
        ({"runner_environment": "self-hosted"}, "signature-identity"),
        ({"job_workflow_ref": "mallory/x/.github/workflows/release.yml@refs/tags/v0.2.0"}, "signature-identity"),
        ({"ref": "refs/tags/v0.1.0"}, "release-ref"),
        ({"job_workflow_ref": f"{REPOSITORY}/.github/workflows/release.yml@refs/tags/v0.1.0"}, "release-ref"),
        ({"event_name": "workflow_dispatch"}, "release-event"),
        ({"event_name": "pull_request_target"}, "release-event"),
        ({"sha": "0" * 40}, "release-commit"),
        ({"repository_id": "666"}, "release-repository"),
    ],
    ids=lambda value: "-".join(value.values()).replace("/", ".") if isinstance(value, dict) else value,
)
def test_another_run_releases_nothing(
    run: dict[str, str], reason: str, release: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = release.provenance(claims(**run))
    code = verdict(release, bundle, run=["--commit", COMMIT, "--repository-id", NUMBER])
    assert code == (4 if reason == "signature-identity" else 5)
    assert capsys.readouterr().err.startswith(f"refused: {reason}: ")


@pytest.mark.parametrize(
    ("alter", "what"),
    [
        (lambda said: said["buildDefinition"].update(buildType="https://example.com/build/v1"), "build type"),
        (lambda said: said["runDetails"]["builder"].update(id="https://example.com/"), "builder"),
        (lambda said: said["buildDefinition"]["externalParameters"]["workflow"].update(path="x"), "workflow"),
        (lambda said: said["buildDefinition"]["externalParameters"]["workflow"].update(ref="refs/heads/x"), "ref"),
        (lambda said: said["buildDefinition"]["externalParameters"]["workflow"].update(repository="x"), "repository"),
        (lambda said: said["buildDefinition"]["internalParameters"]["github"].update(event_name="push"), "event"),
        (lambda said: said["buildDefinition"]["internalParameters"]["github"].update(repository_id="1"), "number of"),
        (lambda said: said["buildDefinition"]["internalParameters"]["github"].update(runner_environment="x"), "runner"),
        (lambda said: said["buildDefinition"]["resolvedDependencies"][0].update(uri="git+https://x@y"), "source"),
        (
            lambda said: said["buildDefinition"]["resolvedDependencies"][0]["digest"].update(gitCommit="1" * 40),
            "commit",
        ),
        (lambda said: said["buildDefinition"]["resolvedDependencies"].append({}), "provenance of a workflow"),
        (lambda said: said["buildDefinition"].update(resolvedDependencies=[]), "provenance of a workflow"),
        (lambda said: said.pop("runDetails"), "provenance of a workflow"),
    ],
)
def test_a_predicate_that_tells_of_another_run_is_refused(
    alter: Callable[[dict[str, Any]], object], what: str, release: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verdict(release, release.provenance(alter=alter)) == 5
    said = capsys.readouterr().err
    assert said.startswith("refused: release-provenance: ")
    assert what in said


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"content": b"another wheel"}, "release-subject"),
        ({"name": "lamslsa-0.2.0.tar.gz"}, "release-subject"),
        ({"predicate_type": "https://slsa.dev/provenance/v0.2"}, "release-predicate"),
    ],
)
def test_provenance_of_something_else_is_refused(
    terms: dict[str, Any], reason: str, release: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verdict(release, release.provenance(**terms)) == 5
    assert capsys.readouterr().err.startswith(f"refused: {reason}: ")


def test_a_wheel_that_was_changed_afterwards_is_refused(release: Release, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = release.provenance()
    release.wheel.write_bytes(b"another wheel")
    assert verdict(release, bundle) == 5
    assert capsys.readouterr().err.startswith("refused: release-subject: ")


def test_one_bundle_has_to_satisfy_everything_and_others_refuse_nothing(release: Release) -> None:
    other_run, other_wheel = release.provenance(claims(ref="refs/heads/main")), release.provenance(content=b"other")
    assert verdict(release, other_run, other_wheel) == 5
    assert verdict(release, other_run, b"rubbish\n", other_wheel, release.provenance()) == 0


@pytest.mark.parametrize(("data", "code"), [(b"", 4), (b"\n", 4), (b"{}\n", 4), (b"rubbish\n", 3), (b"{\n", 3)])
def test_no_provenance_is_no_acceptance(data: bytes, code: int, release: Release) -> None:
    assert verdict(release, data) == code


def test_a_signature_that_no_log_has_is_refused(release: Release, tmp_path: Path) -> None:
    """The policy asks for the log beside the certificate."""
    assert "requireLog: true" in release.policy.read_text(encoding="utf-8")
    broken = release.provenance().replace(b'"tlogEntries": [{', b'"tlogEntries": [], "x": [{')
    assert verdict(release, broken) in {3, 4}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("signedBy: release", "signedBy: other", "expected the one identity of this policy"),
        ("requireLog: true", "requireLogs: true", "requireLogs"),
        ("events: [release]", "events: []", "release.yaml:"),
        ("lamslsa.dev/release/v1", "lamslsa.dev/policy/v1", "release.yaml:2"),
        ("trustedRoot: trusted-root.json", "trustedRoot: nowhere.json", "policy-file"),
        ("  tagPrefix: v ", "  prefix: v ", "prefix"),
    ],
)
def test_a_policy_that_does_not_say_what_it_should_refuses(
    old: str, new: str, said: str, release: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, text = release.provenance(), release.policy.read_text(encoding="utf-8")
    assert old in text
    release.policy.write_text(text.replace(old, new, 1), encoding="utf-8")
    assert verdict(release, bundle) == 3
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", ["lamslsa-0.2.0.tar.gz", "other-0.2.0-py3-none-any.whl", "lamslsa-0.2.0-cp311.whl"])
def test_only_a_wheel_of_this_project_is_appraised(name: str, release: Release) -> None:
    bundle = release.provenance()
    release.wheel = release.wheel.rename(release.wheel.with_name(name))
    assert verdict(release, bundle) == 3


@pytest.mark.parametrize("word", ["--commit=", "--commit=HEAD", "--repository-id=", "--repository-id=x", "--comm=0"])
def test_a_run_that_came_out_empty_or_odd_is_no_run_at_all(
    word: str, release: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        verdict(release, release.provenance(), run=[word])
    assert ended.value.code == 2
    assert capsys.readouterr().err


def workflow() -> dict[str, Any]:
    document = yaml.load((ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8"), yaml.BaseLoader)
    assert isinstance(document, dict)
    return document


def step(job: str, name: str) -> dict[str, Any]:
    (found,) = [step for step in workflow()["jobs"][job]["steps"] if step.get("name", "").startswith(name)]
    return dict(found)


def block(job: str, name: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a block of the workflow verbatim, as GitHub runs one without `shell`."""
    script = folder / "block"
    script.write_text(step(job, name)["run"], encoding="utf-8")
    return subprocess.run(
        ["bash", "-e", str(script)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def machine(release: Release, tmp_path: Path) -> dict[str, str]:
    """The environment of the job that verifies: a ``gh`` that has the provenance, and what was installed."""
    (tmp_path / "bin").mkdir()
    gh = f"""#!/bin/bash
printf '%s\\n' "$*" >>{tmp_path}/asked
case "$1 $2" in
  "attestation verify") exit "${{VERIFIES:-0}}" ;;
  "attestation download") cp {tmp_path}/provenance "sha256:$(sha256sum <"$3" | cut -d" " -f1).jsonl" ;;
  *) exit 64 ;;
esac
"""
    (tmp_path / "bin" / "gh").write_text(gh, encoding="utf-8")
    python = tmp_path / "temporary" / "lamslsa" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/bash\nexec {sys.executable} "$@"\n', encoding="utf-8")
    for program in (tmp_path / "bin" / "gh", python):
        program.chmod(0o755)
    (tmp_path / "output").touch()
    (tmp_path / "provenance").write_bytes(release.provenance())
    return {
        "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin",
        "RUNNER_TEMP": str(tmp_path / "temporary"),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_REPOSITORY_ID": NUMBER,
        "GITHUB_REF": REF,
        "GITHUB_SHA": COMMIT,
        "GITHUB_WORKFLOW_SHA": COMMIT,
    }


def test_the_workflow_asks_two_verifiers_and_uploads_the_very_bytes_that_both_accepted(
    release: Release, machine: dict[str, str], tmp_path: Path
) -> None:
    asked = block("verify", "Verify with the verifier of GitHub", release.folder, **machine)
    assert asked.returncode == 0, asked.stderr
    terms = (tmp_path / "asked").read_text(encoding="utf-8")
    assert f"--source-ref {REF} --source-digest {COMMIT} --signer-digest {COMMIT}" in terms
    assert "--deny-self-hosted-runners" in terms
    done = block("verify", "Verify with lamslsa", release.folder, **machine)
    assert done.returncode == 0, done.stderr
    assert "accepted by lamslsa-release" in done.stdout
    sha256 = hashlib.sha256(b"a wheel").hexdigest()
    assert (tmp_path / "output").read_text(encoding="utf-8") == f"wheel={sha256}  dist/{WHEEL}\n"
    assert workflow()["jobs"]["verify"]["outputs"] == {"wheel": "${{ steps.appraise.outputs.wheel }}"}
    assert step("verify", "Verify with lamslsa")["id"] == "appraise"

    terms = step("upload", "Upload only")["env"]["WHEEL"]
    assert terms == "${{ needs.verify.outputs.wheel }}"
    wheel = f"{sha256}  dist/{WHEEL}"
    assert block("upload", "Upload only", release.folder, WHEEL=wheel, **machine).returncode == 0
    (release.folder / "dist" / "lamslsa-0.2.1-py3-none-any.whl").write_bytes(b"one more")
    assert block("upload", "Upload only", release.folder, WHEEL=wheel, **machine).returncode != 0


@pytest.mark.parametrize("wheel", ["", "\n", f"{'0' * 64}  dist/{WHEEL}"])
def test_nothing_is_uploaded_that_was_not_verified(wheel: str, release: Release, machine: dict[str, str]) -> None:
    assert block("upload", "Upload only", release.folder, WHEEL=wheel, **machine).returncode != 0


def test_the_workflow_stops_where_the_policy_refuses(release: Release, machine: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "provenance").write_bytes(release.provenance(claims(ref="refs/heads/main")))
    done = block("verify", "Verify with lamslsa", release.folder, **machine)
    assert done.returncode == 4
    assert "refused: signature-identity" in done.stderr
    assert not (tmp_path / "output").read_text(encoding="utf-8")


@pytest.mark.parametrize("missing", [True, False])
def test_the_workflow_stops_without_one_wheel(
    missing: bool, release: Release, machine: dict[str, str], tmp_path: Path
) -> None:
    if missing:
        release.wheel.unlink()
    else:
        (release.wheel.parent / "lamslsa-0.2.0-py3-none-any.whl.whl").write_bytes(b"a second one")
    for name in ("Verify with the verifier of GitHub", "Verify with lamslsa"):
        assert block("verify", name, release.folder, **machine).returncode != 0
    assert not (tmp_path / "output").read_text(encoding="utf-8")


def test_the_job_that_runs_the_wheel_can_sign_and_upload_nothing() -> None:
    jobs = workflow()["jobs"]
    assert jobs["verify"]["permissions"] == {"contents": "read", "attestations": "read"}
    assert jobs["upload"]["permissions"] == {"id-token": "write"}
    assert jobs["upload"]["needs"] == "verify"
    assert jobs["verify"]["needs"] == "attest"
    uses = [step["uses"].partition("@")[0] for step in jobs["upload"]["steps"] if "uses" in step]
    assert uses == ["actions/download-artifact", "pypa/gh-action-pypi-publish"]
    assert [name for name, job in jobs.items() if job["permissions"].get("id-token") == "write"] == ["attest", "upload"]
    order = [step["name"].split(",")[0] for step in jobs["verify"]["steps"] if "run" in step]
    assert order[0].startswith("Verify with the verifier of GitHub"), "before code out of the wheel runs"


def test_the_wheel_is_installed_with_what_the_lock_pins() -> None:
    text = step("verify", "Install the wheel")["run"]
    assert "--require-hashes --only-binary :all: --requirement .github/actions/verify/requirements.txt" in text
    assert "--no-index --no-deps" in text
    assert '"$RUNNER_TEMP/lamslsa"' in text
