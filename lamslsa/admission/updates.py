"""Which updates of a Pod start nothing: those after which no container meets anything that it did not meet before.

Rules:
- Volumes stay as they are, or the Pod is judged anew.
- Where something is not verified, the containers stay as well, but for their images and resources; our verifiers stay
  altogether, since an image can be changed before a container has begun.
- A container for debugging may be added. It mounts nothing that is not verified, and copies of what is read-only, and
  has no way into other containers.

It does not matter here which policy is in force: what was admitted once keeps being cleaned up and debugged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lamslsa.admission.guard import unverified
from lamslsa.admission.reach import refuse_reach
from lamslsa.admission.shapes import rows, text
from lamslsa.admission.verifier import RESERVED
from lamslsa.errors import LamslsaError

__all__ = ["starts_nothing"]

_REACH: Final = ("shareProcessNamespace", "hostPID", "os", "securityContext")
_MAY_CHANGE: Final = frozenset({"image", "resources"})


def starts_nothing(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether an update of a Pod, from one spec to another, can be admitted without a verdict.

    Raises:
        FormatError: one of them is of another shape (admission-shape).
    """
    if not before or before.get("volumes") != after.get("volumes"):
        return False
    if before == after:
        return True
    concern = unverified(after) | unverified(before)
    concern |= {
        name for item in rows(after, "volumes", "spec.") if (name := text(item, "name", "spec.")).startswith(RESERVED)
    }
    if not concern:
        return True
    if any(before.get(name) != after.get(name) for name in _REACH):
        return False
    for kind in ("initContainers", "containers"):
        old, new = rows(before, kind, "spec."), rows(after, kind, "spec.")
        if len(old) != len(new) or not all(_stays(one, other) for one, other in zip(old, new, strict=True)):
            return False
    return _debugs(before, after, concern)


def _stays(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    if text(before, "name", "spec.").startswith(RESERVED):
        return before == after
    return {key: value for key, value in before.items() if key not in _MAY_CHANGE} == {
        key: value for key, value in after.items() if key not in _MAY_CHANGE
    }


def _debugs(before: Mapping[str, Any], after: Mapping[str, Any], concern: frozenset[str]) -> bool:
    kind = "ephemeralContainers"
    old, new = rows(before, kind, "spec."), rows(after, kind, "spec.")
    was = {text(container, "name", "spec."): container for container in old}
    added = [container for container in new if was.get(text(container, "name", "spec.")) != container]
    if not added:
        return True
    try:
        refuse_reach({kind: added})
    except LamslsaError:
        return False
    for container in added:
        if any(text(device, "name", "spec.") in concern for device in rows(container, "volumeDevices", "spec.")):
            return False
        for mount in rows(container, "volumeMounts", "spec."):
            name = text(mount, "name", "spec.")
            read_only = name.startswith(RESERVED) and mount.get("readOnly") is True
            if name in concern and not read_only:
                return False
    return True
