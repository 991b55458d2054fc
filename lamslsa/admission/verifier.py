"""The init container that verifies a copy of a model in its Pod, and the volumes that it needs: always the same ones.

Rules:
- What the container runs, under which policy and with which rights, is decided here and by the operator; nothing of
  the Pod goes into it but which volume it reads.
- It is pinned by digest, has no rights, a read-only root, and an empty folder where the token of the Pod's account
  would be. Defaults of the API server are written out, so that none is added.
- Names come from what is verified: the same Pod comes to the same names, in whatever order webhooks are called.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lamslsa import _codec
from lamslsa.admission.defaults import is_canonical_quantity
from lamslsa.admission.references import pinned
from lamslsa.admission.shapes import quoted
from lamslsa.errors import FormatError, LamslsaError, PolicyError
from lamslsa.policy import Policy
from lamslsa.policy.inline import pack_policy
from lamslsa.policy.opening import OpenedPolicy

__all__ = [
    "COPY",
    "EMPTY",
    "RESERVED",
    "Held",
    "Options",
    "Place",
    "Verifier",
    "verified_volume",
    "verifier_name",
]

RESERVED: Final = ("lamslsa-verify-", "lamslsa-verified-")
"""Names of containers and volumes that begin so are ours."""
EMPTY: Final = "lamslsa-verified-nothing"
"""The volume that hides the token of the Pod's account."""
COPY: Final = "model"
"""The folder with the copy, in its volume."""
_MODEL: Final = "/model"
_VERIFIED: Final = "/verified"
_TOKEN: Final = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - where one would be
_VARIABLE: Final = "LAMSLSA_POLICY"
_USER: Final = 65532
_ARGUMENT: Final = re.compile(r"[\x21-\x23\x25-\x7e]{1,1024}")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Place:
    """Where in a Pod an unverified model lies.

    Attributes:
        volume: its name.
        sub_path: the folder in it; empty for all of it.
    """

    volume: str
    sub_path: str = ""

    @property
    def digest(self) -> str:
        """What names of this place end in; two places never share one."""
        return _codec.sha256_hex(_codec.canonical([self.volume, self.sub_path]))[:20]


def verifier_name(place: Place) -> str:
    """The name of the container that verifies what lies there."""
    return f"{RESERVED[0]}{place.digest}"


def verified_volume(place: Place) -> str:
    """The name of the volume with the verified copy."""
    return f"{RESERVED[1]}{place.digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What an operator decides about verifiers.

    Attributes:
        image: with lamslsa in it, as ``HOST/REPOSITORY@sha256:…``; empty where there is none.
        memory, cpu: what a container is given, as Kubernetes writes it.
        attestations: the store of attestations; empty for the folder beside the model.
        trusted_root: of Sigstore, where the policy names none; None for the embedded one.
        collateral: reads what manufacturers say of platforms, as of now.

    Raises:
        FormatError: one of them is none (admission-verifier-option).
    """

    image: str = ""
    memory: str = "1Gi"
    cpu: str = "1"
    attestations: str = ""
    trusted_root: bytes | None = None
    collateral: Callable[[], tuple[bytes, ...]] = tuple

    def __post_init__(self) -> None:
        if self.image:
            _refuse_tag(self.image)
        for value in (self.memory, self.cpu):
            if not is_canonical_quantity(value):
                raise FormatError(
                    f"expected an amount as Kubernetes writes it, such as 1, 500m or 512Mi, got {quoted(value)}",
                    reason="admission-verifier-option",
                    hint="without a fraction, and with the largest suffix: 500m for 0.5, 1536Mi for 1.5Gi",
                )
        if self.attestations and not _ARGUMENT.fullmatch(self.attestations):
            raise FormatError(
                f"expected a store of attestations without spaces and dollar signs, got {quoted(self.attestations)}",
                reason="admission-verifier-option",
                hint="Kubernetes replaces $(NAME) in arguments",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """How models are verified in their Pods, under one policy.

    Attributes:
        policy: with its files and what it is judged with, in one line (`lamslsa.policy.inline`).
        closure: the digest of that policy, hexadecimal.
    """

    options: Options
    policy: str
    closure: str

    @classmethod
    def of(cls, opened: OpenedPolicy, options: Options, collateral: Sequence[bytes] = ()) -> Verifier:
        """The verifier under a policy.

        Raises:
            PolicyError: no image is named (admission-verifier), or the policy is too large (policy-inline-size).
        """
        if not options.image:
            raise PolicyError(
                "expected an image that verifies models in their Pods, as the policy says, got none",
                reason="admission-verifier",
                hint="name it with --verifier-image HOST/REPOSITORY@sha256:…",
            )
        policy = pack_policy(opened, options.trusted_root, collateral)
        return cls(options=options, policy=policy, closure=opened.policy.closure)

    def container(self, place: Place) -> dict[str, Any]:
        """The container that verifies what lies at a place."""
        words = ["verify", _MODEL, "--policy", f"env://{_VARIABLE}@sha256:{self.closure}"]
        words += ["--materialize", f"{_VERIFIED}/{COPY}"]
        words += ["--attestations", self.options.attestations] if self.options.attestations else []
        model: dict[str, Any] = {"name": place.volume, "mountPath": _MODEL, "readOnly": True}
        given = {"cpu": self.options.cpu, "memory": self.options.memory}
        return {
            "name": verifier_name(place),
            "image": self.options.image,
            "command": ["lamslsa"],
            "args": words,
            "env": [{"name": _VARIABLE, "value": self.policy}],
            "resources": {"limits": given, "requests": dict(given)},
            "volumeMounts": [
                model | ({"subPath": place.sub_path} if place.sub_path else {}),
                {"name": verified_volume(place), "mountPath": _VERIFIED},
                {"name": EMPTY, "mountPath": _TOKEN, "readOnly": True},
            ],
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "imagePullPolicy": "IfNotPresent",
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "privileged": False,
                "readOnlyRootFilesystem": True,
                "runAsGroup": _USER,
                "runAsNonRoot": True,
                "runAsUser": _USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What is decided by at a moment.

    Attributes:
        policy: the policy.
        verifier: who verifies models that no digest holds; why nobody can, or None where the policy refuses them.
    """

    policy: Policy
    verifier: Verifier | LamslsaError | None

    @classmethod
    def of(cls, opened: OpenedPolicy, options: Options, collateral: Sequence[bytes] = ()) -> Held:
        """What is decided by under a policy; never raises a LamslsaError."""
        verifier: Verifier | LamslsaError | None = None
        if opened.policy.admits_elsewhere:
            try:
                verifier = Verifier.of(opened, options, collateral)
            except LamslsaError as err:
                verifier = err
        return cls(policy=opened.policy, verifier=verifier)


def _refuse_tag(image: str) -> None:
    if "://" in image:
        raise _tagged(image)
    try:
        pinned(image)
    except LamslsaError as err:
        raise _tagged(image) from err


def _tagged(image: str) -> FormatError:
    return FormatError(
        f"expected the image of the verifier as HOST/REPOSITORY@sha256:…, got {quoted(image)}",
        reason="admission-verifier-option",
        hint="whoever can move a tag would decide what is accepted",
    )
