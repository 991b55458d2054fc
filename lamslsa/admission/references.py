"""Where a workload says which models it brings, and which of these places the runtime of the cluster binds to a digest.

Rules:
- Image volumes and ``oci://`` references count, pinned by ``@sha256:``. The runtime pulls by that digest, so what was
  judged is what is mounted; a tag beside the digest says nothing and is dropped.
- Every other place is refused, with what to write in its stead: a tag can be moved, a bucket or a disk written to.
- Volumes that Kubernetes itself fills are no places for models. A kind of volume that is not known here is refused.
- Labels, annotations and names decide nothing.

>>> pinned("registry.example/team/census@sha256:" + "0" * 64).host
'registry.example'
>>> pinned("registry.example/team/census:v1")
Traceback (most recent call last):
    ...
lamslsa.errors.PolicyError: expected a reference pinned by digest, got "registry.example/team/census:v1"
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from lamslsa.admission.shapes import members, quoted, rows, text
from lamslsa.errors import LamslsaError, PolicyError
from lamslsa.store.naming import REGISTRY
from lamslsa.store.oci import Reference

__all__ = ["FILLED", "Found", "key", "name_of", "pinned", "pod_models", "service_models", "template_models"]

_HINT: Final = "push the model with lamslsa push, and write HOST/REPOSITORY@sha256:… as it prints it"
_HOST: Final = re.compile(r"[^/]*[.:][^/]*|localhost|\[.*\]")
# What the kubelet fills by itself, out of the object, the cluster or nothing.
FILLED: Final = frozenset({"configMap", "downwardAPI", "emptyDir", "projected", "secret"})
_URIS: Final = ("storageUri", "storage_uri", "modelUri")
_STORAGE_VARIABLE: Final = "STORAGE_URI"
# What has been looked at, and maps whose keys are the user's.
_PASSED_OVER: Final = frozenset({"volumes", "storageUris", "storage", "annotations", "labels", "nodeSelector"})
_COMPONENTS: Final = ("predictor", "transformer", "explainer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A place where a workload says which model it brings.

    Attributes:
        where: the path in the object, as ``kubectl explain`` writes it.
        model: the model, by digest; or why the place does not count.
        in_pod: whether it is one that shows in the Pod, as a volume or what KServe fills, and so can be verified there.
    """

    where: str
    model: Reference | LamslsaError
    in_pod: bool = False


def pinned(reference: str) -> Reference:
    """A reference with or without ``oci://`` that a runtime is bound to; the tag is dropped.

    Raises:
        PolicyError: one of another scheme (admission-source), not pinned (admission-unpinned), or without a host
            (admission-host).
        FormatError: no reference.
    """
    scheme, separator, _ = reference.partition("://")
    if separator and scheme != "oci":
        raise PolicyError(
            f"expected a model in a registry, by digest, got {quoted(reference)}", reason="admission-source", hint=_HINT
        )
    name = reference.removeprefix(REGISTRY)
    if "@sha256:" not in name:
        raise PolicyError(
            f"expected a reference pinned by digest, got {quoted(reference)}",
            reason="admission-unpinned",
            hint=f"tags can be moved: {_HINT}",
        )
    if not _HOST.fullmatch(name.rpartition("@sha256:")[0].partition("/")[0]):
        raise PolicyError(
            f"expected a reference with the host of a registry, got {quoted(reference)}",
            reason="admission-host",
            hint="each runtime completes a name without a host in its own way: write docker.io/library/NAME@sha256:…",
        )
    return replace(Reference.parse(f"{REGISTRY}{name}"), tag=None)


def key(reference: Reference) -> str:
    """A reference for tables: that of two places with the same model differs, that of two tags does not."""
    return f"{reference.place}@{reference.digest}"


def name_of(reference: Reference) -> str:
    """What a policy calls the model; expressions see it."""
    return reference.repository.rpartition("/")[2]


def pod_models(spec: Mapping[str, Any], where: str) -> Iterator[Found]:
    """The models that the volumes of a Pod bring.

    Args:
        spec: of the Pod, or of a template of Pods.
        where: its path in the object, with a dot at its end.

    Raises:
        FormatError: the list of volumes is none (admission-shape).
    """
    for volume in rows(spec, "volumes", where):
        yield from _volume(volume, f"{where}volumes[{quoted(text(volume, 'name', f'{where}volumes.'))}]")


def _volume(volume: Mapping[str, Any], where: str) -> Iterator[Found]:
    sources = [name for name, value in volume.items() if name != "name" and value is not None]
    for source in sources:
        if source == "image":
            yield _found(f"{where}.image.reference", text(members(volume, "image", f"{where}."), "reference", where))
        elif source not in FILLED:
            yield Found(
                where=where,
                model=PolicyError(
                    f"expected an image volume, or one that Kubernetes fills, got {quoted(source)}",
                    reason="admission-volume",
                    hint=f"what is on such a volume has no digest that the runtime holds it to: {_HINT}, "
                    "under volumes[].image.reference",
                ),
                in_pod=True,
            )


def template_models(value: Mapping[str, Any], where: str) -> Iterator[Found]:
    """The models of a workload that makes Pods out of ``template``.

    Raises:
        FormatError: it is of another shape (admission-shape).
    """
    template = members(value, "template", where)
    yield from pod_models(members(template, "spec", f"{where}template."), f"{where}template.spec.")


def service_models(spec: Mapping[str, Any]) -> Iterator[Found]:
    """The models of an InferenceService of KServe: each component names its own, and the predictor has to.

    Raises:
        FormatError: it is of another shape (admission-shape).
    """
    for name in _COMPONENTS:
        component = members(spec, name, "spec.")
        found = list(_within(component, f"spec.{name}."))
        yield from found
        if name == "predictor" and not _names_its_model(component, [item.where for item in found]):
            yield Found(
                where=f"spec.{name}",
                model=PolicyError(
                    "expected a model that is named by digest, got none",
                    reason="admission-no-model",
                    hint="write storageUri: oci://HOST/REPOSITORY@sha256:…; what a server fetches is not seen",
                ),
            )


def _names_its_model(component: Mapping[str, Any], places: Sequence[str]) -> bool:
    """Whether one of the places is where KServe takes the model from; a variable of a container need not be."""
    if component.get("model") is not None:
        return any(place.startswith("spec.predictor.model.storage") for place in places)
    return any(".env[" not in place for place in places)


def _within(value: Mapping[str, Any], where: str) -> Iterator[Found]:
    """Whatever is named in a component or below it: its runtimes have names of their own, and JSON is only so deep."""
    yield from pod_models(value, where)
    for name in _URIS:
        if value.get(name) is not None:
            yield _stored(f"{where}{name}", text(value, name, where))
    for number, item in enumerate(rows(value, "storageUris", where)):
        yield _stored(f"{where}storageUris[{number}].uri", text(item, "uri", where))
    if value.get("storage") is not None:
        yield Found(
            where=f"{where}storage",
            model=PolicyError(
                "expected a model in a registry, by digest, got one in a storage by its path",
                reason="admission-source",
                hint="write storageUri: oci://HOST/REPOSITORY@sha256:… in place of storage",
            ),
            in_pod=True,
        )
    if value.get("name") == _STORAGE_VARIABLE:
        yield _stored(f"{where}value", text(value, "value", where))
    for name, item in value.items():
        if name in _PASSED_OVER:
            continue
        below = item if isinstance(item, list) else [item]
        for number, each in enumerate(below):
            if isinstance(each, dict):
                place = f"{where}{name}[{number}]." if isinstance(item, list) else f"{where}{name}."
                yield from _within(each, place)


def _found(where: str, reference: str) -> Found:
    try:
        return Found(where=where, model=pinned(reference))
    except LamslsaError as err:
        return Found(where=where, model=err)


def _stored(where: str, reference: str) -> Found:
    """A model that KServe gets; what it copies into the Pod itself can be verified there."""
    found = _found(where, reference)
    elsewhere = isinstance(found.model, LamslsaError) and found.model.reason == "admission-source"
    return replace(found, in_pod=elsewhere)
