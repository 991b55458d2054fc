"""Refusals of the command line that a broken device, a missing package or a broken file brings about."""

from __future__ import annotations

import ast
import errno
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any, cast

import pytest

from lamslsa._cli import fetch_collateral, main, signing
from lamslsa._cli.challenge import ChallengeFile
from lamslsa.errors import FormatError
from lamslsa.sign.keyless.config import TrustConfig
from lamslsa.testing.simulated import SimulatedVendor
from tests.cli.conftest import Cli
from tests.cli.world import NOW

CHALLENGE = {"kind": "lamslsa.dev/challenge/v1", "nonce": "00" * 32, "issuedAt": "2026-11-22T00:00:00Z", "used": None}
PROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.mark.parametrize(
    ("err", "code", "reason"),
    [
        (OSError(errno.ENOSPC, "no space left on device", "out"), 6, "file-system"),
        (OSError(errno.EIO, "input/output error"), 6, "file-system"),
        (OSError(errno.ENOENT, "no such file", "out"), 3, "file-unreadable"),
        (ModuleNotFoundError("no torch", name="torch"), 6, "extra-missing"),
        (ModuleNotFoundError("no PIL", name="PIL"), 6, "extra-missing"),
    ],
)
def test_what_the_system_says(
    monkeypatch: pytest.MonkeyPatch, cli: Cli, err: Exception, code: int, reason: str
) -> None:
    def fail(**_: object) -> None:
        raise err

    monkeypatch.setattr(main.cli, "main", fail)
    found, document, _ = cli("digest", "x")
    assert (found, document["error"]["reason"]) == (code, reason)


def test_another_package_that_is_missing_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise ModuleNotFoundError("no click", name="click")

    monkeypatch.setattr(main.cli, "main", fail)
    with pytest.raises(ModuleNotFoundError):
        main.main(["digest", "x"])


def test_every_extra_that_is_named_is_one() -> None:
    extras = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]
    assert set(main._EXTRAS.values()) <= extras.keys()
    distributions = {"PIL": "pillow", "sklearn": "scikit-learn", "pkcs11": "python-pkcs11", "pynvml": "nvidia-ml-py"}
    distributions |= {"cel_expr_python": "cel-expr-python"}
    for module, extra in main._EXTRAS.items():
        if module != "lxml":  # by way of signxml
            assert any(item.startswith(distributions.get(module, module)) for item in extras[extra]), module


def test_every_package_of_an_extra_that_we_import_is_in_the_table() -> None:
    """One that is missing is told with what to install, and is no bug."""
    project = tomllib.loads(PROJECT.read_text())["project"]
    always = {"google", "in_toto_attestation", "rfc3161_client", "sigstore_models", "tuf", "yaml"}  # google.protobuf
    always |= {"securesystemslib"}  # by way of sigstore
    always |= {re.split(r"[<>=;\[ ]", item)[0].replace("-", "_") for item in project["dependencies"]}
    package = PROJECT.parent / "lamslsa"
    for path in package.rglob("*.py"):
        if path.is_relative_to(package / "testing"):
            continue
        for module in _imported(ast.parse(path.read_text(encoding="utf-8"))) - sys.stdlib_module_names - always:
            assert module in {"lamslsa", *main._EXTRAS}, f"{path}: {module}"


def _imported(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.add(node.module.partition(".")[0])
    return found - {"_typeshed"}


@pytest.mark.parametrize(
    "change",
    [{"kind": "other"}, {"nonce": "00"}, {"issuedAt": "2026-13-22T00:00:00Z"}, {"issuedAt": "today"}, {"more": 1}],
)
def test_other_documents_are_no_challenge(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "challenge.json"
    path.write_text(json.dumps(CHALLENGE))
    ChallengeFile.read(path)
    path.write_text(json.dumps(CHALLENGE | change))
    with pytest.raises(FormatError) as caught:
        ChallengeFile.read(path)
    assert caught.value.reason == "challenge-file"


def test_a_leaf_is_one_certificate(tmp_path: Path) -> None:
    chain = json.loads(SimulatedVendor(NOW).collateral())["pck_crl_issuer_chain"]
    end = "-----END CERTIFICATE-----\n"
    path = tmp_path / "leaf.pem"
    path.write_text(chain.split(end)[0] + end)
    assert fetch_collateral._certificate(path)
    path.write_text(chain)
    with pytest.raises(FormatError) as caught:
        fetch_collateral._certificate(path)
    assert caught.value.reason == "fetch-leaf"


def test_a_token_is_ascii(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_bytes("ey\u00e9".encode())
    with pytest.raises(FormatError) as caught:
        signing._token_source(f"@{path}", cast("TrustConfig", None))
    assert caught.value.reason == "token-bytes"
