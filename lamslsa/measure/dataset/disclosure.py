"""What of a datasheet its owner keeps back.

    disclose: requirements        only whether the declared shares hold: no value, and no commitment to one
    withhold: [distributions, labelBalance]     commitments instead of these values

Either names every value that is kept back in ``withheld``, so that a reader sees that it was measured and is missing,
and never takes it for none. A commitment is SHA-256(salt ‖ JCS(value)) with 32 random bytes for each value; these are
the only bytes of a statement that differ from run to run. The openings are private: ``openings.json``.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lamslsa import _codec, _yaml, predicates
from lamslsa.predicates._common import ArtifactReference
from lamslsa.predicates.commitments import SALT_BYTES, Opening, Openings, commit
from lamslsa.predicates.dataset import Withheld

__all__ = ["ALWAYS", "OPENINGS", "Disclosure", "declare_disclosure", "withhold"]

OPENINGS: Final = "openings.json"
ALWAYS: Final = ("columns", "duplicates", "labelBalance", "documents", "images")
_REQUIRED: Final = frozenset({"distributions"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """What is kept back.

    Attributes:
        only_requirements: whether nothing but requirements is disclosed.
        withheld: fields of the predicate that stand as commitments.
    """

    only_requirements: bool = False
    withheld: tuple[str, ...] = ()

    @property
    def opens(self) -> bool:
        """Whether there are commitments, and so openings."""
        return bool(self.withheld)

    def resolved(self) -> dict[str, Any]:
        """As it stands in the configuration."""
        if self.only_requirements:
            return {"disclose": "requirements"}
        return {"withhold": list(self.withheld)} if self.withheld else {}


def declare_disclosure(fields: _yaml.Mapping_, *, measured: Collection[str], requirements: bool) -> Disclosure:
    """Read ``disclose`` and ``withhold``.

    Args:
        fields: ``properties`` of the job file.
        measured: the fields of the predicate that will hold something, requirements left out.
        requirements: whether any is declared.

    Raises:
        FormatError: what would be kept back is not measured, or would be disclosed in another way.
    """
    disclose, kept = fields.get("disclose"), fields.get("withhold")
    if disclose is not None:
        disclose.choice(["requirements"])
        more = sorted(set(measured) - set(ALWAYS))
        if not requirements:
            disclose.refuse("expected shares to be required, got none", reason="job-disclose")
        if more or kept is not None:
            disclose.refuse(
                f"expected nothing but requirements, got {', '.join(more) or 'withhold'} as well",
                reason="job-disclose",
                hint="leave them out, or withhold them instead: then there are commitments to the values",
            )
        return Disclosure(only_requirements=True)
    if kept is None:
        return Disclosure()
    names = tuple(item.choice(sorted(measured)) for item in kept.sequence())
    if len(set(names)) != len(names):
        kept.refuse("expected each field once, got one twice", reason="job-disclose")
    return Disclosure(withheld=names)


def withhold(
    predicate: dict[str, Any],
    disclosure: Disclosure,
    dataset: ArtifactReference,
    *,
    draw: Callable[[int], bytes] = secrets.token_bytes,
) -> tuple[dict[str, Any], bytes | None]:
    """A predicate on the wire without what is kept back, and the file of openings, if there is anything to open."""
    names: Sequence[str] = ALWAYS if disclosure.only_requirements else disclosure.withheld
    kept = {name: value for name, value in predicate.items() if name not in names or name in _REQUIRED}
    withheld: list[Withheld] = []
    openings: list[Opening] = []
    for name in names:
        for pointer, value in _values(name, predicate.get(name)):
            if disclosure.only_requirements:
                withheld.append(Withheld(pointer=pointer))
                continue
            salt = draw(SALT_BYTES)
            withheld.append(Withheld(pointer=pointer, commitment=commit(value, salt)))
            openings.append(Opening(pointer=pointer, salt=_codec.encode_base64(salt), value=value))
    for name in set(names) & _REQUIRED:
        kept[name] = []
    kept["columns"] = [
        {key: column[key] for key in (("name", "type") if "columns" in names else column)}
        for column in predicate["columns"]
    ]
    if withheld:
        kept["withheld"] = [predicates.to_wire(item) for item in withheld]
    if not openings:
        return kept, None
    return kept, _codec.dumps(predicates.to_wire(Openings(dataset=dataset, openings=tuple(openings))))


def _values(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every value of a field that is kept back, with where it would stand."""
    if name == "columns":
        for index, column in enumerate(value):
            for key in ("missing", "distinct"):
                if key in column:
                    yield f"/columns/{index}/{key}", column[key]
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield f"/{name}/{index}", item
    elif value is not None:
        yield f"/{name}", value
