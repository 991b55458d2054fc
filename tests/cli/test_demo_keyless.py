"""The later half of the keyless demo, over the chain that the tests share: signed, pushed, defrauded, audited."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lamslsa.sign import parse_bundle
from lamslsa.testing.registry import Registry
from lamslsa.testing.sigstore import LocalSigstore
from tests.forking import forked

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "census"


@pytest.fixture
def keyless(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The demo as a module; it imports the other one by its name."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    for name in ("demo", "demo_keyless"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("demo_keyless")


@pytest.mark.slow
def test_from_the_runs_to_the_auditor(
    chain: Any, keyless: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "demo"
    shutil.copytree(chain.folder, folder, ignore=shutil.ignore_patterns(".attestations", "attacks", "*-again"))
    with (
        forked(sys.modules["walk"]),
        LocalSigstore() as sigstore,
        Registry(folder / "registry") as registry,
    ):
        demo = keyless.KeylessDemo(folder, job=chain.job, data=chain.train.parent, sigstore=sigstore, registry=registry)
        demo.identify()
        assert not any((folder / f"{role}.key").exists() for role in keyless.SIGNERS)
        keyless.share(demo)
        archive = keyless.judge(demo)
        assert len(demo.frauds()) == 5
    keyless.audit(demo, archive)

    bundles = [parse_bundle(path.read_bytes()) for path in (folder / "pulled" / ".attestations").iterdir()]
    assert len(bundles) == 8
    assert len({bundle.material.certificates for bundle in bundles}) == 3, "a certificate each"
    said = capsys.readouterr().out
    assert said.count("\n  refused (") == 5
    assert said.count("\nACCEPTED under census-income") == 2
