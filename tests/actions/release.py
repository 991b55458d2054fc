"""Provenance as actions/attest-build-provenance writes it, signed as a run of a workflow of GitHub."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lamslsa.sign.keyless.config import parse_trust_config
from lamslsa.sign.keyless.session import open_session
from lamslsa.sign.keyless.tokens import parse_token
from lamslsa.statement import Subject, make
from lamslsa.testing.sigstore import LocalSigstore, github_claims
from tests.actions.composite import ROOT

REPOSITORY, WORKFLOW, REF = "lamslsa/lamslsa", ".github/workflows/release.yml", "refs/tags/v0.2.0"
WHEEL = "lamslsa-0.2.0-py3-none-any.whl"
SLSA = "https://slsa.dev/provenance/v1"


def claims(repository: str = REPOSITORY, workflow: str = WORKFLOW, ref: str = REF, **others: str) -> dict[str, str]:
    """What the token of the run says; the run of a release, where nothing else is given."""
    return github_claims(repository, workflow=workflow, ref=ref) | {"event_name": "release"} | others


def predicate(run: dict[str, str]) -> dict[str, Any]:
    """What the run says of itself."""
    repository = f"https://github.com/{run['repository']}"
    path = run["workflow_ref"].removeprefix(f"{run['repository']}/").partition("@")[0]
    return {
        "buildDefinition": {
            "buildType": "https://actions.github.io/buildtypes/workflow/v1",
            "externalParameters": {"workflow": {"ref": run["ref"], "repository": repository, "path": path}},
            "internalParameters": {
                "github": {
                    "event_name": run["event_name"],
                    "repository_id": run["repository_id"],
                    "repository_owner_id": run["repository_owner_id"],
                    "runner_environment": run["runner_environment"],
                }
            },
            "resolvedDependencies": [{"uri": f"git+{repository}@{run['ref']}", "digest": {"gitCommit": run["sha"]}}],
        },
        "runDetails": {
            "builder": {"id": f"https://github.com/{run['job_workflow_ref']}"},
            "metadata": {"invocationId": f"{repository}/actions/runs/{run['run_id']}/attempts/1"},
        },
    }


def signed(sigstore: LocalSigstore, payload: bytes, run: dict[str, str]) -> bytes:
    """The bundle, as that run signs."""
    config = parse_trust_config(sigstore.trust_config_json(rekor=1).encode())
    token = parse_token(sigstore.token(claims=run))
    with open_session(config, token, require_timestamp=False, consent=lambda: None, note=pytest.fail) as signer:
        return signer.sign(payload)


class Release:
    """A checkout with the policy under which this machine's Sigstore vouches, and a wheel.

    Attributes:
        policy: of the repository, with another issuer and root.
        wheel: what was built.
    """

    def __init__(self, sigstore: LocalSigstore, folder: Path) -> None:
        self.sigstore, self.folder = sigstore, folder
        place = folder / "policies" / "release"
        place.mkdir(parents=True)
        (place / "appraise.py").symlink_to(ROOT / "policies" / "release" / "appraise.py")
        (place / "trusted-root.json").write_text(sigstore.trusted_root_json(), encoding="utf-8")
        text = (ROOT / "policies" / "release" / "release.yaml").read_text(encoding="utf-8")
        text, times = re.subn("issuer: .*", f"issuer: {sigstore.issuer}", text)
        text = text.replace("trust:\n", "trust:\n  trustedRoot: trusted-root.json\n", 1)
        assert times == 1
        self.policy = place / "release.yaml"
        self.policy.write_text(text, encoding="utf-8")
        (folder / "dist").mkdir()
        self.wheel = folder / "dist" / WHEEL
        self.wheel.write_bytes(b"a wheel")

    def provenance(
        self,
        run: dict[str, str] | None = None,
        *,
        alter: Callable[[dict[str, Any]], object] = lambda _: None,
        predicate_type: str = SLSA,
        name: str = WHEEL,
        content: bytes | None = None,
    ) -> bytes:
        """The bundle of a run, on one line.

        Args:
            run: claims of its token.
            alter: changes the predicate before it is signed.
            predicate_type: of the statement.
            name: of the subject.
            content: of the subject; the wheel's, where None.
        """
        run = claims() if run is None else run
        said = predicate(run)
        alter(said)
        sha256 = hashlib.sha256(self.wheel.read_bytes() if content is None else content).hexdigest()
        bundle = signed(self.sigstore, make([Subject(name=name, sha256=sha256)], predicate_type, said), run)
        return json.dumps(json.loads(bundle)).encode() + b"\n"
