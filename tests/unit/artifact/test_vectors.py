"""Vectors of the artifact's identity: built on disk from tests/vectors/artifact/cases.json."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from lamslsa.artifact import hash_artifact, read_verified
from lamslsa.errors import FormatError

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "artifact" / "cases.json").read_text(encoding="utf-8")
)

WEIGHT = {".safetensors", ".pt2", ".pt", ".pth", ".bin", ".onnx", ".gguf", ".npz", ".h5", ".tflite"}
CODE = {".py", ".ipynb", ".sh"}
DOC = {".md", ".txt", ".rst", ".pdf"}


def build(case: dict[str, Any], folder: Path) -> Path:
    """Lay a case out below ``folder`` and return the artifact's root."""
    (folder / "outside.txt").write_text("outside")
    (folder / "artifact-too").mkdir()
    (folder / "artifact-too" / "file.txt").write_text("outside")
    root = folder / "artifact"
    root.mkdir()
    for entry in [*case["entries"], *generated(case)]:
        path = root / (os.fsdecode(bytes.fromhex(entry["pathHex"])) if "pathHex" in entry else entry["path"])
        path.parent.mkdir(parents=True, exist_ok=True)
        if "link" in entry:
            path.symlink_to(entry["link"])
        elif "folder" in entry:
            path.mkdir()
        elif "pipe" in entry:
            os.mkfifo(path)
        elif "socket" in entry:
            os.mknod(path, stat.S_IFSOCK | 0o600)
        else:
            path.write_bytes(content(entry))
    return root / str(case.get("root", ""))


def generated(case: dict[str, Any]) -> list[dict[str, Any]]:
    """The files of a case that is too long to write down: ``<index modulo folders>/<index>``, holding the index."""
    if "generate" not in case:
        return []
    count, folders = case["generate"]["count"], case["generate"]["folders"]
    return [{"path": f"{index % folders}/{index}", "text": str(index)} for index in range(count)]


def content(entry: dict[str, Any]) -> bytes:
    return bytes.fromhex(entry["hex"]) if "hex" in entry else entry["text"].encode()


def independent_type(kind: str, path: str) -> str:
    """The table of layer types, written a second time."""
    name = path.rsplit("/", maxsplit=1)[-1]
    lower = "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in name)
    suffix = lower[lower.rindex(".") :] if "." in lower[1:] else ""
    word = "weight.config"
    if suffix in WEIGHT:
        word = "weight"
    elif suffix in CODE:
        word = "code"
    elif suffix in DOC or name[:7] == "LICENSE" or name[:6] == "NOTICE":
        word = "doc"
    return f"application/vnd.cncf.model.{'dataset' if kind == 'dataset' else word}.v1.raw"


def independent_digest(case: dict[str, Any]) -> str:
    """The identity by a second implementation, from the case itself and through rfc8785."""
    entries = [*case["entries"], *generated(case)]
    contents = {entry["path"]: content(entry) for entry in entries if "text" in entry or "hex" in entry}
    for entry in entries:
        if "link" in entry:
            contents[entry["path"]] = contents[os.path.normpath(f"{entry['path']}/../{entry['link']}")]
    files = sorted(path for path in contents if not path.startswith((".git/", ".attestations/")))
    digests = [f"sha256:{hashlib.sha256(contents[path]).hexdigest()}" for path in files]
    config = rfc8785.dumps({"config": {}, "descriptor": {}, "modelfs": {"type": "layers", "diffIds": digests}})
    manifest: Any = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.cncf.model.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.cncf.model.config.v1+json",
            "digest": f"sha256:{hashlib.sha256(config).hexdigest()}",
            "size": len(config),
        },
        "layers": [
            {
                "mediaType": independent_type(case["kind"], path),
                "digest": digest,
                "size": len(contents[path]),
                "annotations": {"org.cncf.model.filepath": path},
            }
            for path, digest in zip(files, digests, strict=True)
        ],
    }
    return hashlib.sha256(rfc8785.dumps(manifest)).hexdigest()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_vector(case: dict[str, Any], tmp_path: Path) -> None:
    root = build(case, tmp_path)
    if "reason" in case:
        with pytest.raises(FormatError) as caught:
            hash_artifact(root, case["kind"])
        assert caught.value.reason == case["reason"]
        with pytest.raises(FormatError) as caught, read_verified(root, case["kind"]):
            pass
        assert caught.value.reason == case["reason"]
        return
    manifest = hash_artifact(root, case["kind"])
    assert f"sha256:{manifest.sha256}" == case["digest"]
    assert manifest.sha256 == independent_digest(case)
    with read_verified(root, case["kind"]) as artifact:
        assert artifact.manifest == manifest


def test_the_cases_that_say_so_have_equal_or_different_identities() -> None:
    digests = {case["name"]: case.get("digest") for case in CASES}
    assert digests["attestations and git at the root are left out"] == digests["without attestations and git"]
    assert digests["link to a file inside"] == digests["copy in place of a link"]
    distinct = ["without attestations and git", "renamed file", "changed content", "nested folders"]
    distinct += ["nested folders as a dataset"]
    assert len({digests[name] for name in distinct}) == len(distinct)
