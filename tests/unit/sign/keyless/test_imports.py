"""Sigstore's client is imported by whoever needs it, and says nothing by itself."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from lamslsa.errors import FormatError
from lamslsa.evidence.nonce import Nonce
from lamslsa.sign import keyless
from lamslsa.sign.keyless import SigstoreRoot
from tests.cli.world import World

IMPORTED = "sorted(name for name in sys.modules if name.partition('.')[0] in {'sigstore', 'sigstore_models', 'tuf'})"


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_keys_alone_need_no_client_of_sigstore(tmp_path: Path) -> None:
    world = World.of(tmp_path)
    world.publish(Nonce.random())
    code = f"""
import sys
from lamslsa._cli.main import main
code = main(["verify", sys.argv[1], "--policy", sys.argv[2], "--quiet"])
print(code, {IMPORTED})
"""
    done = run(code, world.model, world.policy())
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr


def test_every_way_to_sign_is_there_and_imports_no_client_of_sigstore() -> None:
    code = f"""
import sys
from lamslsa.sign import keyless
assert not [name for name in sys.modules if name.startswith("lamslsa.sign.keyless.session")]
for name in keyless.__all__:
    assert getattr(keyless, name).__name__ == name
print({IMPORTED})
"""
    done = run(code)
    assert done.stdout == "[]\n", done.stderr


def test_there_is_nothing_else() -> None:
    with pytest.raises(AttributeError, match="no attribute 'open_sesame'"):
        keyless.open_sesame  # type: ignore[attr-defined]  # noqa: B018 - what is asked for is the point


def test_what_the_client_logs_is_not_printed() -> None:
    code = """
import logging
import lamslsa.sign.keyless
logging.getLogger("sigstore._internal.tuf").warning("printed")
logging.getLogger("elsewhere").warning("last resort")
"""
    assert run(code).stderr == "last resort\n"


def test_without_the_client_there_is_no_embedded_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FormatError) as caught:
        SigstoreRoot.embedded()
    assert caught.value.reason == "trusted-root-missing"
