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

from lamslsa.cards import _charts
from lamslsa.cards._markup import Markup, element, join, own
from lamslsa.cards._widgets import (
    EMPTY,
    SPACE,
    badge,
    code,
    data_table,
    declared_panel,
    digest_code,
    fact_list,
    more,
    name_list,
    panel,
    section,
    tee_text,
)
from lamslsa.cards.view import (
    LEGEND,
    MARKS,
    OUTCOMES,
    Card,
    Dataset,
    Distribution,
    Evaluation,
    Fact,
    GroupTable,
    Listing,
    Measure,
    Miss,
    Rule,
    Training,
)

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
        _identities(card), _legend(), _verify_yourself(card),
    )  # fmt: skip


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


def _contents() -> Markup:
    places = ("rules", "lineage", "evaluations", "data", "training", "evidence", "statements")
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
            _charts.lineage(graph, wide=True), _charts.lineage(graph, wide=False),
            element("figcaption", {}, "What the model was made of and measured on. Solid lines and ", marks[0],
                    " are verified, dashed lines and ", marks[1], f" are not. {note}"),
        ),
    )  # fmt: skip


def _measures(caption: str, measures: Listing[Measure], *, by: bool) -> Markup:
    if not measures.shown:
        return EMPTY
    headers = ("Metric", *(("Groups",) if by else ()), "Value", "Samples", "Interval")
    rows = [
        (
            join((each.label, SPACE, element("code", {"class": "wire"}, each.name))),
            *((each.groups,) if by else ()),
            element("strong", {"class": "value"}, each.text),
            each.samples,
            element("span", {"class": "value"}, each.method or "none"),
        )
        for each in measures.shown
    ]
    return join((data_table(caption, headers, rows), more(measures, "metrics")))


def _groups(table: GroupTable) -> Markup:
    rows = []
    for row in table.rows:
        cells = []
        for measure, reference in zip(row.measures, table.references, strict=True):
            if measure is None:
                cells.append(element("span", {"class": "note"}, "not measured"))
                continue
            bar = _charts.measure_bar(measure, reference) or EMPTY
            cells.append(element("div", {"class": "measure"}, bar, element("span", {"class": "value"}, measure.text)))
        rows.append((*row.groups, row.samples, *cells))
    by = " × ".join(table.columns)
    methods = sorted({m.method for row in table.rows for m in row.measures if m is not None and m.method})
    caption = f"By {by}. Bars run from 0 to 1; whiskers: {'; '.join(methods) or 'none'}; dotted: over all rows"
    return data_table(
        caption, (*table.columns, "Samples", *(each.value for each in table.metrics)), rows, kind="groups"
    )


def _evaluation(evaluation: Evaluation) -> Markup:
    title = join(("On ", element("b", {}, evaluation.dataset.name), SPACE, digest_code(evaluation.dataset.digest)))
    omitted = more(Listing(shown=(), omitted=evaluation.slices_omitted), "slices")
    return panel(
        evaluation.source, title,
        _measures("Over all rows", evaluation.overall, by=False),
        _measures("Differences between groups", evaluation.differences, by=True),
        *map(_groups, evaluation.groups), omitted,
        element("h4", {}, "Measured with"), fact_list(evaluation.facts),
    )  # fmt: skip


def _distribution(distribution: Distribution) -> Markup:
    rows = []
    for share in distribution.shares.shown:
        bar = _charts.share_bar(f"{share.label}: {share.share}", share.fraction)
        value = element("span", {"class": "value"}, share.share)
        rows.append((share.label, element("div", {"class": "measure"}, bar, value), share.count))
    caption = f"{distribution.title}, {distribution.samples} rows"
    return join(
        (data_table(caption, ("Group", "Share", "Rows"), rows, kind="shares"), more(distribution.shares, "groups"))
    )


def _dataset(dataset: Dataset) -> Markup:
    role = dataset.role or "not linked to this model"
    title = join((element("b", {}, dataset.reference.name), SPACE, digest_code(dataset.reference.digest), f" · {role}"))
    overlaps = [
        element("p", {"class": "overlap"}, element("b", {}, "Overlap: "), each, ".") for each in dataset.overlaps.shown
    ]
    missing = [(fact.name, fact.value) for fact in dataset.missing.shown]
    return panel(
        dataset.source, title, fact_list(dataset.facts), *overlaps, more(dataset.overlaps, "overlaps"),
        element(
            "div", {"class": "columns"},
            *map(_distribution, dataset.distributions.shown),
            data_table("Missing values by column", ("Column", "Missing"), missing) if missing else EMPTY,
        ),
        more(dataset.missing, "columns"), more(dataset.distributions, "distributions"),
        declared_panel("Declared by the owner", dataset.declared),
    )  # fmt: skip


def _training(training: Training) -> Markup:
    title = join(("Run ", digest_code(training.source.statement)))
    packages = f"{training.package_count} packages are in the statement, each with version and digest; among them:"
    return panel(
        training.source, title, fact_list(training.facts),
        element("h4", {}, "Ingredients"), fact_list(training.ingredients.shown),
        more(training.ingredients, "ingredients"),
        element("h4", {}, "Parameters"), fact_list(training.parameters.shown), more(training.parameters, "parameters"),
        element("h4", {}, "Packages"), element("p", {}, packages), fact_list(training.packages),
        declared_panel("Reported by the operating system", training.reported.shown), more(training.reported, "values"),
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


def _listed(anchor: str, listing: Listing[T], panel: Callable[[T], Markup]) -> Markup:
    none = element("p", {"class": "note"}, "No authentic statement says anything here.")
    panels = [panel(each) for each in listing.shown] or [none]
    return section(anchor, anchor.capitalize(), *panels, more(listing, "statements"))


def _sections(card: Card) -> Iterable[Markup]:
    yield _rules(card)
    yield _lineage(card)
    yield _listed("evaluations", card.evaluations, _evaluation)
    yield _listed("data", card.datasets, _dataset)
    yield _listed("training", card.trainings, _training)
    yield _evidence(card)
    yield _statements(card)


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
    body = element("body", {}, element("main", {}, _header(card), _contents(), *_sections(card), footer))
    return f"<!DOCTYPE html>\n{element('html', {'lang': 'en'}, head, body)}\n"
