"""What an API server writes into a container of ours after us, and what it may: nothing else is let pass.

Rules:
- ``imagePullPolicy`` by AlwaysPullImages, ``resizePolicy`` and ``procMount`` as they are by default, and what a
  LimitRange adds of ``ephemeral-storage``.
- Amounts are written back in one form; what is given in another one would never be found again.

Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["is_canonical_quantity", "settled"]

_PULLS: Final = ("IfNotPresent", "Always")
_QUANTITY: Final = re.compile(r"([1-9][0-9]{0,17})(m|k|M|G|T|Ki|Mi|Gi|Ti)?")


def is_canonical_quantity(value: str) -> bool:
    """Whether an API server gives back an amount as it is: no fraction, and the largest suffix.

    >>> [is_canonical_quantity(value) for value in ("1Gi", "1536Mi", "500m", "1024")]
    [True, True, True, True]
    >>> [is_canonical_quantity(value) for value in ("1024Mi", "1.5Gi", "1000m", "0.5", "0")]
    [False, False, False, False, False]
    """
    found = _QUANTITY.fullmatch(value)
    if found is None:
        return False
    return int(found[1]) % (1024 if (found[2] or "").endswith("i") else 1000) != 0


def settled(there: Mapping[str, Any] | None, wanted: dict[str, Any]) -> dict[str, Any]:
    """The container that is there, where it is the one that is wanted but for defaults of the API server."""
    if there is None:
        return wanted
    plain = dict(there)
    if plain.get("imagePullPolicy") in _PULLS:  # AlwaysPullImages
        plain["imagePullPolicy"] = wanted["imagePullPolicy"]
    resize = plain.pop("resizePolicy", None)
    if resize is not None and not _is_default_resize(resize):
        return wanted
    context = plain.get("securityContext")
    if isinstance(context, dict) and context.get("procMount") == "Default":
        plain["securityContext"] = {name: value for name, value in context.items() if name != "procMount"}
    given = plain.get("resources")
    if isinstance(given, dict) and all(isinstance(value, dict) for value in given.values()):  # LimitRanger
        plain["resources"] = {
            kind: {name: value for name, value in amounts.items() if name != "ephemeral-storage"}
            for kind, amounts in given.items()
        }
    return dict(there) if plain == wanted else wanted


def _is_default_resize(value: object) -> bool:
    return isinstance(value, list) and all(
        item in ({"resourceName": name, "restartPolicy": "NotRequired"} for name in ("cpu", "memory")) for item in value
    )
