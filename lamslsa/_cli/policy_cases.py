"""Cases out of their folders: read, and decided under a policy."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from lamslsa._cli import endorsements
from lamslsa._cli.challenge import ChallengeFile
from lamslsa._cli.inputs import read_capped
from lamslsa.artifact.manifest import MAX_MANIFEST_BYTES, Manifest
from lamslsa.decision import decide
from lamslsa.errors import FormatError, PolicyError
from lamslsa.policy import Policy
from lamslsa.policy.cases import Case, Ended, parse_case
from lamslsa.store import StoredBundle, open_artifact_store, open_store

__all__ = ["CASE_FILE", "find", "run"]

CASE_FILE: Final = "case.yaml"
_ATTESTATIONS: Final = "attestations"
_MAX_CASES: Final = 10_000


def find(folder: Path) -> list[Path]:
    """The folders of the cases in a folder, by name.

    Raises:
        FormatError: there are none.
    """
    found = sorted(path.parent for path in folder.glob(f"*/{CASE_FILE}")) if folder.is_dir() else []
    if not found or len(found) > _MAX_CASES:
        raise FormatError(
            f"expected 1 to {_MAX_CASES} cases in {folder}, got {len(found)}",
            reason="policy-cases",
            hint=f"a case is a folder with {CASE_FILE} in it; policies/cases.md says what stands there",
        )
    return found


def run(folder: Path, policy: Policy) -> Ended:
    """Decide one case.

    Raises:
        FormatError: the case, or a file that it names, cannot be read.
        UnavailableError: a package is not installed that the policy needs.
    """
    file = folder / CASE_FILE
    case = parse_case(read_capped(file, what="case"), name=folder.name, source=str(file))
    manifest, bundles = _manifest(folder, case), _bundles(folder, case)
    held = endorsements.read([folder / name for name in case.collateral])
    asked = None if case.challenge is None else ChallengeFile.read(folder / case.challenge).challenge
    try:
        appraisal = decide(
            policy,
            model=manifest,
            model_name=Path(case.model).stem,
            bundles=bundles,
            at=case.at,
            now=case.now,
            held=held,
            challenge=asked,
        )
    except PolicyError as err:
        return Ended(case=case, outcome=err)
    return Ended(case=case, outcome=appraisal)


def _manifest(folder: Path, case: Case) -> Manifest:
    path = folder / case.model
    if path.is_file() and path.suffix == ".json":
        return Manifest.parse(read_capped(path, what="manifest", limit=MAX_MANIFEST_BYTES))
    return open_artifact_store(str(path)).manifest()


def _bundles(folder: Path, case: Case) -> list[StoredBundle]:
    """The attestations of a case. The folder that goes without saying may be absent, one that is named may not."""
    for name in case.attestations or ():
        if not (folder / name).exists():
            raise FormatError(
                f"expected attestations at {folder / name}, got nothing",
                reason="policy-cases",
                hint="leave attestations out for a case without any",
            )
    paths = [folder / name for name in case.attestations or (_ATTESTATIONS,)]
    return [bundle for path in paths if path.exists() for bundle in open_store(str(path)).bundles()]
