"""A model, and how the OCI store reaches a registry in these tests."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from lamslsa.store.folder import FolderStore
from lamslsa.store.oci import Options
from tests.interop.docker_registry import DockerRegistry


def make_model(folder: Path) -> FolderStore:
    """A model of several files; two have the same bytes, one is empty, one has a name that needs UTF-8."""
    files = {
        "model.safetensors": bytes(range(256)) * 512,
        "config.json": b"{}",
        "tokenizer/vocab.json": b"{}",
        "tokenizer/größe.txt": b"\n",
        "__init__.py": b"",
        "README.md": b"# A model\n",
    }
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return FolderStore(path=folder)


def options_of(registry: DockerRegistry, home: Path) -> Options:
    """What leads to a registry: its authority, and credentials where docker keeps them."""
    if not registry.ca:
        return Options(plain_http=True)
    return Options(authorities=registry.ca, environ=logged_in(registry, home))


def logged_in(registry: DockerRegistry, home: Path) -> dict[str, str]:
    """An environment whose HOME has the file that `docker login` writes."""
    auth = base64.b64encode(f"{registry.user}:{registry.password}".encode()).decode()
    (home / ".docker").mkdir(parents=True, exist_ok=True)
    (home / ".docker" / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": auth}}}))
    return {"HOME": str(home)}
