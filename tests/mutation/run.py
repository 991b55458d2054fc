"""Mutation testing of what decides: ``python tests/mutation/run.py [MODULE…]``; see README.md beside this file.

Prints a table, a line for each module, and every survivor that survivors.toml does not explain. Exits 1 if there is
one, or if fewer than 90 % of all mutants are killed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WORK = ROOT / "build" / "mutation"
PARTS = ("lamslsa", "tests")
WHOLE = ("evidence", "sign")
AT_LEAST = 90.0
Survivor = tuple[str, str, str, str]
"""Module, function, and the mutated lines before and after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Modules whose mutants are tried by the same tests."""

    name: str
    modules: tuple[str, ...]
    tests: tuple[str, ...]

    @property
    def work(self) -> Path:
        return WORK / self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of the mutants of a module."""

    module: str
    texts: int
    killed: int
    survivors: tuple[Survivor, ...]

    @property
    def mutants(self) -> int:
        return self.killed + len(self.survivors)


def main() -> int:
    """Run the command line."""
    arguments = _arguments()
    configuration = tomllib.loads((HERE / "mutmut.toml").read_text(encoding="utf-8"))
    known = _known((HERE / "survivors.toml").read_text(encoding="utf-8"))
    groups = [
        Group(name=group["name"], modules=tuple(group["modules"]), tests=tuple(group["tests"]))
        for group in configuration["group"]
    ]
    outcomes: list[Outcome] = []
    for group in _chosen(groups, arguments.module, left_out=frozenset(configuration["left_out"])):
        if not arguments.report:
            _run(group, configuration["tool"]["mutmut"], again=arguments.again, children=arguments.children)
        found = list(_outcomes(group))
        outcomes += found
        _say(_table(found))
    _say("\n" + _table(outcomes, total=True))
    return _judge(outcomes, known, every=not arguments.module)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0] if __doc__ else None)
    parser.add_argument("module", nargs="*", metavar="MODULE", help="as in lamslsa.evidence.sgx.parse; all by default")
    parser.add_argument("--again", action="store_true", help="try only what survived the run before")
    parser.add_argument("--report", action="store_true", help="try nothing: print what earlier runs found")
    parser.add_argument("--children", type=int, default=2, help="mutants tried at the same time")
    return parser.parse_args()


def _chosen(groups: Sequence[Group], names: Sequence[str], *, left_out: Collection[str]) -> Iterator[Group]:
    """The groups cut down to the named modules."""
    wanted = {name.removeprefix("lamslsa.") for name in names}
    listed = {module for group in groups for module in group.modules}
    astray = _whole_packages().symmetric_difference({*left_out, *(name for name in listed if _is_in_whole(name))})
    astray |= {name for name in listed if name in left_out or not (ROOT / _file(name)).is_file()}
    if astray:
        sys.exit(f"expected every module once in mutmut.toml and no other, got {', '.join(sorted(astray))}")
    if not wanted <= listed:
        sys.exit(f"expected modules of mutmut.toml, got {', '.join(sorted(wanted - listed))}")
    for group in groups:
        modules = tuple(module for module in group.modules if not wanted or module in wanted)
        if modules:
            yield Group(name=group.name, modules=modules, tests=group.tests)


def _whole_packages() -> set[str]:
    """Every module of the packages of which none is forgotten: each is in a group, or left out by name."""
    package = ROOT / "lamslsa"
    files = [path.relative_to(package).with_suffix("") for whole in WHOLE for path in (package / whole).rglob("*.py")]
    return {".".join(path.parts).removesuffix(".__init__") for path in files}


def _is_in_whole(module: str) -> bool:
    return module.partition(".")[0] in WHOLE


def _run(group: Group, settings: Mapping[str, Any], *, again: bool, children: int) -> None:
    """Try the mutants of a group in its work folder, which holds a copy of the tree and mutmut's configuration."""
    if not again:
        shutil.rmtree(group.work, ignore_errors=True)
    group.work.mkdir(parents=True, exist_ok=True)
    for part in (*PARTS, *settings["also_copy"]):
        _copy(ROOT / part, group.work / part)
    files = [_file(module) for module in group.modules]
    lines = [
        *(f"{name} = {json.dumps(value)}" for name, value in settings.items()),
        f"only_mutate = {json.dumps(files)}",
        f"pytest_add_cli_args_test_selection = {json.dumps(group.tests)}",
    ]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (group.work / "pyproject.toml").write_text("\n".join([project, "[tool.mutmut]", *lines, ""]), encoding="utf-8")
    if again:
        _forget_survivors(group, files)
    scratch = group.work / "tmp"  # a mutant's process ends without clearing up
    scratch.mkdir(exist_ok=True)
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        "TMPDIR": str(scratch),
        "LAMSLSA_SHARED": str((ROOT / os.environ.get("LAMSLSA_SHARED", "../shared")).resolve()),
        "LAMSLSA_ADULT": str(ROOT / os.environ.get("LAMSLSA_ADULT", "build/demo/data")),
    }
    log = group.work / "log"
    _say(f"{group.name}: {len(files)} modules, log in {log}")
    command = [sys.executable, str(HERE / "engine.py"), str(children), *files]
    with log.open("wb") as out:
        done = subprocess.run(
            command, cwd=group.work, env=environment, stdout=out, stderr=subprocess.STDOUT, check=False
        )
    shutil.rmtree(scratch, ignore_errors=True)
    if done.returncode:
        sys.exit(f"expected mutmut to run, got exit code {done.returncode}: see {log}")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy2(source, target)


def _forget_survivors(group: Group, files: Sequence[str]) -> None:
    """Have mutmut try again what is not killed, with the tests as they are now."""
    mutants = group.work / "mutants"
    (mutants / "mutmut-stats.json").unlink(missing_ok=True)
    shutil.rmtree(mutants / "tests", ignore_errors=True)
    for file in files:
        path = mutants / f"{file}.meta"
        if path.is_file():
            meta = json.loads(path.read_text(encoding="utf-8"))
            codes = meta["exit_code_by_key"]
            meta["exit_code_by_key"] = {key: code if code == 1 else None for key, code in codes.items()}
            path.write_text(json.dumps(meta), encoding="utf-8")


def _file(module: str) -> str:
    """The file of a module, relative to the tree."""
    path = Path("lamslsa", *module.split("."))
    return str(path / "__init__.py" if (ROOT / path).is_dir() else path.with_suffix(".py"))


def _outcomes(group: Group) -> Iterator[Outcome]:
    verdicts = json.loads((group.work / "verdicts.json").read_text(encoding="utf-8"))
    for module in group.modules:
        found = verdicts.get(_file(module), {"texts": 0, "mutants": []})
        alive = [mutant for mutant in found["mutants"] if mutant["status"] != "killed"]
        yield Outcome(
            module=module,
            texts=found["texts"],
            killed=len(found["mutants"]) - len(alive),
            survivors=tuple((module, m["function"], m["removed"], m["added"]) for m in alive),
        )


def _known(toml: str) -> dict[Survivor, str]:
    """The survivors that survivors.toml explains."""
    known: dict[Survivor, str] = {}
    for module, entries in tomllib.loads(toml).items():
        for entry in entries:
            for before, after in entry["mutants"]:
                known[module, entry["function"], before, after] = entry["why"]
    return known


def _table(outcomes: Sequence[Outcome], *, total: bool = False) -> str:
    rows = [(o.module, o.mutants, o.texts, o.killed, len(o.survivors)) for o in outcomes if o.mutants]
    if total:
        rows.append(("all", *(sum(column) for column in list(zip(*rows, strict=True))[1:])))
    lines = [f"{'module':32}{'mutants':>8}{'texts':>7}{'killed':>8}{'survived':>10}{'%':>7}"] if total else []
    for module, mutants, texts, killed, survived in rows:
        lines.append(f"{module:32}{mutants:8}{texts:7}{killed:8}{survived:10}{100 * killed / mutants:7.1f}")
    return "\n".join(lines)


def _judge(outcomes: Sequence[Outcome], known: Mapping[Survivor, str], *, every: bool) -> int:
    """Exit code: 0 if enough is killed, and what survives is explained."""
    survivors = [survivor for outcome in outcomes for survivor in outcome.survivors]
    unexplained = [survivor for survivor in survivors if survivor not in known]
    for module, function, before, after in unexplained:
        _say(f"\nsurvived: {module}.{function}\n  - {before}\n  + {after}")
    if every:
        for module, function, before, after in sorted(set(known) - set(survivors)):
            _say(f"\nno longer survives, take it from survivors.toml: {module}.{function}\n  - {before}\n  + {after}")
    mutants = sum(outcome.mutants for outcome in outcomes)
    killed = sum(outcome.killed for outcome in outcomes)
    return 1 if unexplained or not mutants or 100 * killed / mutants < AT_LEAST else 0


if __name__ == "__main__":
    sys.exit(main())
