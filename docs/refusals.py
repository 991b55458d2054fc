"""Writes docs/refusals.md: every named refusal of evidence, signing, stores, archives and gate, and what shows it.

python docs/refusals.py          make docs does this; a test compares the file with what comes out

A reason is shown by a vector, or else by a test function that names it: by itself, in its parametrization, in a table
of its module that it reads, or as two words that it joins. Reasons in the code are found in its syntax tree: what is
given as ``reason`` to an error, to a function that passes it on to one, or as the field that an error takes it from.
"""

from __future__ import annotations

import ast
import functools
import itertools
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "docs" / "refusals.md"
VECTORS = ROOT / "tests" / "vectors"
PACKAGE = ROOT / "lamslsa"
TESTS = tuple(ROOT / "tests" / name for name in ("unit", "cli", "interop"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """Modules of one kind, and the folder of vectors that shows what they refuse, if there is one.

    Attributes:
        folder: below which the modules lie, in the package.
    """

    title: str
    modules: tuple[str, ...]
    vectors: str | None = None
    folder: str = "evidence"

    def path(self, module: str) -> Path:
        """Where a module is."""
        return PACKAGE / self.folder / module


_DCAP = ("_dcap.py", "_dcap_quote.py", "_pem.py", "collateral.py")
AREAS: dict[str, Area] = {
    "sgx": Area(title="SGX", modules=(*_DCAP, "sgx/parse.py", "sgx/verify.py"), vectors="evidence"),
    "tdx": Area(title="TDX", modules=(*_DCAP, "tdx/parse.py", "tdx/verify.py", "tdx/ccel.py"), vectors="evidence-tdx"),
    "snp": Area(
        title="SEV-SNP",
        modules=("_x509.py", "_pem.py", "snp/parse.py", "snp/verify.py", "snp/certificates.py", "snp/collateral.py"),
        vectors="evidence-snp",
    ),
    "nitro": Area(
        title="Nitro", modules=("_cbor.py", "_x509.py", "nitro/parse.py", "nitro/verify.py"), vectors="evidence-nitro"
    ),
    "nvidia": Area(
        title="NVIDIA",
        modules=("_x509.py", *(f"nvidia/{name}.py" for name in ("parse", "verify", "dice", "rim", "golden"))),
        vectors="evidence-nvidia",
    ),
    "statements": Area(
        title="Evidence statements", modules=("verify.py", "binding.py", "nonce.py", "__init__.py"), vectors="verify"
    ),
    "beacons": Area(title="Beacons", modules=("beacon.py", "_note.py", "_witness_policy.py")),
    "references": Area(
        title="Reference values and roots",
        modules=("reference.py", "corim.py", "_corim_profiles.py", "launch.py", "sgx/sigstruct.py", "roots.py"),
    ),
    "bundles": Area(title="Bundles and keys", folder="sign", modules=("_material.py", "dsse.py", "key.py", "blob.py")),
    "certificate-chains": Area(
        title="Certificates of an organisation's own", folder="sign", modules=("certificate_chain.py",)
    ),
    "keyless": Area(
        title="Keyless signatures",
        folder="sign/keyless",
        modules=("root.py", "_verifier.py", "verifier.py", "certificate.py", "terms.py", "_patterns.py"),
    ),
    "signing": Area(
        title="Signing",
        folder="sign",
        modules=(
            *("sources.py", "pkcs11_uri.py", "pkcs11.py", "witnessed.py"),
            *(f"keyless/{name}.py" for name in ("tokens", "config", "asking", "services", "session")),
        ),
    ),
    "model-signatures": Area(title="Signatures of models", folder="", modules=("model_signature.py",)),
    "stores": Area(
        title="Stores",
        folder="store",
        modules=(
            *("__init__.py", "arrival.py", "contents.py", "directory.py", "folder.py", "hub.py", "referrer.py"),
            *("staging.py", "image_layout.py", "layout_blobs.py", "layout_index.py"),
            *("layout_referrers.py", "_descriptors.py", "naming.py"),
        ),
    ),
    "registries": Area(
        title="Registries",
        folder="store/oci",
        modules=(
            *("reference.py", "credentials.py", "login.py", "pools.py", "transport.py", "answers.py", "attempts.py"),
            *("manifests.py", "blobs.py", "upload.py", "referrers.py", "attach.py", "store.py"),
        ),
    ),
    "archives": Area(title="Audit archives", folder="", modules=("archive.py",)),
    "identities": Area(
        title="Identities of a policy", folder="policy", modules=("_identities.py", "identities.py", "_signatures.py")
    ),
    "policies": Area(
        title="Policy files",
        folder="policy",
        modules=(
            *("load.py", "_load_rules.py", "_load_terms.py", "_platforms.py", "reference_values.py", "_files.py"),
            *("_keys.py", "_kinds.py", "document.py", "document_identities.py", "document_rules.py"),
            *("document_trust.py", "opening.py", "sources.py", "signature.py"),
        ),
    ),
    "expressions": Area(
        title="Expressions of a policy",
        folder="policy/cel",
        modules=("compile.py", "types.py"),
    ),
    "inline": Area(title="Policies handed over in a variable", folder="policy", modules=("inline.py",)),
    "admission": Area(
        title="The gate of a cluster",
        folder="admission",
        modules=(
            *("appraiser.py", "certificates.py", "gate.py", "guard.py", "http.py", "judge.py"),
            *("policy_file.py", "provider.py", "reach.py", "references.py", "review.py", "shapes.py"),
            "verifier.py",
        ),
    ),
}
_ERRORS = frozenset({"FormatError", "VerificationError", "PolicyError", "UnavailableError"})
# A node of a policy that refuses itself, and a refusal that an appraisal holds.
_MAKES = {name: frozenset({name}) for name in _ERRORS} | {
    "refuse": frozenset({"FormatError"}),
    "Refusal": frozenset({"PolicyError"}),
    **dict.fromkeys(("OneOf", "Most", "constant"), frozenset({"FormatError"})),
}
_BY_NAME = -1
_KEBAB = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_HEADER = """# What is refused

Every named refusal of evidence, signatures, stores, audit archives, policy files and the gate of a cluster. Generated
by `docs/refusals.py` from the code, `tests/vectors` and the tests; a test keeps it so, and another one that every
reason in the code of these areas is shown. A vector is a folder in the area's folder, with what is wrong and what
must come out; a reason that no vector shows stands with a test that names it.

`FormatError` ends in exit code 3 where the file is named on the command line; inside a bundle it sets the bundle
aside, and so does `VerificationError`. `UnavailableError` is exit code 6. `PolicyError` under "Identities of a
policy" is a rule of an appraisal, and ends in exit code 5 where something authentic was there to be refused, else in
4. The other reasons of a policy are in [policies/README.md](../policies/README.md#why-a-rule-was-refused). At the
gate of a cluster each of them is an answer that refuses; what is no request at all is answered with 400 or 503.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Function:
    """A function that makes errors: of which classes, and which parameters say the reason, at which place."""

    classes: frozenset[str]
    parameters: dict[str, int]


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes(), str(path))


def _name(call: ast.Call) -> str:
    """The last part of what is called."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _given(call: ast.Call, parameters: dict[str, int]) -> Iterator[ast.expr]:
    """What a call gives for some parameters, by name or by position."""
    yield from (keyword.value for keyword in call.keywords if keyword.arg in parameters)
    yield from (call.args[index] for index in parameters.values() if 0 <= index < len(call.args))


@functools.cache
def _functions(path: Path) -> dict[str, _Function]:
    """The functions of a module that take the reason of an error and make it, by name."""
    found: dict[str, _Function] = {}
    for node in ast.walk(_tree(path)):
        if not isinstance(node, ast.FunctionDef):
            continue
        names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
        names = names[1:] if names[:1] in (["self"], ["cls"]) else names
        places = {name: index for index, name in enumerate(names)}
        places |= dict.fromkeys((argument.arg for argument in node.args.kwonlyargs), _BY_NAME)
        passed_on: dict[str, int] = {}
        classes: frozenset[str] = frozenset()
        for call, value in _said(node):
            parts = {part.id for part in ast.walk(value) if isinstance(part, ast.Name)} & places.keys()
            passed_on |= {name: places[name] for name in parts}
            classes |= _MAKES[_name(call)] if parts else frozenset()
        if passed_on:
            found[node.name] = _Function(classes=classes, parameters=passed_on)
    return found


def _said(tree: ast.AST) -> Iterator[tuple[ast.Call, ast.expr]]:
    """Every error that is made, with what is said as its reason."""
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and _name(call) in _MAKES:
            yield from ((call, value) for value in _given(call, {"reason": _BY_NAME}))


@functools.cache
def _fields(path: Path) -> dict[str, frozenset[str]]:
    """Fields of objects that errors of a module take their reason from, and the classes of those errors."""
    found: dict[str, frozenset[str]] = {}
    for call, value in _said(_tree(path)):
        if isinstance(value, ast.Attribute) and value.attr != "reason":  # that is an error's own, passed on
            found[value.attr] = found.get(value.attr, frozenset()) | _MAKES[_name(call)]
    return found


@functools.cache
def reasons(path: Path) -> dict[str, frozenset[str]]:
    """The reasons in a module, and the classes of error that carry them; none where its syntax does not say."""
    found: dict[str, frozenset[str]] = {}
    for call in ast.walk(_tree(path)):
        if isinstance(call, ast.Call):
            plain = _Function(classes=_MAKES.get(_name(call), frozenset()), parameters={"reason": _BY_NAME})
            function = _functions(path).get(_name(call), plain)
            given = [(value, function.classes) for value in _given(call, function.parameters)]
            for name, classes in _fields(path).items():
                given += [(value, classes) for value in _given(call, {name: _BY_NAME})]
            for value, classes in given:
                for reason in _texts(value, _tree(path)):
                    found[reason] = found.get(reason, frozenset()) | classes
    return found


def _texts(value: ast.expr, tree: ast.Module) -> Iterator[str]:
    """The words that an expression can be: constants in it, and constants of the module that it names."""
    named = {part.id for part in ast.walk(value) if isinstance(part, ast.Name)}
    places = [value] + [
        node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") in named and node.value
    ]
    for place in places:
        for part in ast.walk(place):
            if isinstance(part, ast.Constant) and isinstance(part.value, str) and _KEBAB.fullmatch(part.value):
                yield part.value


def raised(area: str) -> dict[str, frozenset[str]]:
    """The reasons in the code of an area, and the classes of error that carry them."""
    found: dict[str, frozenset[str]] = {}
    for name in AREAS[area].modules:
        for reason, classes in reasons(AREAS[area].path(name)).items():
            found[reason] = found.get(reason, frozenset()) | classes
    return found


@functools.cache
def _classes() -> dict[str, frozenset[str]]:
    """The classes of error of every reason in the package: a bundle is set aside with the reason alone."""
    found: dict[str, frozenset[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for reason, classes in reasons(path).items():
            found[reason] = found.get(reason, frozenset()) | classes
    return found


def refused(area: str) -> dict[tuple[str, str], list[str]]:
    """Class and reason of each refusal, and the vectors that show it."""
    found: dict[tuple[str, str], list[str]] = {}
    vectors = AREAS[area].vectors
    for folder in sorted((VECTORS / vectors).iterdir()) if vectors else ():
        name = folder.name.removesuffix("_fail")
        if (folder / "expected.json").is_file() and folder.name.endswith("_fail"):
            expected = json.loads((folder / "expected.json").read_bytes())
            found.setdefault((expected["class"], expected["reason"]), []).append(name)
        elif (folder / "case.json").is_file():
            for reason in json.loads((folder / "case.json").read_bytes()).get("setAside", ()):
                found.setdefault((either(_classes()[reason]), reason), []).append(name)
    return found


def either(classes: frozenset[str]) -> str:
    """Classes of error in one cell of the table."""
    return " or ".join(sorted(classes))


@functools.cache
def _tests() -> dict[str, list[tuple[str, str]]]:
    """For each word that a test function names, its parametrization included: files and functions, in their order.

    Those that run vectors are left out: what they name is what no vector shows. Joined words come first.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    joined: dict[str, list[tuple[str, str]]] = {}
    for path in (path for folder in TESTS for path in sorted(folder.rglob("test_*.py"))):
        if path.name == "test_vectors.py":
            continue
        tables = dict(_tables(_tree(path)))
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                test = (path.relative_to(ROOT).as_posix(), node.name)
                named = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)} & tables.keys()
                words = _words(node).union(*(_words(tables[name]) for name in named))
                for word in words:
                    found.setdefault(word, []).append(test)
                for pair in itertools.permutations(words, 2) if _joins(node) else ():
                    joined.setdefault("-".join(pair), []).append(test)
    return {word: [*joined.get(word, ()), *found.get(word, ())] for word in found.keys() | joined.keys()}


def _words(tree: ast.AST) -> set[str]:
    """The words in the form of a reason that stand in a part of a program."""
    constants = (part.value for part in ast.walk(tree) if isinstance(part, ast.Constant))
    return {word for word in constants if isinstance(word, str) and _KEBAB.fullmatch(word)}


def _joins(test: ast.FunctionDef) -> bool:
    """Whether a test puts reasons together, as f"{service}-{kind}"."""
    return any(
        isinstance(part, ast.Constant) and part.value == "-"
        for text in ast.walk(test)
        if isinstance(text, ast.JoinedStr)
        for part in text.values
    )


def _tables(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Values that a module gives names in capitals, such as a table of what must come of what."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        for target in targets:
            if isinstance(target, ast.Name) and target.id.isupper() and isinstance(value, ast.expr):
                yield target.id, value


def shown_elsewhere(area: str) -> dict[str, str]:
    """Reasons in the code of an area that none of its vectors shows, and a test that names each; empty without one."""
    found: dict[str, str] = {}
    for reason in sorted(raised(area).keys() - {reason for _, reason in refused(area)}):
        paths = [path for path in map(AREAS[area].path, AREAS[area].modules) if reason in reasons(path)]
        own, near = {_test_of(path) for path in paths}, {_test_of(path).rpartition("/")[0] for path in paths}
        candidates = sorted(
            _tests().get(reason, ()), key=lambda test: (test[0] not in own, test[0].rpartition("/")[0] not in near)
        )
        found[reason] = "::".join(candidates[0]) if candidates else ""
    return found


def _test_of(module: Path) -> str:
    """The file in which the tests of a module are."""
    path = TESTS[0].relative_to(ROOT) / module.relative_to(PACKAGE)
    return path.with_name(f"test_{path.name.lstrip('_')}").as_posix()


def lines() -> Iterator[str]:
    """The whole table."""
    yield _HEADER
    for key, area in AREAS.items():
        yield f"## {area.title}" + (f": `tests/vectors/{area.vectors}`\n" if area.vectors else "\n")
        yield "| class | reason | shown by |\n|---|---|---|"
        for (kind, reason), vectors in sorted(refused(key).items(), key=lambda item: item[0][1]):
            yield f"| {kind} | `{reason}` | {', '.join(vectors)} |"
        for reason, test in shown_elsewhere(key).items():
            yield f"| {either(raised(key)[reason])} | `{reason}` | `{test}` |"
        yield ""


def text() -> str:
    """What the file has to say."""
    return "\n".join(lines())


if __name__ == "__main__":
    TABLE.write_text(text(), encoding="utf-8")
    sys.stdout.write(f"{TABLE}\n")
