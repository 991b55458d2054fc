"""All of a policy in words, in a fixed order; it depends on the policy alone."""

from __future__ import annotations

from collections.abc import Iterator

from lamslsa.evidence.appraise import PlatformTerms
from lamslsa.policy.explain import _made, _required, _trust
from lamslsa.policy.explain.words import Item, Section, count, digest, time
from lamslsa.policy.model import CelRule, MetricRule, OverlapRule, Policy

__all__ = ["explain"]


def explain(policy: Policy) -> tuple[Section, ...]:
    """What a policy says, to people: every term that decides is in some item."""
    parts = {
        "When it is in force": _in_force(policy),
        "Who may sign": _trust.identities(policy),
        "Which platforms count": _trust.platforms(policy),
        "What a model may be made of": _made.ingredients(policy),
        "How it was made": _made.training(policy),
        "What must hold": _required.rules(policy),
        "Which other policies must accept it too": _extends(policy),
        "What is refused whatever else accepts it": _denied(policy),
        "What a cluster does with models that no digest holds": _elsewhere(policy),
        "What would make it refuse": _refuses(policy),
    }
    found = {title: tuple(items) for title, items in parts.items()}
    return tuple(Section(title=title, items=items) for title, items in found.items() if items)


def _in_force(policy: Policy) -> Iterator[Item]:
    start = "any time" if policy.effective_from is None else time(policy.effective_from)
    end = "for ever" if policy.expires is None else f"until {time(policy.expires)}"
    yield Item(key="in force", text=f"From {start} {end}.", exact=(policy.effective_from, policy.expires))


def _extends(policy: Policy) -> Iterator[Item]:
    for item in policy.extends:
        text = f"{item.name} ({digest(item.closure)}), under its own identities and platforms."
        yield Item(key=f"policy {item.name}", text=text, exact=item.closure)


def _denied(policy: Policy) -> Iterator[Item]:
    deny = policy.deny
    for what, words, values in (
        ("artifact", "that is the model, or in it at any step", deny.artifacts),
        ("attestation", "as if it was not there", deny.attestations),
        ("measurement", "in evidence of any platform", deny.measurements),
        ("key", "on any signature, of whomever", deny.keys),
    ):
        for sha256 in sorted(values):
            yield Item(key=f"{what} {sha256}", text=f"The {what} {digest(sha256)}, {words}.", exact=sha256)


def _elsewhere(policy: Policy) -> Iterator[Item]:
    """Only where the policy says something else than to refuse them."""
    if not policy.verify_in_pod:
        return
    others = [item.name for item in policy.extends if not item.admits_elsewhere]
    text = (
        f"It refuses them: {', '.join(others)}, which this policy extends, does."
        if others
        else "It verifies a copy of them in their Pod, before what serves them starts."
    )
    yield Item(key="elsewhere", text=text, exact=policy.admits_elsewhere)


def _refuses(policy: Policy) -> Iterator[Item]:
    """What refuses under this policy, shortly; each line only where it can."""
    lines = {
        "ingredients": "A dataset or a base model that is not listed above, in any step that made the model.",
        "word": "A statement without the signature, or the platform, that its rule names: it counts for nothing.",
        "absence": "Evidence that is missing: nothing is assumed, and an undefined value is none.",
    }
    if policy.ingredients.code is not None or policy.ingredients.packages is not None:
        lines["dependencies"] = "Code or a package that is not listed above, where there is a list."
    if policy.ingredients.licenses is not None:
        lines["licence"] = "A dataset or a base model under another licence, or under none that is stated."
    if any(witness.max_age is not None for witness in policy.witnesses):
        told = "a beacon or a challenge" if policy.beacons else "a challenge, there being no beacons,"
        lines["age"] = f"Evidence that is too old, or whose age {told} does not tell, where an age is named above."
    if any(not (terms.simulated or terms.unsafe_as_of_only or terms.unsafe_no_evidence) for terms in _used(policy)):
        lines["standing"] = (
            "A platform that is revoked, patched too little, or of which nothing says how it stands now."
        )
    if any(isinstance(rule, MetricRule) for rule in policy.require):
        lines["training data"] = "An evaluation on data that the model was trained on, at any step."
    if any(isinstance(rule, OverlapRule) for rule in policy.require):
        lines["columns"] = "Rows that were compared by other columns than training read."
    if any(isinstance(rule, CelRule) for rule in policy.require):
        lines["expression"] = "An expression that fails, takes too long, or has nothing to look at."
    lines["conflicts"] = (
        "Attestations that count and tell different stories of how the model was made."
        if policy.refuse_conflicts
        else "Not, by itself, that attestations tell different stories: that is a warning without conflicts: refuse."
    )
    if policy.expires is not None or policy.effective_from is not None:
        lines["time"] = "Everything, while it is not in force."
    for key, text in lines.items():
        yield Item(key=key, text=text, exact=text)
    if policy.within:
        text = (
            f"What {count(len(policy.within), 'policy').replace('policys', 'policies')} within this one would refuse."
        )
        yield Item(key="within", text=text, exact=tuple(sorted(item.closure for item in policy.within)))


def _used(policy: Policy) -> Iterator[PlatformTerms]:
    names = {witness.platform for witness in policy.witnesses}
    return (terms for name, terms in policy.platforms.items() if name in names)
