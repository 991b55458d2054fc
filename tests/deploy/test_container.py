"""The image is built out of what a hash names, and runs as nobody."""

from __future__ import annotations

import json
import re
import tomllib

from packaging.requirements import Requirement

from lamslsa.admission.verifier import Options, Place, Verifier
from tests.deploy.rendering import ROOT, named, rendered

FOLDER = ROOT / "deploy" / "container"
LINES = [
    line
    for line in re.sub(r"\\\n\s*", "", (FOLDER / "Containerfile").read_text(encoding="utf-8")).splitlines()
    if line and not line.startswith("#")
]


def _said(word: str) -> list[str]:
    return [line.split(maxsplit=1)[1] for line in LINES if line.split(maxsplit=1)[0] == word]


def test_nothing_has_a_default_and_every_stage_stands_on_the_digest() -> None:
    assert set(_said("ARG")) == {"PYTHON_IMAGE", "WHEEL", "WHEEL_SHA256"}
    assert [line.split()[0] for line in _said("FROM")] == ["${PYTHON_IMAGE}", "${PYTHON_IMAGE}"]
    assert 'case "${PYTHON_IMAGE}" in *@sha256:*) ;;' in _said("RUN")[0]


def test_whatever_pip_installs_has_a_hash() -> None:
    installs = [part for line in _said("RUN") for part in line.split("&&") if "pip install" in part]
    assert len(installs) == 2
    assert all("--require-hashes" in line for line in installs)
    assert "--only-binary :all:" in installs[0]
    assert "--no-deps" in installs[1]
    assert "--hash=sha256:" in next(line for line in _said("RUN") if "WHEEL_SHA256" in line)
    assert not re.search(r"\b(curl|wget|apt|apk|ADD)\b", "\n".join(LINES))


def test_the_lock_of_expressions_holds_what_the_project_allows() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (wanted,) = map(Requirement, project["project"]["optional-dependencies"]["cel"])
    text = (FOLDER / "requirements-cel.txt").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", text.strip())
    assert all("--hash=sha256:" in entry for entry in entries)
    (locked,) = [Requirement(entry.split(" \\\n", 1)[0]) for entry in entries]
    assert locked.name == wanted.name
    assert wanted.specifier.contains(str(locked.specifier).removeprefix("=="))


def test_what_is_copied_is_in_the_context() -> None:
    ignored = (FOLDER / "Containerfile.dockerignore").read_text(encoding="utf-8").split()
    assert ignored[0] == "*"
    files = [each for line in _said("COPY") if not line.startswith("--from") for each in line.split()[:-1]]
    assert {f"!{each.replace('${WHEEL}', '*.whl')}" for each in files} == set(ignored[1:])
    assert all((ROOT / each).is_file() for each in files if "$" not in each)


def test_the_verifier_of_a_pod_is_found_in_it() -> None:
    verifier = Verifier(options=Options(image=f"registry.example/lamslsa@sha256:{'1' * 64}"), policy="", closure="")
    container = verifier.container(Place(volume="model"))
    (entry,) = _said("ENTRYPOINT")
    folder, _, program = json.loads(entry)[0].rpartition("/")
    assert container["command"] == [program]
    assert f"PATH={folder}:" in _said("ENV")[-1]
    within = container["securityContext"]
    assert _said("USER") == [f"{within['runAsUser']}:{within['runAsGroup']}"]


def test_it_runs_as_nobody_and_without_a_shell() -> None:
    assert _said("USER") == ["65532:65532"]
    assert LINES.index("USER 65532:65532") > LINES.index("FROM ${PYTHON_IMAGE}")
    (entry,) = _said("ENTRYPOINT")
    assert json.loads(entry) == ["/opt/lamslsa/bin/lamslsa"]
    within = named(rendered("static-certificates"), "Deployment")["spec"]["template"]["spec"]
    assert within["securityContext"]["runAsUser"] == within["securityContext"]["runAsGroup"] == 65532
    assert "command" not in within["containers"][0]
    assert within["containers"][0]["args"][:2] == ["admission", "serve"]
