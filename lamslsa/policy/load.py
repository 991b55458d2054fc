"""From the bytes of a policy file to a `Policy`: strict, and every refusal names file, line and column.

Rules:
- An unknown key is refused, features that do not exist yet included; an empty list is refused where one is needed.
- Every name of an identity, platform or dataset must lead somewhere, and nothing is named or listed twice.
- Two identities never share a credential (`lamslsa.policy._identities`). Who signs reference values signs nothing else.
- Files that the policy names are relative to it; they are read here, up to a limit, and nowhere else.
- What would make a rule weaker than it looks is refused: a lower limit compared with the upper end of the interval, a
  simulated platform under a vendor's root, a measurer without a default that has no configuration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lamslsa import _codec, _yaml
from lamslsa._yaml import Mapping_, Node, Sequence_
from lamslsa.evidence.appraise import PlatformTerms
from lamslsa.evidence.beacon import TimestampAuthority, WitnessedLog
from lamslsa.evidence.verify import BeaconVerifier
from lamslsa.policy import _values
from lamslsa.policy._files import Files, Read, read_file
from lamslsa.policy._identities import IdentityReader, load_trusted_root
from lamslsa.policy._platforms import PlatformReader
from lamslsa.policy.identities import Identity
from lamslsa.policy.model import (
    DatasetTerms,
    Ingredients,
    MetricRule,
    OverlapRule,
    Policy,
    ReferenceTerms,
    Rule,
    TrainingTerms,
    TransformTerms,
    Witness,
)
from lamslsa.policy.reference_values import CodeReader

if TYPE_CHECKING:
    from lamslsa.sign.keyless import SigstoreRoot

__all__ = ["API_VERSION", "KIND", "load_policy"]

API_VERSION: Final = "lamslsa.dev/policy/v1"
KIND: Final = "IngredientsPolicy"


def load_policy(
    data: bytes,
    *,
    source: str,
    directory: Path,
    read: Read = read_file,
    trusted_root: SigstoreRoot | None = None,
) -> Policy:
    """Read a policy.

    Args:
        data: the YAML file.
        source: what messages call it.
        directory: what the files it names are relative to.
        read: how they are read.
        trusted_root: of Sigstore, where the policy names none; by default the public-good instance's, as embedded.

    Raises:
        FormatError: the file, or one that it names, is not what it should be; with line and column.
    """
    root = _yaml.loads(data, source=source).mapping()
    _expect(root.take("apiVersion"), API_VERSION, reason="policy-version")
    _expect(root.take("kind"), KIND, reason="policy-kind")
    metadata = root.take("metadata").mapping()
    name = _values.label(metadata.take("name"))
    expires = metadata.get("expires")
    metadata.finish()

    trust = root.take("trust").mapping()
    seen: dict[str, str] = {}

    def remember(path: Path, limit: int, /) -> bytes:
        content = read(directory / path, limit)
        seen[path.as_posix()] = _codec.sha256_hex(content)
        return content

    files = Files(read=remember)
    own_root = trust.get("trustedRoot")
    identity_reader = IdentityReader(
        files=files, root=(trusted_root or _embedded()) if own_root is None else load_trusted_root(own_root, files)
    )
    identities = {name: identity_reader.read(name, node) for name, node in _named(trust.take("identities").mapping())}
    code = CodeReader(identities=identities, files=files)
    platform_reader = PlatformReader(files=files, code=code)
    platforms = {name: platform_reader.read(name, node) for name, node in _named(trust.take("platforms").mapping())}
    beacons = trust.get("beacons")
    sources = () if beacons is None else _beacons(beacons.mapping(), files)
    trust.finish()

    reader = _Rules(identities=identities, platforms=platforms)
    ingredients = Ingredients(datasets=reader.ingredients(root.take("ingredients").mapping()))
    model_signed_by = reader.model_signature(root.get("model"))
    training = reader.training(root.take("training").mapping())
    transforms = reader.transforms(root.get("transforms"))
    require = reader.rules(root.take("require"), ingredients.datasets)
    root.finish()
    sha256 = _codec.sha256_hex(data)
    policy = Policy(
        name=name,
        sha256=sha256,
        closure=_codec.sha256_hex(_codec.canonical({"policy": sha256, "files": seen})),
        expires=None if expires is None else _values.time(expires),
        identities=identities,
        platforms=platforms,
        ingredients=ingredients,
        training=training,
        transforms=transforms,
        require=require,
        beacons=sources,
        manifests=tuple(platform_reader.manifests),
        model_signed_by=model_signed_by,
        reference_signatures=tuple(code.signatures),
    )
    code.refuse_shared_signers(policy.signers)
    return policy


def _embedded() -> SigstoreRoot:
    from lamslsa.sign.keyless import SigstoreRoot

    return SigstoreRoot.embedded()


def _expect(node: Node, value: str, *, reason: str) -> None:
    if node.string() != value:
        node.refuse(f"expected {value!r} at {node.where}, got {node.string()!r}", reason=reason)


def _named(mapping: Mapping_) -> Iterable[tuple[str, Mapping_]]:
    """The entries of a mapping whose keys are names that the author chose."""
    if not mapping.entries:
        mapping.refuse(f"expected at least one entry at {mapping.where}, got none", reason="yaml-empty")
    for key, node in mapping:
        _values.label(mapping.entries[key][0])
        yield key, node.mapping()


def _beacons(mapping: Mapping_, files: Files) -> tuple[BeaconVerifier, ...]:
    """Sources of beacons; their names are labels for readers of the policy."""
    result: list[BeaconVerifier] = []
    for _, node in _named(mapping):
        authority, log = node.get("timestampAuthority"), node.get("witnessedLog")
        if (authority is None) == (log is None):
            got = "neither" if log is None else "both"
            node.refuse(
                f"expected either timestampAuthority or witnessedLog at {node.where}, got {got}", reason="policy-beacon"
            )
        if authority is not None:
            result.append(files.load(authority, TimestampAuthority.load, what="certificates of a timestamp authority"))
        elif log is not None:
            result.append(files.load(log, WitnessedLog.load, what="logs and witnesses"))
        node.finish()
    return tuple(result)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rules:
    """Reads everything that refers to identities, platforms and datasets."""

    identities: Mapping[str, Identity]
    platforms: Mapping[str, PlatformTerms]
    by_name: dict[str, DatasetTerms] = field(default_factory=dict)
    by_digest: dict[str, DatasetTerms] = field(default_factory=dict)

    def witness(self, node: Mapping_) -> Witness:
        """``signedBy`` and ``platform``, both of which stand on every rule, and ``maxAge``."""
        max_age = node.get("maxAge")
        return Witness(
            signed_by=node.take("signedBy").choice(self.identities),
            platform=node.take("platform").choice(self.platforms),
            max_age=None if max_age is None else _values.age(max_age),
        )

    def dataset(self, value: Node) -> DatasetTerms:
        """A dataset; declared in several places it must read the same in all of them."""
        node = value.mapping()
        sheet = node.take("datasheet").mapping()
        schema = node.get("schema")
        signature = node.get("signature")
        terms = DatasetTerms(
            name=_values.label(node.take("name")),
            sha256=_values.digest(node.take("digest")),
            datasheet=self.witness(sheet),
            schema=None if schema is None else _values.digest(schema),
            signed_by=None if signature is None else self._signed_by(signature),
        )
        sheet.finish()
        node.finish()
        for known in (self.by_name.setdefault(terms.name, terms), self.by_digest.setdefault(terms.sha256, terms)):
            if known != terms:
                node.refuse(
                    f"expected {terms.name!r} as declared before, {known} with a datasheet {known.datasheet}, "
                    f"got {terms} with a datasheet {terms.datasheet}",
                    reason="policy-dataset",
                    hint="one name, one digest and one datasheet for each dataset",
                )
        return terms

    def model_signature(self, node: Node | None) -> str | None:
        """Who must have signed the files of the model as a whole."""
        if node is None:
            return None
        mapping = node.mapping()
        name = self._signed_by(mapping.take("signature"))
        mapping.finish()
        return name

    def _signed_by(self, node: Node) -> str:
        mapping = node.mapping()
        name = mapping.take("signedBy").choice(self.identities)
        mapping.finish()
        return name

    def ingredients(self, node: Mapping_) -> tuple[DatasetTerms, ...]:
        """The datasets that a model may be made of."""
        result: dict[str, DatasetTerms] = {}
        for item in node.take("datasets").sequence():
            terms = self.dataset(item)
            if terms.sha256 in result:
                item.refuse(f"expected each dataset once, got {terms.name!r} twice", reason="policy-duplicate")
            result[terms.sha256] = terms
        node.finish()
        return tuple(result.values())

    def training(self, node: Mapping_) -> TrainingTerms:
        """Who says how the model was trained, and with which parameters."""
        witness = self.witness(node)
        parameters, own_code = node.get("parameters"), node.get("ownCode")
        node.finish()
        return TrainingTerms(
            witness=witness,
            parameters=() if parameters is None else _values.parameters(parameters.mapping()),
            own_code=None if own_code is None else _values.digest(own_code),
        )

    def transforms(self, node: Node | None) -> tuple[TransformTerms, ...]:
        """Whose transforms may lie between training and model, one mapping or several; without the key, nobody's."""
        if node is None:
            return ()
        return tuple(map(self._transform, node.sequence() if isinstance(node, Sequence_) else (node,)))

    def _transform(self, node: Node) -> TransformTerms:
        mapping = node.mapping()
        terms = TransformTerms(
            witness=self.witness(mapping), allow=_values.each(mapping.take("allow"), _values.measurer)
        )
        mapping.finish()
        return terms

    def rules(self, node: Node, ingredients: tuple[DatasetTerms, ...]) -> tuple[Rule, ...]:
        """What must hold; at least one rule."""
        result: dict[str, Rule] = {}
        for item in node.sequence():
            mapping = item.mapping()
            name = _values.rule_name(mapping.take("name"))
            if name in result:
                mapping.take("name").refuse(
                    f"expected unique rule names, got {name!r} twice", reason="policy-duplicate"
                )
            if ("metric" in mapping) == ("overlap" in mapping):
                got = "both" if "metric" in mapping else "neither"
                mapping.refuse(f"expected either metric or overlap at {mapping.where}, got {got}", reason="policy-rule")
            read = self._metric if "metric" in mapping else self._overlap
            rule = read(name, mapping, ingredients)
            mapping.finish()
            result[name] = rule
        return tuple(result.values())

    def _metric(self, name: str, node: Mapping_, ingredients: tuple[DatasetTerms, ...]) -> Rule:
        measurer = _values.measurer(node.take("measurer"))
        minimum, maximum = _values.limits(node)
        samples = node.get("samples")
        groups = node.get("groups")
        rows = node.get("slice")
        parameters = node.get("parameters")
        references = node.get("references")
        return MetricRule(
            name=name,
            metric=_values.text(node.take("metric")),
            groups=() if groups is None else _values.unique_texts(groups),
            slice=None if rows is None else _values.slice_(rows.mapping()),
            dataset=self.dataset(node.take("dataset")),
            measurer=measurer,
            configuration=_values.configuration(node, measurer),
            minimum=minimum,
            maximum=maximum,
            use=_values.use(node.take("use"), minimum, maximum),
            samples=0 if samples is None else _values.samples(samples.mapping()),
            witness=self.witness(node),
            parameters=None if parameters is None else _values.metric_parameters(parameters.mapping()),
            references={} if references is None else self._references(references.mapping(), ingredients),
        )

    def _references(self, node: Mapping_, ingredients: tuple[DatasetTerms, ...]) -> dict[str, ReferenceTerms]:
        """Role to ``{model: sha256:…}`` or ``{dataset: <name among the ingredients>}``."""
        by_name = {item.name: item for item in ingredients}
        result: dict[str, ReferenceTerms] = {}
        for role, item in node:
            fields = item.mapping()
            if ("model" in fields) == ("dataset" in fields):
                fields.refuse(
                    f"expected either model or dataset at {fields.where}, got another number", reason="policy-rule"
                )
            if "model" in fields:
                result[role] = ReferenceTerms(sha256=_values.digest(fields.take("model")), dataset=None)
            else:
                terms = by_name[fields.take("dataset").choice(by_name)]
                result[role] = ReferenceTerms(sha256=terms.sha256, dataset=terms)
            fields.finish()
        return result

    def _overlap(self, name: str, node: Mapping_, ingredients: tuple[DatasetTerms, ...]) -> Rule:
        by_name = {item.name: item for item in ingredients}
        training = by_name[node.take("overlap").choice(by_name)]
        dataset = self.dataset(node.take("dataset"))
        if dataset.sha256 == training.sha256:
            node.take("dataset").refuse(
                f"expected another dataset than {training.name!r}, got the same", reason="policy-rule"
            )
        columns = node.get("columns")
        return OverlapRule(
            name=name,
            training=training,
            dataset=dataset,
            measurer=_values.measurer(node.take("measurer")),
            maximum=node.take("max").integer(minimum=0),
            witness=self.witness(node),
            columns=None if columns is None else frozenset(_values.unique_texts(columns)),
        )
