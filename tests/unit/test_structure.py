"""What the documentation promises about the whole package: exports, help, exit codes."""

from __future__ import annotations

import importlib
import pkgutil
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest

import lamslsa
from lamslsa import errors
from lamslsa._cli.main import cli

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = (
    *("README.md", "docs/extending.md", "docs/interoperability.md", "docs/job-file.md", "docs/measurers.md"),
    *("docs/admission.md", "docs/signing.md", "docs/stores.md"),
)
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(lamslsa.__path__, "lamslsa.")
    if not module.name.endswith("__main__")
)


VERIFYING = [
    "verification",
    "decision",
    "graphs",
    "reports",
    "model_signature",
    "archive",
    "receipts",
    "_merkle",
    "lineage",
    "statement",
    "predicates",
    "sign",
    "evidence/_*",
    "evidence/verify",
    "evidence/appraise",
    "evidence/beacon",
    "evidence/binding",
    "evidence/collateral",
    "evidence/corim",
    "evidence/launch",
    "evidence/reference",
    "evidence/roots",
    "evidence/sgx",
    "evidence/tdx",
    "evidence/snp",
    "evidence/nitro",
    "evidence/nvidia",
    "describe",
    "croissant",
    "policy",
    "cards",
]


def _documents() -> Iterator[Path]:
    yield from ROOT.glob("*.md")
    for folder in ("docs", "examples", "policies", "predicates", "enclave", "deploy", ".github", "tests/interop"):
        yield from (path for path in (ROOT / folder).rglob("*.md") if "node_modules" not in path.parts)


def _commands(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*words, name), command
        if isinstance(command, click.Group):
            yield from _commands(command, (*words, name))


COMMANDS = dict(_commands(cli))
LEAVES = {words: command for words, command in COMMANDS.items() if not isinstance(command, click.Group)}


@pytest.mark.parametrize("name", MODULES)
def test_exports_are_explicit_and_exist(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    exported = getattr(module, "__all__", None)
    if exported is None:
        public = [name for name, item in vars(module).items() if name[0] != "_" and not isinstance(item, ModuleType)]
        assert not public, "public names without __all__"
        return
    assert len(set(exported)) == len(exported)
    for item in exported:
        assert hasattr(module, item), item


@pytest.mark.parametrize("words", sorted(COMMANDS), ids=" ".join)
def test_help_has_an_example_that_parses(words: tuple[str, ...]) -> None:
    command = COMMANDS[words]
    help_text = command.help or ""
    assert "Example:" in help_text
    example = help_text.split("Example:")[1].replace("\\\n", " ")
    calls = [line.strip() for line in example.splitlines() if line.strip().startswith("lamslsa ")]
    assert calls
    for call in calls:
        arguments = shlex.split(call.split(" > ")[0].split("  #")[0])[1:]
        target: click.Command = cli
        while isinstance(target, click.Group) and arguments:
            found = target.get_command(click.Context(target), arguments[0])
            assert found is not None, call
            target, arguments = found, arguments[1:]
        target.make_context("lamslsa", arguments, resilient_parsing=False)


@pytest.mark.parametrize("words", sorted(LEAVES), ids=" ".join)
def test_every_command_has_a_form_and_can_be_quiet(words: tuple[str, ...]) -> None:
    options = {option for parameter in LEAVES[words].params for option in parameter.opts}
    assert {"--format", "--quiet"} <= options


@pytest.mark.parametrize("name", VERIFYING)
def test_verification_reads_no_clock(name: str) -> None:
    for source in [*ROOT.glob(f"lamslsa/{name}.py"), *ROOT.glob(f"lamslsa/{name}/**/*.py")]:
        text = source.read_text(encoding="utf-8")
        assert not re.search(r"\b(now|utcnow|today|monotonic|perf_counter)\(", text), source


def test_the_readme_names_every_exit_code() -> None:
    table = dict(re.findall(r"^\| (\d+) \| `?(\w+)", README, flags=re.MULTILINE))
    known = [getattr(errors, name) for name in errors.__all__ if name != "LamslsaError"]
    for error in known:
        assert table[str(error.exit_code)] == error.__name__
    assert set(table) == {"0", "1", "2", "130", "141"} | {str(error.exit_code) for error in known}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_in_a_document_parses(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8").replace("\\\n", " ")
    calls = [part.strip() for line in re.findall(r"^    (.*)", text, flags=re.MULTILINE) for part in line.split("&&")]
    calls = [call for call in calls if call.startswith("lamslsa ") and " … " not in call]
    assert calls
    for call in calls:
        arguments = shlex.split(call.split(" > ")[0].split("  #")[0].split(" | ")[0])[1:]
        target: click.Command = cli
        while isinstance(target, click.Group):
            found = target.get_command(click.Context(target), arguments[0])
            assert found is not None, call
            target, arguments = found, arguments[1:]
        target.make_context("lamslsa", arguments, resilient_parsing=False)


@pytest.mark.parametrize("document", sorted(path.relative_to(ROOT).as_posix() for path in _documents()))
def test_links_between_documents_lead_somewhere(document: str) -> None:
    path = ROOT / document
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", path.read_text(encoding="utf-8")):
        other = path.parent / target if target else path
        assert other.exists(), f"{document} links to {target}"
        if anchor and other.suffix == ".md":
            headings = re.findall(r"^#+ (.*)", other.read_text(encoding="utf-8"), flags=re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{document} links to {target}#{anchor}"


def test_every_make_target_in_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    used = set(re.findall(r"^    make ([a-z-]+)", README, flags=re.MULTILINE))
    assert {"demo", "test"} <= used <= targets


def test_folders_the_documents_name_exist() -> None:
    for document in ("CONTRIBUTING.md", "docs/threat-model.md", *DOCUMENTS):
        text = (ROOT / document).read_text(encoding="utf-8")
        for path in re.findall(r"`((?:tests|docs|lamslsa|predicates|policies|examples|bench|deploy)/[\w/.-]*)`", text):
            assert (ROOT / path).exists(), f"{document} names {path}"
