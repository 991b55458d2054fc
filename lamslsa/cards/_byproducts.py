"""What was measured while an artifact was made, read out of the byproducts of its provenance.

A byproduct is free text as far as the specification goes: what has another form than its name promises, or is too long,
is said to be unreadable and breaks nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lamslsa import _codec
from lamslsa.cards import _text
from lamslsa.cards._source import MAX_ITEMS, facts_of, few, listing
from lamslsa.cards.parts import Curve, Fact, Listing, Table
from lamslsa.errors import FormatError
from lamslsa.predicates.provenance import Byproduct

__all__ = ["Measured", "read_byproducts"]

_MAX_BYTES: Final = 256 * 1024
_MAX_POINTS: Final = 256
_MAX_ROWS: Final = 20
_LOSSES: Final = "loss-per-epoch"


@dataclass(slots=True)
class Measured:
    """What byproducts say.

    Attributes:
        notices: what to know before reading the values.
    """

    notices: list[Fact] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    losses: Curve | None = None

    @property
    def listed(self) -> Listing[Fact]:
        """The facts, as many as are shown."""
        return listing(self.facts, limit=MAX_ITEMS)


def read_byproducts(byproducts: Sequence[Byproduct]) -> Measured:
    """Read all of them; the files of the artifact are counted."""
    measured = Measured()
    files = sum((each.annotations or {}).get("kind") == "file" for each in byproducts)
    if files:
        measured.facts.append(Fact(name="files made", value=_text.count(files)))
    for each in byproducts:
        kind = (each.annotations or {}).get("kind")
        if kind == "file":
            continue
        if kind == "report":
            _report(each.annotations or {}, measured)
        elif each.content is not None:
            _content(each.name, each.content, measured)
        if each.digest is not None:
            measured.facts.append(Fact(name=each.name, value=f"sha256:{each.digest.sha256}"))
    return measured


def _content(name: str, content: str, measured: Measured) -> None:
    try:
        value = _codec.loads(_codec.decode_base64(content, what="a byproduct", max_bytes=_MAX_BYTES))
    except FormatError as err:
        measured.facts.append(Fact(name=name, value=f"unreadable: {err}"))
        return
    if name == _LOSSES and (curve := _losses(value)) is not None:
        measured.losses = curve
    elif name == "difference" and (table := _difference(value)) is not None:
        measured.tables.append(table)
    elif name == "checkpoint-chain" and (chain := _chain(value)) is not None:
        measured.facts += chain
    elif name == "modules" and isinstance(value, list):
        measured.facts.append(Fact(name="modules of the code that were loaded", value=_text.count(len(value))))
    else:
        measured.facts += facts_of(name, value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _losses(value: Any) -> Curve | None:
    if not isinstance(value, list) or not value or not all(map(_is_number, value)):
        return None
    step = math.ceil(len(value) / _MAX_POINTS)
    drawn = value[::step] if (len(value) - 1) % step == 0 else [*value[::step], value[-1]]
    epochs = "1 epoch" if len(value) == 1 else f"{_text.count(len(value))} epochs"
    text = f"{_text.number(value[0])} to {_text.number(value[-1])} in {epochs}"
    return Curve(title="Loss per epoch", text=text, values=tuple(map(float, drawn)))


def _chain(value: Any) -> tuple[Fact, ...] | None:
    if not isinstance(value, list) or not value or not isinstance(value[-1], Mapping):
        return None
    last = value[-1]
    return (
        Fact(name="checkpoints in the hash chain", value=_text.count(len(value))),
        *facts_of(
            "last checkpoint", {name: last[name] for name in ("epoch", "step", "weights", "link") if name in last}
        ),
    )


def _shown(value: Any) -> str:
    return _text.number(value) if _is_number(value) else "not stated"


def _changed(changed: Any) -> str:
    if not isinstance(changed, Mapping):
        return "not stated"
    if isinstance(changed.get("undefined"), str):
        return f"undefined: {changed['undefined']}"
    text = _shown(changed.get("value"))
    interval = changed.get("interval")
    if isinstance(interval, Mapping) and _is_number(interval.get("lower")) and _is_number(interval.get("upper")):
        text += f" ({_text.number(interval['lower'])}–{_text.number(interval['upper'])})"
    rows = changed.get("rows")
    return f"{text}, {_text.count(rows)} rows" if isinstance(rows, int) else text


def _difference(value: Any) -> Table | None:
    """How far the answers of a child are from those of each parent."""
    found = value.get("from") if isinstance(value, Mapping) else None
    if not isinstance(found, Mapping) or not all(isinstance(each, Mapping) for each in found.values()):
        return None
    rows = (
        (role, str(each.get("of", "answers")), _shown(each.get("maximum")), _shown(each.get("mean")),
         _changed(each.get("changed")), _text.count(samples) if isinstance(samples := each.get("samples"), int) else "")
        for role, each in found.items()
    )  # fmt: skip
    return Table(
        title=f"Difference of the answers from those of each parent, on {value.get('dataset', 'no named dataset')}",
        headers=("Parent", "Of", "Maximum", "Mean", "Other class predicted", "Rows"),
        rows=listing(rows, limit=_MAX_ROWS),
        what="parents",
    )


def _counts(counts: Any) -> str:
    """Rows by part, as text."""
    if not isinstance(counts, Mapping):
        return "not stated"
    parts = [f"{part}: {_text.count(rows)}" for part, rows in counts.items() if isinstance(rows, int)]
    return few(parts)


def _steps(steps: Iterable[Any]) -> Iterator[tuple[str, ...]]:
    for index, step in enumerate(steps):
        if isinstance(step, Mapping):
            more = {key: item for key, item in step.items() if key not in {"step", "rowsIn", "rowsOut"}}
            said = "; ".join(f"{fact.name} {fact.value}" for key, item in more.items() for fact in facts_of(key, item))
            yield (f"{index + 1}. {step.get('step', 'unnamed')}", _counts(step.get("rowsIn")),
                   _counts(step.get("rowsOut")), said or "nothing")  # fmt: skip


def _learned(item: Mapping[str, Any]) -> str:
    number, whose, where = (item.get(name) for name in ("step", "from", "to"))
    parts = [few([str(part) for part in found]) if isinstance(found, list) else "unknown" for found in (whose, where)]
    return f"step {number + 1 if isinstance(number, int) else 'unknown'} from {parts[0]} for {parts[1]}"


def _report(report: Mapping[str, Any], measured: Measured) -> None:
    """What a preprocessing did, step by step."""
    steps, learning, shared = (report.get(name) for name in ("steps", "learning", "shared"))
    if isinstance(steps, list):
        measured.tables.append(
            Table(
                title="Steps",
                headers=("Step", "Rows before", "Rows after", "Learned, filled, left over"),
                rows=listing(_steps(steps), limit=_MAX_ROWS),
                what="steps",
            )
        )
    if isinstance(learning, list) and learning:
        said = few([_learned(item) for item in learning if isinstance(item, Mapping)], limit=_MAX_ROWS)
        measured.notices.append(Fact(name="Learned from rows", value=said))
    if isinstance(shared, Mapping):
        measured.facts += facts_of("rows that also occur in", shared)
