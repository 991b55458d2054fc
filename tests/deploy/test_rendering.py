"""What the other tests look at is what kustomize makes of the files."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.deploy.rendering import (
    EXAMPLES,
    KUBERNETES,
    RENDERED,
    copied,
    kept,
    kustomize,
    parsed,
    rendered_anew,
    sources,
)

HEAD = "# What kustomize makes of deploy/kubernetes with digest "


def test_every_example_is_rendered() -> None:
    examples = KUBERNETES / "examples"
    found = {str(path.parent.relative_to(examples)) for path in examples.rglob("kustomization.yaml")}
    assert found - {"static-certificates/certificates"} == set(EXAMPLES)
    assert {path.name for path in RENDERED.iterdir()} == {kept(example).name for example in EXAMPLES}


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_rendering_is_of_the_files(example: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Without kubectl too, a changed file is noticed: the digest of all of them stands above the rendering."""
    if request.config.getoption("--update-golden"):
        RENDERED.mkdir(exist_ok=True)
        kept(example).write_text(f"{HEAD}{sources()}\n{rendered_anew(copied(tmp_path), example)}", encoding="utf-8")
    first = kept(example).read_text(encoding="utf-8").partition("\n")[0]
    assert first == f"{HEAD}{sources()}", "render anew: pytest tests/deploy/test_rendering.py --update-golden"


@pytest.mark.parametrize("example", EXAMPLES)
def test_kustomize_renders_the_same(example: str, tmp_path: Path) -> None:
    anew = parsed(rendered_anew(copied(tmp_path), example))
    assert anew == parsed(kept(example).read_text(encoding="utf-8"))


def test_every_namespace_takes_the_label_out_of_both_webhooks(tmp_path: Path) -> None:
    kubernetes = copied(tmp_path)
    path = kubernetes / "examples" / "cert-manager" / "kustomization.yaml"
    text = path.read_text(encoding="utf-8")
    last = "  - ../../components/prometheus\n"
    assert last in text
    path.write_text(text.replace(last, f"{last}  - ../../components/every-namespace\n"), encoding="utf-8")
    webhooks = [each for each in parsed(rendered_anew(kubernetes, "cert-manager")) if "webhooks" in each]
    assert [each["webhooks"][0]["namespaceSelector"] for each in webhooks] == [
        {
            "matchExpressions": [
                {
                    "key": "kubernetes.io/metadata.name",
                    "operator": "NotIn",
                    "values": ["kube-system", "lamslsa-admission", "cert-manager"],
                }
            ]
        }
    ] * 2


def test_without_certificates_nothing_is_rendered(tmp_path: Path) -> None:
    kubernetes = copied(tmp_path)
    (kubernetes / "examples" / "static-certificates" / "certificates" / "ca.crt").unlink()
    with pytest.raises(subprocess.CalledProcessError) as caught:
        rendered_anew(kubernetes, "static-certificates")
    assert "ca.crt" in caught.value.stderr


@pytest.mark.parametrize(("minor", "enough"), [("20", False), ("23", False), ("24", True), ("32+", True)])
def test_an_old_kubectl_is_left_out(minor: str, enough: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = json.dumps({"clientVersion": {"major": "1", "minor": minor}})
    program = tmp_path / "kubectl"
    program.write_text(f"#!/bin/sh\necho '{said}'\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    if enough:
        assert kustomize() == [str(program), "kustomize"]
    else:
        with pytest.raises(pytest.skip.Exception, match="too old"):
            kustomize()


@pytest.mark.parametrize("minor", [None, "20"])
def test_kustomize_renders_where_kubectl_does_not(
    minor: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = json.dumps({"clientVersion": {"major": "1", "minor": minor}})
    program = tmp_path / "kustomize"
    for path in (program, *([tmp_path / "kubectl"] if minor else [])):
        path.write_text(f"#!/bin/sh\necho '{said}'\n", encoding="utf-8")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert kustomize() == [str(program), "build"]
