"""A Pod as it has to be so that no container meets a model that was not verified: the one place that says so.

`guarded` makes it out of a Pod. Making it again changes nothing, so a Pod that it would change is one that something is
missing from, whoever made it.

Rules:
- Unverified is every volume that has no digest and that Kubernetes does not fill, and every empty one that the
  ``storage-initializer`` of KServe fills; the one that KServe makes for that also where another container fills it.
  Only that and our container mount such a volume; everybody else gets the verified copy in its place, read-only. The
  copy is what closes the gap: other Pods may write a disk after the verdict.
- Whatever the initializer can write to is unverified, so it may see unverified volumes: nothing passes the verifier by.
- Verifiers of volumes come first of all, those of what the initializer fills right after it. Who starts before and
  wants the copy is refused.
- Where something is to be verified, no container may reach into another one: no shared processes, no privileges.
- Nothing that the user wrote under one of our names stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lamslsa.admission.defaults import settled
from lamslsa.admission.reach import CONTAINERS, INITIALIZER, refuse_reach
from lamslsa.admission.references import FILLED
from lamslsa.admission.shapes import quoted, rows, text
from lamslsa.admission.verifier import COPY, EMPTY, RESERVED, Place, Verifier, verified_volume, verifier_name
from lamslsa.errors import PolicyError

__all__ = ["guarded", "refuse_unguarded", "unverified"]

_MAX_PLACES: Final = 8
_FETCHED: Final = "kserve-provision-location"
_LABEL: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")


def refuse_unguarded(spec: Mapping[str, Any], verifier: Verifier) -> None:
    """Return if no container of a Pod meets a model that was not verified.

    Raises:
        PolicyError: one does, or could (admission-unguarded, and what `guarded` raises).
        FormatError: the Pod is of another shape (admission-shape).
    """
    wanted = guarded(spec, verifier)
    for name in (*CONTAINERS, "volumes"):
        there = spec.get(name) or []
        if (wanted.get(name) or []) != there:
            got = _differing(wanted.get(name) or [], there)
            raise PolicyError(
                f"expected every model that no digest holds to be verified in its Pod first, got in spec.{name} {got}",
                reason="admission-unguarded",
                hint="have the mutating webhook called at /mutate with reinvocationPolicy: IfNeeded; "
                "nothing may change what it writes",
            )


def _differing(wanted: Sequence[Mapping[str, Any]], there: Sequence[Mapping[str, Any]]) -> str:
    """What of a list is not as it has to be, in a few words."""
    known = {item.get("name"): item for item in there}
    for item in wanted:
        other = known.get(item["name"])
        if other is None:
            return f"no {quoted(str(item['name']))}"
        keys = sorted(key for key in item.keys() | other.keys() if item.get(key) != other.get(key))
        if keys:
            return f"{quoted(str(item['name']))} with other {quoted(keys[0])}"
    return "another order, or more than that"


def guarded(spec: Mapping[str, Any], verifier: Verifier) -> dict[str, Any]:
    """The spec of a Pod with verifiers in it; what has them already comes back as it is.

    Raises:
        PolicyError: there is no way to guard it: admission-name, admission-mount, admission-order, admission-reach or
            admission-models.
        FormatError: it is of another shape (admission-shape).
    """
    pod = _Pod.of(spec)
    raw = unverified(spec)
    if not raw and not pod.has_reserved:
        return dict(spec)
    refuse_reach(spec)
    _refuse_names(pod)
    known = {verified_volume(place): place for place in _claimed(pod) if place.volume in raw}
    places: set[Place] = set()
    lists: dict[str, list[dict[str, Any]]] = {}
    for name, containers in pod.lists.items():
        for container in containers:
            _refuse_devices(container, raw)
        lists[name] = [
            _initializing(container)
            if name == "initContainers" and container.get("name") == INITIALIZER
            else _redirected(container, raw, known, places)
            for container in containers
        ]
    lists["initContainers"] = _with_verifiers(lists["initContainers"], sorted(places), pod, verifier)
    result = dict(spec)
    for name in CONTAINERS:
        if lists[name] or spec.get(name) is not None:
            result[name] = lists[name]
    result["volumes"] = _with_volumes(pod.volumes, sorted(places))
    return result


def unverified(spec: Mapping[str, Any]) -> frozenset[str]:
    """The names of the volumes with what nobody has verified.

    Raises:
        FormatError: the Pod is of another shape (admission-shape).
    """
    volumes = [(text(volume, "name", "spec.volumes."), volume) for volume in rows(spec, "volumes", "spec.")]
    found = {name for name, volume in volumes if _sources(volume) - FILLED - {"image"}}
    empty = {name for name, volume in volumes if _is_empty(volume) and not name.startswith(RESERVED)}
    for container in rows(spec, "initContainers", "spec."):
        mounted = empty & {text(mount, "name", "") for mount in rows(container, "volumeMounts", "")}
        if container.get("name") == INITIALIZER:
            found |= mounted
        elif container.get("restartPolicy") is None:  # a storage container under another name
            found |= mounted & {_FETCHED}
    return frozenset(found)


def _sources(volume: Mapping[str, Any]) -> set[str]:
    return {source for source, value in volume.items() if source != "name" and value is not None}


def _is_empty(volume: Mapping[str, Any]) -> bool:
    """Whether a volume begins empty; one that names nothing does."""
    return _sources(volume) <= {"emptyDir"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pod:
    """A Pod, taken apart.

    Attributes:
        lists: the containers of each kind, without those that have our names.
        ours: the init containers that have our names.
    """

    volumes: Sequence[Mapping[str, Any]]
    lists: Mapping[str, Sequence[Mapping[str, Any]]]
    ours: Sequence[Mapping[str, Any]]

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> _Pod:
        lists = {kind: rows(spec, kind, "spec.") for kind in CONTAINERS}
        first = lists["initContainers"]
        return cls(
            volumes=rows(spec, "volumes", "spec."),
            lists=lists | {"initContainers": [item for item in first if not _is_ours(item)]},
            ours=[item for item in first if _is_ours(item)],
        )

    @property
    def has_reserved(self) -> bool:
        named = [*self.volumes, *self.ours, *(item for kind in CONTAINERS for item in self.lists[kind])]
        mounts = [mount for kind in CONTAINERS for item in self.lists[kind] for mount in _mounts(item)]
        return any(_is_ours(item) for item in (*named, *mounts))


def _is_ours(item: Mapping[str, Any]) -> bool:
    return text(item, "name", "spec.").startswith(RESERVED)


def _mounts(container: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*rows(container, "volumeMounts", "spec."), *rows(container, "volumeDevices", "spec.")]


def _refuse_names(pod: _Pod) -> None:
    """Names lead to one thing each, and none but an init container and a volume has one of ours."""
    for kind in ("containers", "ephemeralContainers"):
        if any(_is_ours(container) for container in pod.lists[kind]):
            raise _misnamed(f"no name in spec.{kind} that begins with {RESERVED[0]}", "one")
    containers = [item for kind in CONTAINERS for item in pod.lists[kind]] + list(pod.ours)
    for what, items in (("volumes", pod.volumes), ("containers", containers)):
        names = [text(item, "name", f"spec.{what}.") for item in items]
        for name in names:
            if not _LABEL.fullmatch(name):
                raise _misnamed(f"a name of lower-case letters, digits and dashes in spec.{what}", quoted(name))
        if len(set(names)) != len(names):
            raise _misnamed(f"each name once in spec.{what}", "one twice")


def _misnamed(wanted: str, got: str) -> PolicyError:
    return PolicyError(f"expected {wanted}, got {got}", reason="admission-name", hint="choose another name")


def _claimed(pod: _Pod) -> Iterator[Place]:
    """What the containers with our names say that they verify; they are made anew, so nothing else of them counts."""
    for container in pod.ours:
        for mount in rows(container, "volumeMounts", "spec.initContainers."):
            place = Place(volume=text(mount, "name", "spec."), sub_path=text(mount, "subPath", "spec."))
            if container.get("name") == verifier_name(place):
                yield place


def _refuse_devices(container: Mapping[str, Any], raw: frozenset[str]) -> None:
    where = _mounts_of(container)
    for device in rows(container, "volumeDevices", where):
        if _is_ours(device) or text(device, "name", where) in raw:
            raise _mounted(where, "a device")


def _mounts_of(container: Mapping[str, Any]) -> str:
    return f"the mounts of {quoted(text(container, 'name', 'spec.'))}"


def _initializing(container: Mapping[str, Any]) -> dict[str, Any]:
    """The init container with which KServe fetches: it stays as it is, for what it leaves is verified."""
    if container.get("restartPolicy") is not None:
        raise PolicyError(
            f"expected {INITIALIZER} to end before what it has fetched is verified, got one that goes on",
            reason="admission-order",
            hint="leave its restartPolicy out",
        )
    if any(_is_ours(mount) for mount in _mounts(container)):
        raise _mounted(_mounts_of(container), "a verified copy")
    return dict(container)


def _redirected(
    container: Mapping[str, Any], raw: frozenset[str], known: Mapping[str, Place], places: set[Place]
) -> dict[str, Any]:
    """A container with verified copies in place of what is not verified; adds what has to be verified for that."""
    where = _mounts_of(container)
    mounts: list[dict[str, Any]] = []
    seen: set[tuple[str, str]] = set()
    for mount in rows(container, "volumeMounts", where):
        place = _place(mount, raw, known, where)
        if place is None:
            mounts.append(dict(mount))
            continue
        places.add(place)
        if len(places) > _MAX_PLACES:
            raise PolicyError(
                f"expected at most {_MAX_PLACES} models to verify in one Pod, got more", reason="admission-models"
            )
        name, path = verified_volume(place), text(mount, "mountPath", where)
        if (name, path) not in seen:  # KServe adds its own again when it is called again
            seen.add((name, path))
            mounts.append({"name": name, "mountPath": path, "subPath": COPY, "readOnly": True})
    return dict(container) | ({"volumeMounts": mounts} if mounts else {})


def _place(mount: Mapping[str, Any], raw: frozenset[str], known: Mapping[str, Place], where: str) -> Place | None:
    """What of the unverified a mount is about, itself or by its copy; None where it is about something else."""
    name = text(mount, "name", where)
    if name.startswith(RESERVED):
        if name not in known:
            raise _mounted(where, f"{quoted(name)}, which is no copy of a volume here")
        return known[name]
    if name not in raw:
        return None
    if mount.get("subPathExpr") is not None:
        raise _mounted(where, "subPathExpr")
    if mount.get("mountPropagation") == "Bidirectional":
        raise _mounted(where, "mountPropagation")
    return Place(volume=name, sub_path=text(mount, "subPath", where))


def _mounted(where: str, got: str) -> PolicyError:
    return PolicyError(
        f"expected folders of volumes in {where}, named in so many words, got {got}",
        reason="admission-mount",
        hint="what cannot be replaced by a verified copy is not admitted",
    )


def _with_verifiers(
    containers: Sequence[dict[str, Any]], places: Sequence[Place], pod: _Pod, verifier: Verifier
) -> list[dict[str, Any]]:
    """The init containers in order: verifiers of volumes, the initializer, verifiers of what it fills, the others."""
    there = {text(item, "name", "spec."): item for item in pod.ours}
    filled = {text(item, "name", "spec.volumes.") for item in pod.volumes if _is_empty(item)}
    made = {place: settled(there.get(verifier_name(place)), verifier.container(place)) for place in places}
    late = [made[place] for place in places if place.volume in filled]
    copies = {verified_volume(place) for place in places if place.volume in filled}
    end = max((at for at, item in enumerate(containers) if item.get("name") == INITIALIZER), default=-1) + 1
    if late and not end:
        raise PolicyError(
            f"expected {INITIALIZER} to fetch what lies in {_FETCHED}, got an init container of another name",
            reason="admission-order",
            hint=f"name it {INITIALIZER} in the ClusterStorageContainer, as KServe asks",
        )
    for container in containers[:end]:
        if any(mount.get("name") in copies for mount in rows(container, "volumeMounts", "spec.")):
            raise PolicyError(
                f"expected {quoted(str(container['name']))} after {INITIALIZER}, whose model it mounts, got it before",
                reason="admission-order",
                hint="before that nothing is verified yet",
            )
    early = [made[place] for place in places if place.volume not in filled]
    return [*early, *containers[:end], *late, *containers[end:]]


def _with_volumes(volumes: Sequence[Mapping[str, Any]], places: Sequence[Place]) -> list[dict[str, Any]]:
    wanted = [verified_volume(place) for place in places] + ([EMPTY] if places else [])
    ours: list[dict[str, Any]] = [{"name": name, "emptyDir": {}} for name in wanted]
    kept = [dict(volume) for volume in volumes if not _is_ours(volume) or volume in ours]
    return kept + [volume for volume in ours if volume not in kept]
