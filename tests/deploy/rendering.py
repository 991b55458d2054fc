"""deploy/kubernetes as documents: each file by itself, and each example as kustomize renders it.

The renderings are kept beside the tests, so that all of them run where there is no kubectl. `test_rendering` says when
they are not those of the files, and `pytest tests/deploy/test_rendering.py --update-golden` writes them anew.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
KUBERNETES: Final = ROOT / "deploy" / "kubernetes"
RENDERED: Final = Path(__file__).resolve().parent / "rendered"
EXAMPLES: Final = ("static-certificates", "cert-manager", "cert-manager/gatekeeper")
"""Everything under examples/ that is handed to `kubectl apply -k`."""
LABELS: Final = {"app.kubernetes.io/name": "lamslsa", "app.kubernetes.io/component": "admission"}
_MADE: Final = shutil.ignore_patterns("*.crt", "*.key", "*.csr", "*.srl")
_STAND_INS: Final = (
    *(f"examples/static-certificates/certificates/{name}" for name in ("ca.crt", "tls.crt", "tls.key")),
    "examples/cert-manager/gatekeeper/ca.crt",
)
_FIRST_ENOUGH: Final = 1, 24

Document = dict[str, Any]


class _Loader(yaml.SafeLoader):
    """YAML in which no key stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"{node.start_mark}: expected each key once, got {keys}"
        return super().construct_mapping(node, deep)


def parsed(text: str) -> list[Document]:
    return [document for document in yaml.load_all(text, Loader=_Loader) if document is not None]


def files() -> list[Path]:
    """Every file of YAML but the policies, which are not for Kubernetes."""
    return sorted(path for path in KUBERNETES.rglob("*.yaml") if path.name != "policy.yaml")


def sources() -> str:
    """A digest of everything that a rendering depends on."""
    digest = hashlib.sha256()
    for path in sorted(KUBERNETES.rglob("*.yaml")):
        digest.update(f"{path.relative_to(KUBERNETES)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def copied(folder: Path) -> Path:
    """deploy/kubernetes in a folder of its own, with something in the place of each certificate."""
    kubernetes = folder / "kubernetes"
    shutil.copytree(KUBERNETES, kubernetes, ignore=_MADE)
    for name in _STAND_INS:
        (kubernetes / name).write_text(f"{Path(name).name} is made by whoever installs this\n", encoding="utf-8")
    return kubernetes


def kustomize() -> list[str]:
    """How to render: with kubectl, where one is new enough to know components, and else with kustomize itself."""
    kubectl = shutil.which("kubectl")
    trouble = "kubectl is not on PATH"
    if kubectl is not None:
        said = subprocess.run([kubectl, "version", "--client", "--output=json"], capture_output=True, check=True)
        client = json.loads(said.stdout)["clientVersion"]
        numbers = int(client["major"]), int("".join(filter(str.isdigit, client["minor"])))
        if numbers >= _FIRST_ENOUGH:
            return [kubectl, "kustomize"]
        trouble = f"kubectl {numbers[0]}.{numbers[1]} has a kustomize that is too old for components"
    alone = shutil.which("kustomize")
    if alone is None:
        pytest.skip(f"{trouble}, nor is there a kustomize: nothing is rendered anew")
    return [alone, "build"]


def rendered_anew(kubernetes: Path, example: str) -> str:
    home = {**os.environ, "HOME": str(kubernetes), "KUBECONFIG": os.devnull}
    command = [*kustomize(), str(kubernetes / "examples" / example)]
    return subprocess.run(command, capture_output=True, check=True, text=True, env=home, timeout=60).stdout


def kept(example: str) -> Path:
    return RENDERED / f"{example.replace('/', '-')}.yaml"


def rendered(example: str) -> list[Document]:
    """An example, as it was rendered last; whoever asks may change it."""
    return copy.deepcopy(_read(kept(example)))


@cache
def _read(path: Path) -> list[Document]:
    return parsed(path.read_text(encoding="utf-8"))


def named(documents: list[Document], kind: str, name: str | None = None) -> Document:
    """The one document of a kind, or of a kind and a name."""
    found = [each for each in documents if each["kind"] == kind and name in {None, each["metadata"]["name"]}]
    assert len(found) == 1, f"expected one {kind} {name or ''}, got {len(found)}"
    return found[0]
