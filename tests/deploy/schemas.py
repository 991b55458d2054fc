"""Holds documents against schemas in which no key is unknown.

Kubernetes publishes its own (PyPI `kubernetes-validate` brings them along). For kinds of others, and of kustomize, the
keys that are used here are written down below, after the definitions that those projects publish.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import jsonschema
from kubernetes_validate import utils
from referencing import Registry, Resource

from tests.deploy.rendering import Document

OLDEST: Final = "1.31"
"""The oldest release that is supported, which is the first one with image volumes."""

_TEXT: Final = {"type": "string", "minLength": 1}
_TEXTS: Final = {"type": "array", "items": _TEXT, "minItems": 1}
_MAP: Final = {"type": "object", "additionalProperties": {"type": "string"}}
_DURATION: Final = {"type": "string", "pattern": r"^([0-9]+(h|m|s))+$"}


def _closed(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    properties = {**required, **optional}
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def _object(api: str, kind: str, spec: dict[str, Any], *, namespaced: bool) -> dict[str, Any]:
    metadata = _closed({"name": _TEXT, **({"namespace": _TEXT} if namespaced else {})}, labels=_MAP, annotations=_MAP)
    return _closed({"apiVersion": {"const": api}, "kind": {"const": kind}, "metadata": metadata, "spec": spec})


_EXPRESSIONS: Final = {
    "type": "array",
    "items": _closed(
        {
            "key": _TEXT,
            "operator": {"enum": ["In", "NotIn", "Exists", "DoesNotExist"]},
            "values": {"type": "array", "items": _TEXT},
        }
    ),
}
_ISSUER: Final = _closed(
    {"name": _TEXT, "kind": {"enum": ["Issuer", "ClusterIssuer"]}, "group": {"const": "cert-manager.io"}}
)
_USAGES: Final = ["signing", "digital signature", "key encipherment", "server auth", "client auth", "cert sign"]
_CERTIFICATE: Final = _closed(
    {"secretName": _TEXT, "issuerRef": _ISSUER},
    isCA={"type": "boolean"},
    commonName={"type": "string", "minLength": 1, "maxLength": 64},
    dnsNames=_TEXTS,
    duration=_DURATION,
    renewBefore=_DURATION,
    usages={"type": "array", "items": {"enum": _USAGES}},
    privateKey=_closed(
        {"algorithm": {"enum": ["RSA", "ECDSA", "Ed25519"]}, "size": {"type": "integer"}},
        rotationPolicy={"enum": ["Never", "Always"]},
    ),
)
_ENDPOINT: Final = _closed(
    {"port": _TEXT},
    path=_TEXT,
    scheme={"enum": ["http", "https"]},
    interval=_DURATION,
    tlsConfig=_closed({}, serverName=_TEXT, ca=_closed({}, secret=_closed({"name": _TEXT, "key": _TEXT}))),
)
_MONITOR: Final = _closed(
    {"selector": _closed({"matchLabels": _MAP}), "endpoints": {"type": "array", "items": _ENDPOINT}}
)
_OF_ISSUER: Final = {"oneOf": [_closed({"selfSigned": _closed({})}), _closed({"ca": _closed({"secretName": _TEXT})})]}
_TEMPLATE: Final = _closed(
    {
        "crd": _closed({"spec": _closed({"names": _closed({"kind": _TEXT})})}),
        "targets": {
            "type": "array",
            "minItems": 1,
            "items": _closed({"target": {"const": "admission.k8s.gatekeeper.sh"}, "rego": _TEXT}),
        },
    }
)
_CONSTRAINT: Final = _closed(
    {
        "enforcementAction": {"enum": ["deny", "warn", "dryrun"]},
        "match": _closed(
            {
                "kinds": {
                    "type": "array",
                    "items": _closed({"apiGroups": {"type": "array", "items": {"type": "string"}}, "kinds": _TEXTS}),
                }
            },
            scope={"enum": ["*", "Cluster", "Namespaced"]},
            excludedNamespaces=_TEXTS,
            namespaceSelector=_closed({"matchExpressions": _EXPRESSIONS}),
        ),
    }
)
_PROVIDER: Final = _closed(
    {"url": {"type": "string", "pattern": "^https://"}, "timeout": {"type": "integer"}}, caBundle=_TEXT
)
_OPTIONS: Final = _closed(
    {}, immutable={"type": "boolean"}, disableNameSuffixHash={"type": "boolean"}, annotations=_MAP, labels=_MAP
)
_SELECT: Final = _closed({}, group=_TEXT, version=_TEXT, kind=_TEXT, name=_TEXT)
_TARGET: Final = _closed({"select": _SELECT, "fieldPaths": _TEXTS}, options=_closed({}, create={"type": "boolean"}))
_GENERATOR: Final = {"name": _TEXT, "files": _TEXTS}
_KUSTOMIZE: Final = {
    "resources": _TEXTS,
    "components": _TEXTS,
    "configMapGenerator": {"type": "array", "items": _closed(_GENERATOR, options=_OPTIONS)},
    "secretGenerator": {"type": "array", "items": _closed(_GENERATOR, options=_OPTIONS, type=_TEXT)},
    "images": {"type": "array", "items": _closed({"name": _TEXT, "newName": _TEXT, "digest": _TEXT})},
    "patches": {"type": "array", "items": _closed({"target": _SELECT, "patch": _TEXT})},
    "replacements": {
        "type": "array",
        "items": _closed(
            {
                "source": _closed({"kind": _TEXT, "name": _TEXT, "fieldPath": _TEXT}),
                "targets": {"type": "array", "items": _TARGET},
            }
        ),
    },
}
_KUSTOMIZATION: Final = "kustomize.config.k8s.io/v1beta1"
_COMPONENT: Final = "kustomize.config.k8s.io/v1alpha1"
THEIRS: Final = {
    (_KUSTOMIZATION, "Kustomization"): _closed(
        {"apiVersion": {"const": _KUSTOMIZATION}, "kind": _TEXT}, namespace=_TEXT, **_KUSTOMIZE
    ),
    (_COMPONENT, "Component"): _closed({"apiVersion": {"const": _COMPONENT}, "kind": _TEXT}, **_KUSTOMIZE),
    **{
        (api, kind): _object(api, kind, spec, namespaced=namespaced)
        for api, kind, spec, namespaced in (
            ("cert-manager.io/v1", "Issuer", _OF_ISSUER, True),
            ("cert-manager.io/v1", "Certificate", _CERTIFICATE, True),
            ("monitoring.coreos.com/v1", "ServiceMonitor", _MONITOR, True),
            ("externaldata.gatekeeper.sh/v1beta1", "Provider", _PROVIDER, False),
            ("templates.gatekeeper.sh/v1", "ConstraintTemplate", _TEMPLATE, False),
            ("constraints.gatekeeper.sh/v1beta1", "LamslsaModels", _CONSTRAINT, False),
        )
    },
}


@cache
def _validators(api: str, kind: str) -> tuple[Any, ...]:
    theirs = THEIRS.get((api, kind))
    if theirs is not None:
        jsonschema.Draft202012Validator.check_schema(theirs)
        return (jsonschema.Draft202012Validator(theirs),)
    return tuple(_of_kubernetes(api, kind, version) for version in (OLDEST, utils.major_minor(utils.latest_version())))


def _of_kubernetes(api: str, kind: str, version: str) -> Any:
    group, _, name = api.rpartition("/")
    file = "-".join(part for part in (kind.lower(), group.partition(".")[0], name) if part)
    folder = f"kubernetes-json-schema/v{version}.0-local-strict"
    schema = utils.schema_contents(f"{folder}/{file}.json", version)
    definitions = utils.schema_contents(f"{folder}/_definitions.json", version)
    registry: Any = Resource.from_contents(definitions) @ (Resource.from_contents(schema) @ Registry())
    return jsonschema.Draft202012Validator(schema, registry=registry)


def refusals(document: Document) -> list[str]:
    """What schemas find in a document; nothing where it is one of its kind, in every release that is supported.

    Raises:
        FileNotFoundError: no such kind is known.
    """
    return [
        f"{error.json_path}: {error.message}"
        for validator in _validators(str(document.get("apiVersion")), str(document.get("kind")))
        for error in validator.iter_errors(document)
    ]


def refused(document: Document) -> bool:
    """Whether the newest release that is known refuses a document; quicker than to say why."""
    return not _validators(str(document.get("apiVersion")), str(document.get("kind")))[-1].is_valid(document)
