r"""The Markdown card: CommonMark with GitHub's tables, and nothing that needs more.

Rules:
- Text that is not the card's own stays prose only if it is made of harmless characters; anything else becomes a code
  span, where Markdown knows no syntax but the backtick. Backticks and pipes are spelled out, so a text can neither end
  its code span nor add a cell or a row.
- Lineage is an indented tree of text, which reads the same where Markdown is not rendered at all.

>>> quoted("0.8549 (0.8494–0.8602), n 16,281"), quoted("a|b <img> [x](y)")
('0.8549 (0.8494–0.8602), n 16,281', '`a⟨U+007C⟩b <img> [x](y)`')
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NewType

from lamslsa.cards import _text
from lamslsa.cards.view import (
    LEGEND,
    MARKS,
    OUTCOMES,
    WORDS,
    Card,
    Dataset,
    Evaluation,
    Fact,
    Graph,
    GroupTable,
    Listing,
    Measure,
    Node,
    Rule,
    Source,
    Standing,
    Training,
)

__all__ = ["quoted", "render"]

Inline = NewType("Inline", str)
"""Markdown that is safe in a table cell and in a paragraph."""

# No character or sequence in here starts or ends Markdown, an autolink, an emoji or a mention, in any dialect known.
_HARMLESS: Final = re.compile(
    r"""(?![-+=]|\d+[.)](?:[ ]|\Z))  # no list, no heading
    (?:[^\W_]               # letters and digits
        |[ ,;()'%+=–≥≤×…⟨⟩·\u2068\u2069"-]
        |\.(?=[ \d)]|\Z)     # a stop or a decimal point, never a host name
        |:(?=[ ]|\Z)         # never a scheme or an emoji
        |(?<=[^\W_])_(?=[^\W_])
        |(?<=[^\W_])/(?=[^\W_])
    )+""",
    re.VERBOSE,
)
_SPELLED_OUT: Final = {ord("`"): "⟨U+0060⟩", ord("|"): "⟨U+007C⟩"}
_TREE: Final = {True: ("└─ ", "   "), False: ("├─ ", "│  ")}


def _flat(text: str) -> str:
    """Text for a code span or a fenced block."""
    return _text.clean(text).translate(_SPELLED_OUT).strip()


def quoted(text: str) -> Inline:
    """Text that is not the card's own: prose if harmless, else a code span."""
    cleaned = _text.clean(text).strip()
    return Inline(cleaned) if _HARMLESS.fullmatch(cleaned) else _code(text)


def _code(text: str) -> Inline:
    return Inline(f"`{_flat(text)}`")


def _digest(digest: str) -> Inline:
    return _code(_text.short(digest))


def _own(text: str) -> Inline:
    """The card's own words."""
    return Inline(text)


def _bold(text: Inline) -> Inline:
    return _own(f"**{text}**")


def _mark(standing: Standing) -> Inline:
    return _own(f"{MARKS[standing]} {WORDS[standing]}")


def _tee(tee: str) -> Inline:
    return _bold(quoted(tee)) if "SIMULATED" in tee else quoted(tee)


def _table(headers: Sequence[Inline], rows: Iterable[Sequence[Inline]]) -> str:
    lines = [headers, [_own("---")] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _own_headers(*titles: str) -> list[Inline]:
    return [_own(title) for title in titles]


def _facts(facts: Iterable[Fact], mark: Standing) -> str:
    rows = [(quoted(fact.name), _own(f"{MARKS[mark]} {quoted(fact.value)}")) for fact in facts]
    return _table((_own("Property"), _own("Value")), rows)


def _more(listing: Listing[object], what: str) -> list[str]:
    return [f"{_text.count(listing.omitted)} more {what} not shown."] if listing.omitted else []


def _origin(source: Source) -> str:
    rules = f" · relied on by {', '.join(map(quoted, source.rules))}" if source.rules else ""
    return (
        f"{_bold(_mark(source.standing))} · signed by {quoted(source.signers)} · TEE: {_tee(source.tee)} · "
        f"statement {_digest(source.statement)}{rules}"
    )


def _header(card: Card) -> Iterable[str]:
    verdict = card.verdict
    mark, code = ("✓", "") if verdict.accepted else ("✕", f" (exit code {verdict.exit_code})")
    yield f"# Model card: {quoted(card.model.name)}"
    lines = [f"> **{mark} {verdict.headline.upper()}**{code}", f"> {verdict.summary}"]
    if verdict.refused:
        lines.append(f"> Not satisfied: {', '.join(map(quoted, verdict.refused))}.")
    yield "\n>\n".join(lines)
    if card.simulation:
        yield f"> **⚠ {card.simulation}**"
    yield "\n".join(
        (
            f"- Model: `sha256:{card.model.digest}`",
            f"- Policy: `sha256:{card.policy.digest}` {quoted(card.policy.name)}",
            f"- Policy with its files: `sha256:{card.policy_closure}`",
            f"- As of: {card.at}",
        )
    )
    yield "What the marks say:"
    yield "\n".join(f"- **{_mark(standing)}**: {meaning}" for standing, meaning in LEGEND.items())
    yield (
        "Names are what signers call things; digests say what things are. "
        "This text is a rendering and proves nothing by itself. "
        f"To verify the model yourself, with the policy and files of the digests above: `{card.command}`"
    )


def _rule_row(rule: Rule) -> Sequence[Inline]:
    observed = _own(f"{quoted(rule.observed)} ({_mark('unverified')})") if rule.unverified else quoted(rule.observed)
    return (
        quoted(rule.name), _own(OUTCOMES[rule.outcome]), quoted(rule.subject), observed, quoted(rule.threshold),
        quoted(rule.signer), _tee(rule.tee),
    )  # fmt: skip


def _rules(card: Card) -> Iterable[str]:
    yield "## Rules"
    headers = _own_headers("Rule", "Outcome", "Subject", "Observed", "Threshold", "Signed by", "TEE")
    yield _table(headers, map(_rule_row, card.rules))
    for miss in card.misses:
        lines = [f"- {', '.join(map(quoted, miss.rules))}: {OUTCOMES[miss.outcome][2:]}"]
        lines += [f"  - **Nearest miss:** {quoted(miss.message)}"] if miss.message else []
        lines += [f"  - **To mend it:** {quoted(miss.mend)}"] if miss.mend else []
        lines += [f"  - Reason: {_code(miss.reason)}"] if miss.reason else []
        yield "\n".join(lines)


def _node_line(node: Node) -> str:
    origin = f", signed by {_flat(node.signers)}, TEE: {_flat(node.tee)}" if node.signers else ""
    return f"{MARKS[node.standing]} {node.kind}: {_flat(node.name)} {_text.short(node.digest)}{origin}"


def _tree(graph: Graph) -> Iterable[str]:
    """The model, under it the runs that made and measured it, under those what they used."""
    nodes = {node.key: node for node in graph.nodes}
    users: dict[str, list[str]] = {}
    for edge in graph.edges:
        if not edge.overlap:
            users.setdefault(edge.end, []).append(edge.start)

    def below(key: str, indent: str) -> Iterable[str]:
        children = users.get(key, [])
        for index, child in enumerate(children):
            branch, deeper = _TREE[index == len(children) - 1]
            yield f"{indent}{branch}{_node_line(nodes[child])}"
            yield from below(child, indent + deeper)

    for node in graph.nodes:
        if node.rank == 2:
            yield _node_line(node)
            yield from below(node.key, "")
    for edge in graph.edges:
        if edge.overlap:
            names = f"{_flat(nodes[edge.start].name)} and {_flat(nodes[edge.end].name)}"
            yield f"{MARKS[edge.standing]} {edge.label}, between {names}"


def _lineage(card: Card) -> Iterable[str]:
    yield "## Lineage"
    yield "\n".join(("```text", *_tree(card.graph), "```"))
    if card.graph.omitted:
        yield f"{card.graph.omitted} more nodes not shown."


def _measures(measures: Listing[Measure], standing: Standing) -> Iterable[str]:
    rows = [
        (quoted(each.label), quoted(each.groups) if each.groups else _own("all rows"), _value(each, standing),
         _own(each.samples), _own(each.method or "none"))
        for each in measures.shown
    ]  # fmt: skip
    if rows:
        yield _table(_own_headers("Metric", "Compared", "Value", "Samples", "Interval"), rows)
    yield from _more(measures, "metrics")


def _value(measure: Measure | None, standing: Standing) -> Inline:
    return _own(f"{MARKS[standing]} {quoted(measure.text)}") if measure else _own("not measured")


def _groups(table: GroupTable, standing: Standing) -> str:
    headers = [*map(quoted, table.columns), _own("Samples"), *(quoted(metric.value) for metric in table.metrics)]
    rows = [
        [*map(quoted, row.groups), _own(row.samples), *(_value(each, standing) for each in row.measures)]
        for row in table.rows
    ]
    return _table(headers, rows)


def _evaluation(evaluation: Evaluation) -> Iterable[str]:
    standing = evaluation.source.standing
    yield f"### Evaluation on {quoted(evaluation.dataset.name)} {_digest(evaluation.dataset.digest)}"
    yield _origin(evaluation.source)
    yield from _measures(evaluation.overall, standing)
    yield from _measures(evaluation.differences, standing)
    for table in evaluation.groups:
        yield _groups(table, standing)
    yield from _more(Listing(shown=(), omitted=evaluation.slices_omitted), "slices")
    yield _facts(evaluation.facts, standing)


def _dataset(dataset: Dataset) -> Iterable[str]:
    standing = dataset.source.standing
    mark = MARKS[standing]
    name, role = quoted(dataset.reference.name), dataset.role or "not linked to this model"
    yield f"### Dataset {name} {_digest(dataset.reference.digest)}: {role}"
    yield _origin(dataset.source)
    yield _facts(dataset.facts, standing)
    for overlap in dataset.overlaps.shown:
        yield f"- {mark} Overlap: {quoted(overlap)}"
    yield from _more(dataset.overlaps, "overlaps")
    if dataset.missing.shown:
        rows = [(quoted(fact.name), _own(f"{mark} {fact.value}")) for fact in dataset.missing.shown]
        yield _table(_own_headers("Column", "Missing values"), rows)
    yield from _more(dataset.missing, "columns")
    for each in dataset.distributions.shown:
        counts = [(quoted(one.label), _own(f"{mark} {one.count}"), _own(one.share)) for one in each.shares.shown]
        yield _table((quoted(each.title), _own("Rows"), _own("Share")), counts)
        yield from _more(each.shares, "groups")
    yield from _more(dataset.distributions, "distributions")
    if dataset.declared:
        yield f"**{_mark('declared')}** by the owner:"
        yield _facts(dataset.declared, "declared")


def _training(training: Training) -> Iterable[str]:
    standing = training.source.standing
    yield f"### Training run {_digest(training.source.statement)}"
    yield _origin(training.source)
    yield _facts((*training.facts, *training.ingredients.shown), standing)
    yield from _more(training.ingredients, "ingredients")
    yield _facts(training.parameters.shown, standing)
    yield from _more(training.parameters, "parameters")
    yield f"{training.package_count} packages are in the statement, each with version and digest; among them:"
    yield _facts(training.packages, standing)
    if training.reported.shown:
        yield f"**{_mark('declared')}**, as reported by the operating system:"
        yield _facts(training.reported.shown, "declared")
    yield from _more(training.reported, "values")


def _evidence(card: Card) -> Iterable[str]:
    yield "## Evidence"
    headers = _own_headers("Evidence", "Standing", "TEE", "Measurement", "TCB status", "Root", "Statements")
    rows = [
        (_digest(each.statement), _mark(each.standing), _tee(each.tee), _digest(each.measurement), quoted(each.tcb),
         _digest(each.root), _own(each.covers))
        for each in card.evidence.shown
    ]  # fmt: skip
    yield _table(headers, rows)
    yield from _more(card.evidence, "quotes")


def _statements(card: Card) -> Iterable[str]:
    yield "## Statements"
    headers = _own_headers("Statement", "Kind", "Standing", "About", "Signed by", "TEE")
    rows = [
        (_code(each.source.statement), _own(each.kind), _mark(each.source.standing),
         _own(f"{quoted(each.subject.name)} {_digest(each.subject.digest)} ({each.about})"),
         quoted(each.source.signers), _tee(each.source.tee))
        for each in card.statements.shown
    ]  # fmt: skip
    yield _table(headers, rows)
    yield from _more(card.statements, "statements")


def _aside(card: Card) -> Iterable[str]:
    if card.set_aside.shown:
        yield "## Set aside"
        yield "Not authentic, and nothing in this card comes from them."
        rows = [(quoted(each.source), _code(each.reason), quoted(each.message)) for each in card.set_aside.shown]
        yield _table(_own_headers("Bundle", "Reason", "Message"), rows)
        yield from _more(card.set_aside, "bundles")
    if card.warnings.shown:
        yield "## Warnings"
        yield "\n".join(f"- {quoted(warning)}" for warning in card.warnings.shown)
        yield from _more(card.warnings, "warnings")


def _blocks(card: Card) -> Iterable[str]:
    none = "No authentic statement says anything here."
    yield from _header(card)
    yield from _rules(card)
    yield from _lineage(card)
    yield "## Evaluations"
    yield from (block for each in card.evaluations.shown for block in _evaluation(each))
    yield from _more(card.evaluations, "evaluations") if card.evaluations.shown else [none]
    yield "## Data"
    yield from (block for each in card.datasets.shown for block in _dataset(each))
    yield from _more(card.datasets, "datasheets") if card.datasets.shown else [none]
    yield "## Training"
    yield from (block for each in card.trainings.shown for block in _training(each))
    yield from _more(card.trainings, "trainings") if card.trainings.shown else [none]
    yield from _evidence(card)
    yield from _statements(card)
    yield from _aside(card)


def render(card: Card) -> str:
    """Render a card as Markdown."""
    return "\n\n".join(_blocks(card)) + "\n"
