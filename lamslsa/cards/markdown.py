"""The Markdown card: CommonMark with GitHub's tables, and nothing that needs more.

Rules:
- Text that is not the card's own goes through `lamslsa.cards._inline`, which lets it start nothing and end nothing.
- Lineage is an indented tree of text, which reads the same where Markdown is not rendered at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from lamslsa.cards import _text
from lamslsa.cards._inline import (
    Inline,
    code,
    digest,
    flat,
    mark,
    more,
    own,
    own_headers,
    quoted,
    table,
    tee_text,
)
from lamslsa.cards._markdown_sections import (
    dataset_blocks,
    evaluation_blocks,
    inference_blocks,
    properties_blocks,
    training_blocks,
)
from lamslsa.cards.parts import LEGEND, MARKS, Listing
from lamslsa.cards.view import OUTCOMES, Card, Graph, Node, Rule

__all__ = ["render"]

_TREE: Final = {True: ("└─ ", "   "), False: ("├─ ", "│  ")}


def _header(card: Card) -> Iterable[str]:
    verdict = card.verdict
    sign, code_words = ("✓", "") if verdict.accepted else ("✕", f" (exit code {verdict.exit_code})")
    yield f"# Model card: {quoted(card.model.name)}"
    lines = [f"> **{sign} {verdict.headline.upper()}**{code_words}", f"> {verdict.summary}"]
    if verdict.refused:
        lines.append(f"> Not satisfied: {', '.join(map(quoted, verdict.refused))}.")
    yield "\n>\n".join(lines)
    if card.simulation:
        yield f"> **⚠ {card.simulation}**"
    for alert in card.alerts:
        yield f"> **⚠ {alert.text}** ({mark(alert.standing)})"
    yield "\n".join(
        (
            f"- Model: `sha256:{card.model.digest}`",
            f"- Policy: `sha256:{card.policy.digest}` {quoted(card.policy.name)}",
            f"- Policy with its files: `sha256:{card.policy_closure}`",
            f"- As of: {card.at}",
        )
    )
    yield "What the marks say:"
    yield "\n".join(f"- **{mark(standing)}**: {meaning}" for standing, meaning in LEGEND.items())
    yield (
        "Names are what signers call things; digests say what things are. "
        "This text is a rendering and proves nothing by itself. "
        f"To verify the model yourself, with the policy and files of the digests above: `{card.command}`"
    )


def _rule_row(rule: Rule) -> Sequence[Inline]:
    observed = own(f"{quoted(rule.observed)} ({mark('unverified')})") if rule.unverified else quoted(rule.observed)
    return (
        quoted(rule.name), own(OUTCOMES[rule.outcome]), quoted(rule.subject), observed, quoted(rule.threshold),
        quoted(rule.signer), tee_text(rule.tee),
    )  # fmt: skip


def _rules(card: Card) -> Iterable[str]:
    yield "## Rules"
    headers = own_headers("Rule", "Outcome", "Subject", "Observed", "Threshold", "Signed by", "TEE")
    yield table(headers, map(_rule_row, card.rules))
    for miss in card.misses:
        lines = [f"- {', '.join(map(quoted, miss.rules))}: {OUTCOMES[miss.outcome][2:]}"]
        lines += [f"  - **Nearest miss:** {quoted(miss.message)}"] if miss.message else []
        lines += [f"  - **To mend it:** {quoted(miss.mend)}"] if miss.mend else []
        lines += [f"  - Reason: {code(miss.reason)}"] if miss.reason else []
        yield "\n".join(lines)


def _node_line(node: Node) -> str:
    origin = f", signed by {flat(node.signers)}, TEE: {flat(node.tee)}" if node.signers else ""
    return f"{MARKS[node.standing]} {node.kind}: {flat(node.name)} {_text.short(node.digest)}{origin}"


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
            names = f"{flat(nodes[edge.start].name)} and {flat(nodes[edge.end].name)}"
            yield f"{MARKS[edge.standing]} {edge.label}, between {names}"


def _lineage(card: Card) -> Iterable[str]:
    yield "## Lineage"
    yield "\n".join(("```text", *_tree(card.graph), "```"))
    if card.graph.omitted:
        yield f"{card.graph.omitted} more nodes not shown."


def _evidence(card: Card) -> Iterable[str]:
    yield "## Evidence"
    headers = own_headers("Evidence", "Standing", "TEE", "Measurement", "TCB status", "Root", "Statements")
    rows = [
        (digest(each.statement), mark(each.standing), tee_text(each.tee), digest(each.measurement), quoted(each.tcb),
         digest(each.root), own(each.covers))
        for each in card.evidence.shown
    ]  # fmt: skip
    yield table(headers, rows)
    yield from more(card.evidence, "quotes")


def _statements(card: Card) -> Iterable[str]:
    yield "## Statements"
    headers = own_headers("Statement", "Kind", "Standing", "About", "Signed by", "TEE")
    rows = [
        (code(each.source.statement), own(each.kind), mark(each.source.standing),
         own(f"{quoted(each.subject.name)} {digest(each.subject.digest)} ({each.about})"),
         quoted(each.source.signers), tee_text(each.source.tee))
        for each in card.statements.shown
    ]  # fmt: skip
    yield table(headers, rows)
    yield from more(card.statements, "statements")


def _aside(card: Card) -> Iterable[str]:
    if card.set_aside.shown:
        yield "## Set aside"
        yield "Not authentic, and nothing in this card comes from them."
        rows = [(quoted(each.source), code(each.reason), quoted(each.message)) for each in card.set_aside.shown]
        yield table(own_headers("Bundle", "Reason", "Message"), rows)
        yield from more(card.set_aside, "bundles")
    if card.warnings.shown:
        yield "## Warnings"
        yield "\n".join(f"- {quoted(warning)}" for warning in card.warnings.shown)
        yield from more(card.warnings, "warnings")


_Section = TypeVar("_Section")


def _listed(
    title: str, listing: Listing[_Section], section: Callable[[_Section], Iterable[str]], what: str
) -> Iterable[str]:
    yield f"## {title}"
    yield from (block for each in listing.shown for block in section(each))
    yield from more(listing, what)


def _blocks(card: Card) -> Iterable[str]:
    none = "No authentic statement says anything here."
    yield from _header(card)
    yield from _rules(card)
    yield from _lineage(card)
    if card.properties.shown:
        yield from _listed("Properties", card.properties, properties_blocks, "statements")
    yield from _listed("Evaluations", card.evaluations, evaluation_blocks, "evaluations")
    if not card.evaluations.shown:
        yield none
    if card.inferences.shown:
        yield from _listed("Inferences", card.inferences, inference_blocks, "inferences")
    yield from _listed("Data", card.datasets, dataset_blocks, "datasheets")
    yield from (block for each in card.preparations.shown for block in training_blocks(each))
    yield from more(card.preparations, "transforms of datasets")
    if not card.datasets.shown and not card.preparations.shown:
        yield none
    yield from _listed("Training", card.trainings, training_blocks, "trainings")
    if not card.trainings.shown:
        yield none
    yield from _evidence(card)
    yield from _statements(card)
    yield from _aside(card)


def render(card: Card) -> str:
    """Render a card as Markdown."""
    return "\n\n".join(_blocks(card)) + "\n"
