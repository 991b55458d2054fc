"""The whole policy as text, comments included: every number says where it comes from."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from lamslsa.errors import PolicyError
from lamslsa.policy.appraisal import Appraisal
from lamslsa.policy.init._found import Found, Step
from lamslsa.policy.init._rules import RuleDraft, Rules
from lamslsa.policy.init._scalars import comment, flow, is_text, scalar
from lamslsa.policy.init._terms import Datasets, code_lines, license_lines, model_lines, package_lines
from lamslsa.policy.init.trust import TrustWanted
from lamslsa.policy.load import API_VERSION, KIND
from lamslsa.predicates.provenance import OWN_TRAINING_BUILD_TYPE

__all__ = ["Text"]

_SIGNATURE: Final = "model signature"
_MOST_SHOWN: Final = 160


@dataclass(slots=True, kw_only=True)
class Text:
    """The policy as it is written.

    Attributes:
        name: of the policy, a label.
        model: name and digest of the model, in words.
        signed_by: who must have signed the files of the model; None where nobody is asked for.
    """

    name: str
    model: str
    expires: dt.datetime
    margin: float
    trust: TrustWanted
    found: Found
    signed_by: str | None
    datasets: Datasets = field(init=False)
    rules: Rules = field(init=False)

    def __post_init__(self) -> None:
        platform = self.trust.platform.name
        self.datasets = Datasets(found=self.found, platform=platform)
        list(self.datasets.lines())  # ingredients are called before what is only evaluated on
        self.rules = Rules(found=self.found, datasets=self.datasets, platform=platform, margin=self.margin)
        self.rules.gather()

    def take_out(self, appraisal: Appraisal) -> None:
        """Take out the rules that refuse.

        Raises:
            PolicyError: something else refuses.
        """
        refused = [rule for rule in appraisal.rules if rule.outcome != "satisfied"]
        own = {rule.name: rule for rule in self.rules.drafts}
        others = [rule for rule in refused if rule.name not in own and rule.name != _SIGNATURE]
        if others:
            first = others[0]
            raise PolicyError(
                f"expected attestations that a policy can accept, got a refusal of {first.name}: {first.message}",
                reason="policy-init-refused",
                hint=first.mend or None,
            )
        for rule in refused:
            if rule.name in own:
                self.rules.drafts.remove(own[rule.name])
            else:
                self.signed_by = None
            self.rules.left_out.append(f"{rule.name}: {rule.message}")

    def write(self) -> str:
        """All of it."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        margin = f"{self.margin:g}"
        yield comment(f"Drafted from the verified attestations of {self.model}.")
        yield "# It says what is, and not what ought to be: read each line, and ask whether you would ask for it."
        yield f"# Limits are {margin} away from the careful end of the attested interval, on the metric's scale; of"
        yield f"# errors, which have no scale, {margin} times the value. All are rounded away from what was measured."
        yield f"apiVersion: {API_VERSION}"
        yield f"kind: {KIND}"
        yield "metadata:"
        yield f"  name: {scalar(self.name)}"
        yield f"  expires: {self.expires:%Y-%m-%dT%H:%M:%SZ}"
        yield ""
        yield from self.trust.lines(self._roles())
        yield ""
        yield "ingredients:  # complete: whatever else the model is made of is a refusal"
        yield from self.datasets.lines()
        yield from model_lines(self.found, self.datasets.labels)
        yield from code_lines(self.found, self.datasets.labels)
        yield from package_lines(self.found)
        yield from license_lines(self.found, self.datasets)
        if self.signed_by is not None:
            yield ""
            yield f"model: {flow(signature=flow(signedBy=scalar(self.signed_by)))}"
        yield ""
        yield from self._training()
        yield from self._transforms()
        yield ""
        yield "require:"
        for rule in self.rules.drafts:
            yield from _rule(rule)
        for line in self.rules.left_out:
            yield f"  {comment(f'no rule: {line}')}"

    def _roles(self) -> Mapping[str, str]:
        release = self.trust.release_signers
        roles = self.found.roles(self.trust.identities)
        return {
            name: "signs reference values, and so nothing else" if name in release else words
            for name, words in roles.items()
        }

    def _training(self) -> Iterator[str]:
        trainings = [step for step in self.found.steps if not step.build.is_transform]
        yield "training:"
        yield f"  signedBy: {scalar(trainings[0].signer if trainings else self.found.steps[0].signer)}"
        yield f"  platform: {self.trust.platform.name}"
        own = {digest for step in trainings for digest in _own_code(step)}
        if len(own) == 1:
            yield f"  ownCode: sha256:{own.pop()}"
        for step in trainings:
            parameters = step.build.provenance.build_definition.external_parameters
            digest = step.build.attestation.statement.sha256[:12]
            others = f", one of {step.others + 1} provenances of this model" if step.others else ""
            said = f"{parameters.code} by statement sha256:{digest}{others}; its parameters, to hold others to:"
            yield f"  {comment(said)}"
            yield "  # parameters:"
            for name, item in sorted(parameters.configuration.items()):
                text = json.dumps(item, ensure_ascii=True, sort_keys=True)
                if is_text(name) and item is not None and len(text) <= _MOST_SHOWN:
                    yield f"  {comment(f'  {scalar(name)}: {{equals: {text}}}')}"

    def _transforms(self) -> Iterator[str]:
        steps = [step for step in self.found.steps if step.build.is_transform and step.build.product.kind == "model"]
        allowed: dict[str, list[str]] = {}
        for step in steps:
            code = str(step.build.provenance.build_definition.external_parameters.code)
            if is_text(code) and code not in allowed.setdefault(step.signer, []):
                allowed[step.signer].append(code)
        if allowed:
            yield ""
            yield "transforms:"
        for signer, codes in sorted(allowed.items()):
            names = f"[{', '.join(map(scalar, sorted(codes)))}]"
            line = flow(signedBy=scalar(signer), platform=self.trust.platform.name, allow=names)
            yield f"  - {line}"


def _rule(rule: RuleDraft) -> Iterator[str]:
    yield f"  {comment(rule.why)}"
    yield f"  - name: {scalar(rule.name)}"
    yield from (f"    {line}" for line in rule.body)


def _own_code(step: Step) -> Iterator[str]:
    definition = step.build.provenance.build_definition
    if definition.build_type == OWN_TRAINING_BUILD_TYPE:
        yield from (item.digest.sha256 for item in definition.resolved_dependencies if item.annotations.own_code)
