"""What lets a container of a Pod into another one, where files are that it must not change.

Rules:
- Shared processes show the files of every container, and privileges make a read-only mount writable.
- A container for debugging joins the processes of its target: not of one that meets what is not verified yet.
- Capabilities are those that are known to do neither; any other is refused.

Spec: https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lamslsa.admission.shapes import members, quoted, rows, text
from lamslsa.admission.verifier import RESERVED
from lamslsa.errors import PolicyError

__all__ = ["CONTAINERS", "INITIALIZER", "refuse_reach"]

CONTAINERS: Final = ("initContainers", "containers", "ephemeralContainers")
INITIALIZER: Final = "storage-initializer"
"""The init container with which KServe fetches models."""
# Those of the baseline of the Pod Security Standards, and those of the network: none reads another one's files.
_CAPABILITIES: Final = frozenset(
    {
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE"),
        *("NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    }
)


def refuse_reach(spec: Mapping[str, Any]) -> None:
    """Return if no container of a Pod can reach into another one.

    Raises:
        PolicyError: one can (admission-reach).
        FormatError: the Pod is of another shape (admission-shape).
    """
    for name in ("shareProcessNamespace", "hostPID"):
        if spec.get(name) not in (None, False):
            raise _reaching(f"spec.{name}")
    if text(members(spec, "os", "spec."), "name", "spec.os.") not in ("", "linux"):
        raise _reaching("spec.os.name")
    _refuse_host_process(members(spec, "securityContext", "spec."), "spec.securityContext")
    for kind in CONTAINERS:
        for container in rows(spec, kind, "spec."):
            place = f"spec.{kind}[{quoted(text(container, 'name', f'spec.{kind}.'))}]"
            target = text(container, "targetContainerName", f"{place}.")
            if target == INITIALIZER or target.startswith(RESERVED):
                raise _reaching(f"{place}.targetContainerName")
            where = f"{place}.securityContext"
            context = members(container, "securityContext", where)
            _refuse_host_process(context, where)
            if context.get("privileged") not in (None, False):
                raise _reaching(f"{where}.privileged")
            if context.get("procMount") not in (None, "Default"):
                raise _reaching(f"{where}.procMount")
            added = members(context, "capabilities", f"{where}.").get("add") or []
            if not isinstance(added, list) or not all(
                isinstance(item, str) and item in _CAPABILITIES for item in added
            ):
                raise _reaching(f"{where}.capabilities.add")


def _refuse_host_process(context: Mapping[str, Any], where: str) -> None:
    if members(context, "windowsOptions", f"{where}.").get("hostProcess") not in (None, False):
        raise _reaching(f"{where}.windowsOptions.hostProcess")


def _reaching(where: str) -> PolicyError:
    return PolicyError(
        f"expected no {where} in a Pod whose model is verified in it, got one",
        reason="admission-reach",
        hint="a container that reaches into others can change what was verified",
    )
