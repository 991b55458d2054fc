"""Pods to guard, a verifier, and a JSON Patch applied as an API server does."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

from lamslsa.admission.verifier import Options, Verifier

IMAGE = "registry.example/lamslsa@sha256:" + "5e" * 32
VERIFIER = Verifier(options=Options(image=IMAGE), policy="cG9saWN5", closure="c1" * 32)
CLAIM: dict[str, Any] = {"name": "weights", "persistentVolumeClaim": {"claimName": "weights"}}
SERVER: dict[str, Any] = {
    "name": "server",
    "image": "registry.example/server:1",
    "volumeMounts": [{"name": "weights", "mountPath": "/models"}],
}
INITIALIZER: dict[str, Any] = {
    "name": "storage-initializer",
    "image": "kserve/storage-initializer:v0.15.0",
    "args": ["s3://models/census", "/mnt/models"],
    "volumeMounts": [{"name": "kserve-provision-location", "mountPath": "/mnt/models"}],
}


def claimed(**changes: Any) -> dict[str, Any]:
    """The spec of a Pod that serves a model from a claim, changed in its first container, or where the key is known."""
    spec = copy.deepcopy({"volumes": [CLAIM], "containers": [SERVER]})
    for name, value in changes.items():
        if name in {"volumes", "containers", "initContainers", "ephemeralContainers"} or name in _POD:
            spec[name] = value
        else:
            spec["containers"][0][name] = value
    return spec


_POD = {"shareProcessNamespace", "hostPID", "os", "securityContext"}


def fetched(**changes: Any) -> dict[str, Any]:
    """The spec of a Pod for which KServe fetches a model."""
    mount = {"name": "kserve-provision-location", "mountPath": "/mnt/models", "readOnly": True}
    spec: dict[str, Any] = {
        "volumes": [{"name": "kserve-provision-location", "emptyDir": {}}],
        "initContainers": [copy.deepcopy(INITIALIZER)],
        "containers": [{"name": "kserve-container", "image": "registry.example/server:1", "volumeMounts": [mount]}],
    }
    return {**spec, **changes}


def patched(document: dict[str, Any], operations: list[dict[str, Any]]) -> dict[str, Any]:
    """A document after a JSON Patch (RFC 6902) of ``add`` operations to members of objects."""
    result = copy.deepcopy(document)
    for operation in operations:
        assert operation.keys() == {"op", "path", "value"}
        assert operation["op"] == "add"
        *above, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        holder = result
        for name in above:
            holder = holder[name]
        holder[last] = operation["value"]
    return result


def operations_of(response: dict[str, Any]) -> list[dict[str, Any]]:
    """What a response says to change."""
    assert response["allowed"] is True
    if "patch" not in response:
        assert "patchType" not in response
        return []
    assert response["patchType"] == "JSONPatch"
    operations: list[dict[str, Any]] = json.loads(base64.b64decode(response["patch"], validate=True))
    assert operations
    return operations
