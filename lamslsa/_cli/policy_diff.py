"""``lamslsa policy diff``: what a change of a policy changes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from lamslsa import _yaml
from lamslsa._cli import endorsements, policy_cases, stores, ui
from lamslsa._cli.inputs import UtcTime
from lamslsa._cli.policy_source import read_policy
from lamslsa.decision import decide
from lamslsa.errors import LamslsaError, PolicyError
from lamslsa.policy import Appraisal, Policy, RuleResult
from lamslsa.policy.compare import Change, Shift, changes, shifts
from lamslsa.policy.opening import OpenedPolicy

__all__ = ["command"]

_VERDICTS: Final = "verdicts-differ"
_POLICIES: Final = "policies-differ"
_Outcome = Appraisal | LamslsaError


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compared:
    """A model, with its attestations, under both policies."""

    name: str
    before: _Outcome
    after: _Outcome

    @property
    def shifts(self) -> tuple[Shift, ...]:
        if isinstance(self.before, LamslsaError) or isinstance(self.after, LamslsaError):
            return ()
        return tuple(shifts(self.before, self.after))

    @property
    def differs(self) -> bool:
        return _verdict(self.before) != _verdict(self.after) or any(shift.differs for shift in self.shifts)


@click.command("diff")
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.argument("models", metavar="[MODEL]...", nargs=-1)
@click.option(
    "--attestations",
    multiple=True,
    metavar="STORE",
    help="Store of attestations of every MODEL; repeatable.  [default: beside each MODEL]",
)
@click.option("--cases", type=click.Path(path_type=Path), help="Also every case in this folder, as policy test reads.")
@click.option("--at", type=UtcTime(), help="The time of the verdicts on every MODEL.  [default: now]")
@click.option(
    "--collateral",
    multiple=True,
    type=click.Path(path_type=Path),
    help="What manufacturers say of platforms: a file, or a folder of *.json; repeatable.",
)
@click.option("--all", "everything", is_flag=True, help="Verdicts and rules that are the same as well.")
@stores.options
@ui.options
def command(
    before: str,
    after: str,
    models: tuple[str, ...],
    attestations: tuple[str, ...],
    cases: Path | None,
    at: dt.datetime | None,
    collateral: tuple[Path, ...],
    everything: bool,
    options: stores.StoreOptions,
    output: ui.Output,
) -> int:
    """Compare policies A and B: their terms, and their verdicts on each MODEL and case.

    Exit code 0: nothing differs that was asked for. 5: a verdict or a rule comes to something else (reason
    verdicts-differ), or, without MODEL and --cases, a term or a file does (reason policies-differ).

    \b
    Example:
      lamslsa policy diff policy.yaml stricter.yaml
      lamslsa policy diff policy.yaml stricter.yaml ./model --attestations attestations
      lamslsa policy diff policy.yaml stricter.yaml --cases cases
    """
    if (attestations or at) and not models:
        raise click.UsageError("--attestations and --at go with a MODEL")
    pair = (read_policy(before, options=options), read_policy(after, options=options))
    policies = (pair[0].policy, pair[1].policy)
    terms, files = changes(*policies), _files(*pair)
    unsaid = not terms and not files and _plain(pair[0]) != _plain(pair[1])
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    held = endorsements.read(collateral)
    compared = [_model(policies, model, attestations, options, at=at or now, held=held) for model in models]
    for folder in [] if cases is None else policy_cases.find(cases):
        outcomes = [policy_cases.run(folder, policy).outcome for policy in policies]
        compared.append(_Compared(name=folder.name, before=outcomes[0], after=outcomes[1]))
    reason = _reason(bool(terms or files or unsaid), compared)
    code = PolicyError.exit_code if reason else 0
    output.result(
        "\n".join(_text(policies, _terms_text(terms, files, unsaid=unsaid), compared, everything=everything)),
        {
            "policies": [{"name": policy.name, "closure": policy.closure} for policy in policies],
            "terms": [
                {"section": item.section, "about": item.about, "before": item.before, "after": item.after}
                for item in terms
            ],
            "files": files,
            "unsaid": unsaid,
            "verdicts": [_verdict_document(item, everything) for item in compared if everything or item.differs],
            "compared": len(compared),
            "reason": reason,
            "exitCode": code,
        },
    )
    return code


def _reason(differ: bool, compared: Sequence[_Compared]) -> str | None:
    if compared:
        return _VERDICTS if any(item.differs for item in compared) else None
    return _POLICIES if differ else None


def _plain(opened: OpenedPolicy) -> Any:
    """What a file says, without comments, order of keys and what it is called."""
    document = _yaml.loads(opened.data, source=opened.policy.name).plain()
    for label in ("name", "description"):
        document["metadata"].pop(label, None)
    return document


def _files(before: OpenedPolicy, after: OpenedPolicy) -> list[str]:
    """The files beside the policies that are not in both, or not the same."""
    names = sorted({*before.files, *after.files})
    return [name for name in names if before.files.get(name) != after.files.get(name)]


def _model(
    policies: tuple[Policy, Policy],
    model: str,
    attestations: Sequence[str],
    options: stores.StoreOptions,
    *,
    at: dt.datetime,
    held: tuple[bytes, ...],
) -> _Compared:
    store = stores.open_model(model, options)
    manifest = store.manifest()
    found = [stores.open_bundles(reference, options) for reference in attestations] or [store]
    bundles = [bundle for one in found for bundle in one.bundles()]

    def outcome(policy: Policy) -> _Outcome:
        try:
            return decide(
                policy, model=manifest, model_name=stores.name_of(store), bundles=bundles, at=at, now=at, held=held
            )
        except PolicyError as err:
            return err

    return _Compared(name=model, before=outcome(policies[0]), after=outcome(policies[1]))


def _verdict(outcome: _Outcome) -> str:
    if isinstance(outcome, LamslsaError):
        return f"no verdict [{outcome.reason}]"
    return "accepted" if outcome.accepted else "refused"


def _text(
    policies: tuple[Policy, Policy],
    terms: Iterator[str],
    compared: Sequence[_Compared],
    *,
    everything: bool,
) -> Iterator[str]:
    for side, policy in zip("AB", policies, strict=True):
        yield f"{side}  {ui.plain(policy.name)}  sha256:{policy.closure}"
    yield ""
    yield from terms
    for item in compared:
        if not (everything or item.differs):
            continue
        yield f"\n{ui.plain(item.name)}: {_verdict(item.before)} under A, {_verdict(item.after)} under B"
        for shift in item.shifts:
            if everything or shift.differs:
                mark = " " if not shift.differs else "!"
                yield f"{mark} {ui.plain(shift.name)}"
                yield from (f"    {line}" for line in _shift_text(shift))
    if compared:
        differing = sum(item.differs for item in compared)
        yield f"\n{differing} of {len(compared)} verdicts differ"


def _terms_text(terms: Sequence[Change], files: Sequence[str], *, unsaid: bool) -> Iterator[str]:
    if unsaid:
        yield "the terms are the same in these words, and something in the files is not: compare the two"
    elif not terms and not files:
        yield "the terms are the same"
    section = ""
    for item in terms:
        if item.section != section:
            section = item.section
            yield section
        if item.before is not None:
            yield f"- {ui.plain(item.before)}"
        if item.after is not None:
            same = "  (differs in what these words leave out)" if item.after == item.before else ""
            yield f"+ {ui.plain(item.after)}{same}"
    if files:
        yield f"files that differ: {ui.plain(', '.join(files))}"


def _shift_text(shift: Shift) -> Iterator[str]:
    for side, rule in zip("AB", (shift.before, shift.after), strict=True):
        yield f"{side}: {'no such rule' if rule is None else _rule_text(rule)}"


def _rule_text(rule: RuleResult) -> str:
    observed = "" if rule.observed is None else f", got {ui.plain(rule.observed)}"
    asked = f"{ui.plain(rule.threshold)}{observed}"
    if rule.outcome == "satisfied":
        return f"satisfied: {asked}"
    return f"{rule.outcome} [{rule.reason}]: {ui.plain(rule.message) or asked}"


def _verdict_document(item: _Compared, everything: bool) -> dict[str, Any]:
    return {
        "model": item.name,
        "before": _verdict(item.before),
        "after": _verdict(item.after),
        "differs": item.differs,
        "rules": [
            {"name": shift.name, "differs": shift.differs, "before": _rule(shift.before), "after": _rule(shift.after)}
            for shift in item.shifts
            if everything or shift.differs
        ],
    }


def _rule(rule: RuleResult | None) -> dict[str, Any] | None:
    if rule is None:
        return None
    return {
        "outcome": rule.outcome,
        "reason": rule.reason,
        "threshold": rule.threshold,
        "observed": rule.observed,
        "message": rule.message,
    }
