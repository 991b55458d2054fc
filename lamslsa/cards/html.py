"""The HTML card: one file that loads nothing, runs nothing and reads on a phone and on paper.

Rules:
- The content security policy allows inline styles and nothing else; there is no link but to places in the page.
- Every text goes through `element`, which escapes it. Standing is told by mark, word and border as well as by colour.
- On narrow pages each table row becomes a block whose cells repeat their column's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib import resources
from typing import Final, TypeVar

from lamslsa.cards._html_sections import (
    dataset_panel,
    evaluation_panel,
    inference_panel,
    properties_panel,
    training_panel,
)
from lamslsa.cards._lineage import lineage
from lamslsa.cards._markup import Markup, element, join, own
from lamslsa.cards._widgets import (
    EMPTY,
    SPACE,
    badge,
    code,
    data_table,
    digest_code,
    fact_list,
    more,
    name_list,
    section,
    tee_text,
)
from lamslsa.cards.parts import LEGEND, MARKS, Fact, Listing
from lamslsa.cards.view import OUTCOMES, Alert, Card, Miss, Rule

__all__ = ["render"]

T = TypeVar("T")

_CSP: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_RENDERING: Final = (
    "This page is a rendering and proves nothing by itself. "
    "To verify the model yourself, with the policy and files of the digests above: "
)


def _header(card: Card) -> Markup:
    verdict = card.verdict
    tone = "accepted" if verdict.accepted else "refused"
    mark = "✓" if verdict.accepted else "✕"
    stamp = element("p", {"class": "stamp"}, own(f"{mark} {verdict.headline}"))
    if not verdict.accepted:
        stamp = element("p", {"class": "stamp"}, own(f"{mark} {verdict.headline} · exit code {verdict.exit_code}"))
    lines = [stamp, element("p", {}, verdict.summary)]
    if verdict.refused:
        lines.append(element("p", {}, "Not satisfied: ", name_list(verdict.refused), "."))
    return element(
        "header", {},
        element("p", {"class": "kicker"}, "Model card · lamslsa"),
        element("h1", {}, card.model.name),
        element("div", {"class": f"verdict {tone}", "role": "status"}, *lines),
        element("p", {"class": "banner"}, element("strong", {}, card.simulation)) if card.simulation else EMPTY,
        *map(_alert, card.alerts), _identities(card), _legend(), _verify_yourself(card),
    )  # fmt: skip


def _alert(alert: Alert) -> Markup:
    return element("p", {"class": "banner alert"}, element("strong", {}, alert.text), SPACE, badge(alert.standing))


def _identities(card: Card) -> Markup:
    facts = (
        Fact(name="Model", value=f"sha256:{card.model.digest}"),
        Fact(name="Policy", value=f"sha256:{card.policy.digest} {card.policy.name}"),
        Fact(name="with files", value=f"sha256:{card.policy_closure}"),
        Fact(name="As of", value=card.at),
    )
    return fact_list(facts, kind="facts identities")


def _legend() -> Markup:
    items = [element("li", {"class": standing}, badge(standing), SPACE, LEGEND[standing]) for standing in LEGEND]
    names = "Names are what signers call things; digests say what things are."
    return element(
        "div", {"class": "legend", "role": "note", "aria-label": "Legend"},
        element("ul", {}, *items), element("p", {"class": "note"}, names),
    )  # fmt: skip


def _verify_yourself(card: Card) -> Markup:
    return element(
        "p", {"class": "note"},
        _RENDERING,
        element("code", {"class": "command"}, card.command),
    )  # fmt: skip


def _contents(card: Card) -> Markup:
    places = ["rules", "lineage", "evaluations", "data", "training", "evidence", "statements"]
    if card.properties.shown:
        places.insert(places.index("evaluations"), "properties")
    if card.inferences.shown:
        places.insert(places.index("data"), "inferences")
    links = [element("a", {"href": f"#{place}"}, place.capitalize()) for place in places]
    return element("nav", {"aria-label": "Contents"}, *links)


def _rules(card: Card) -> Markup:
    headers = ("Rule", "Outcome", "Subject", "Observed", "Threshold", "Signed by", "TEE")
    table = data_table(
        "Every rule of the policy, what was observed and who vouches for it", headers, map(_rule_cells, card.rules)
    )
    return section("rules", "Rules", table, *map(_miss, card.misses))


def _rule_cells(rule: Rule) -> Sequence[str]:
    outcome = element("span", {"class": f"outcome {rule.outcome}"}, own(OUTCOMES[rule.outcome]))
    observed = join((rule.observed, SPACE, badge("unverified"))) if rule.unverified else rule.observed
    return (rule.name, outcome, rule.subject, observed, rule.threshold, rule.signer, tee_text(rule.tee))


def _miss(miss: Miss) -> Markup:
    lines = [element("h3", {}, name_list(miss.rules), own(f": {OUTCOMES[miss.outcome][2:]}"))]
    if miss.message:
        lines.append(element("p", {}, element("b", {}, "Nearest miss: "), miss.message, "."))
    if miss.mend:
        lines.append(element("p", {}, element("b", {}, "To mend it: "), miss.mend, "."))
    if miss.reason:
        lines.append(element("p", {"class": "note"}, "Reason: ", code(miss.reason)))
    return element("div", {"class": "panel mending"}, *lines)


def _lineage(card: Card) -> Markup:
    graph = card.graph
    note = f"{graph.omitted} more nodes not drawn." if graph.omitted else ""
    marks = [own(MARKS[standing]) for standing in ("verified", "unverified")]
    return section(
        "lineage", "Lineage",
        element(
            "figure", {},
            element("div", {"class": "scroll"}, lineage(graph, wide=True)), lineage(graph, wide=False),
            element("figcaption", {}, "What the model was made of and measured on. Solid lines and ", marks[0],
                    " are verified, dashed lines and ", marks[1], f" are not. {note}"),
        ),
    )  # fmt: skip


def _evidence(card: Card) -> Markup:
    headers = ("Evidence", "Standing", "TEE", "Measurement", "TCB status", "Root", "Statements")
    rows = [
        (digest_code(each.statement), badge(each.standing), tee_text(each.tee), digest_code(each.measurement), each.tcb,
         digest_code(each.root), each.covers)
        for each in card.evidence.shown
    ]  # fmt: skip
    table = data_table("Authentic quotes, and how many statements each vouches for", headers, rows)
    return section("evidence", "Evidence", table, more(card.evidence, "quotes"))


def _statements(card: Card) -> Markup:
    headers = ("Statement", "Kind", "Standing", "About", "Signed by", "TEE", "Relied on by")
    none = "no rule"
    rows = [
        (element("code", {"class": "full"}, each.source.statement), each.kind, badge(each.source.standing),
         join((each.subject.name, SPACE, digest_code(each.subject.digest), f" ({each.about})")),
         each.source.signers, tee_text(each.source.tee), name_list(each.source.rules) if each.source.rules else none)
        for each in card.statements.shown
    ]  # fmt: skip
    return section(
        "statements", "Statements",
        data_table("Every authentic statement, by the SHA-256 of its payload", headers, rows, kind="dense"),
        more(card.statements, "statements"), _set_aside(card), _warnings(card),
    )  # fmt: skip


def _set_aside(card: Card) -> Markup:
    if not card.set_aside.shown:
        return EMPTY
    rows = [(each.source, code(each.reason), each.message) for each in card.set_aside.shown]
    caption = "Set aside: not authentic, and nothing on this page comes from them"
    return join((data_table(caption, ("Bundle", "Reason", "Message"), rows), more(card.set_aside, "bundles")))


def _warnings(card: Card) -> Markup:
    if not card.warnings.shown:
        return EMPTY
    items = [element("li", {}, warning) for warning in card.warnings.shown]
    return join((element("h3", {}, "Warnings"), element("ul", {}, *items), more(card.warnings, "warnings")))


def _listed(anchor: str, listing: Listing[T], panel: Callable[[T], Markup], *others: Markup) -> Markup:
    panels = [panel(each) for each in listing.shown]
    if not panels and not others:
        panels = [element("p", {"class": "note"}, "No authentic statement says anything here.")]
    return section(anchor, anchor.capitalize(), *panels, more(listing, "statements"), *others)


def _sections(card: Card) -> Iterable[Markup]:
    yield _rules(card)
    yield _lineage(card)
    if card.properties.shown:
        yield _listed("properties", card.properties, properties_panel)
    yield _listed("evaluations", card.evaluations, evaluation_panel)
    if card.inferences.shown:
        yield _listed("inferences", card.inferences, inference_panel)
    prepared = [training_panel(each) for each in card.preparations.shown]
    yield _listed("data", card.datasets, dataset_panel, *prepared, *_and_more(card.preparations))
    yield _listed("training", card.trainings, training_panel)
    yield _evidence(card)
    yield _statements(card)


def _and_more(listing: Listing[object]) -> list[Markup]:
    return [more(listing, "statements")] if listing.omitted else []


def _style() -> Markup:
    return Markup(resources.files("lamslsa.cards").joinpath("card.css").read_text(encoding="utf-8"))


def render(card: Card) -> str:
    """Render a card as one self-contained HTML page."""
    head = element(
        "head", {},
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": own(_CSP)}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", {"name": "referrer", "content": "no-referrer"}),
        element("meta", {"name": "color-scheme", "content": "light dark"}),
        element("title", {}, f"{card.verdict.headline}: model card of {card.model.name}"),
        element("style", {}, _style()),
    )  # fmt: skip
    footer = element("footer", {}, f"Rendered by lamslsa from attestations, as of {card.at}.")
    body = element("body", {}, element("main", {}, _header(card), _contents(card), *_sections(card), footer))
    return f"<!DOCTYPE html>\n{element('html', {'lang': 'en'}, head, body)}\n"
