"""Runs in a work folder that run.py made: mutmut, without the mutants of texts; then writes down every verdict.

What counts as text:

- a string literal, unless it is the ``reason`` of an error or another slug ("evidence-root");
- what else an error says: every argument of ``raise …(…)``, ``…Error(…)`` and ``….refuse(…)`` but its ``reason``, and
  arguments and variables called ``what`` and ``hint`` anywhere, which are for messages only; so is what a function of
  the module takes under such a name.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_SLUG = re.compile(r"['\"](?!utf-)[a-z0-9]+(-[a-z0-9]+)+['\"]")
_MESSAGES = ("what", "hint", "where")
_KILLED = frozenset({"killed", "timeout", "segfault", "check was interrupted by user"})  # the last: at collection


def main(files: list[str], children: str) -> None:
    """Mutate, test, and write ``verdicts.json``."""
    from mutmut.__main__ import cli
    from mutmut.mutation import file_mutation

    everything = file_mutation.create_mutations

    def without_texts(*args: Any) -> Any:
        module, mutations, *ignored = everything(*args)
        texts, signs = Texts(module), _signs_in_patterns(module)
        kept = [
            mutation for mutation in mutations if not texts.has(mutation) and id(mutation.original_node) not in signs
        ]
        return module, kept, *ignored

    excluded = {file: _count_texts(everything(file, Path(file).read_text(encoding="utf-8"))) for file in files}
    vars(file_mutation)["create_mutations"] = without_texts
    cli(["run", "--max-children", children], standalone_mode=False)
    Path("verdicts.json").write_text(
        json.dumps({file: {"texts": excluded[file], "mutants": list(_verdicts(file))} for file in files}, indent=1),
        encoding="utf-8",
    )


def _count_texts(created: Any) -> int:
    module, mutations, *_ = created
    texts = Texts(module)
    return sum(1 for mutation in mutations if mutation.contained_by_top_level_function and texts.has(mutation))


def _verdicts(file: str) -> Iterator[dict[str, str]]:
    from mutmut.mutation.data import SourceFileMutationData
    from mutmut.mutation.diff_apply import get_diff_for_mutant
    from mutmut.stats import status_by_exit_code
    from mutmut.utils.format_utils import orig_function_and_class_names_from_key

    data = SourceFileMutationData(path=file)
    data.load()
    for key, code in data.exit_code_by_key.items():
        status = status_by_exit_code[code]
        if status in _KILLED:
            yield {"status": "killed"}
            continue
        lines = get_diff_for_mutant(key, path=file).splitlines()[2:]
        name, owner = orig_function_and_class_names_from_key(key)
        yield {
            "status": status,
            "mutant": key,
            "function": f"{owner}.{name}" if owner else name.rpartition(".")[2],
            "removed": " ".join(line[1:].strip() for line in lines if line.startswith("-")),
            "added": " ".join(line[1:].strip() for line in lines if line.startswith("+")),
        }


def _signs_in_patterns(module: Any) -> set[int]:
    """The signs of numbers in ``case -1:``, of which mutmut makes ``case +1:``, which is no Python."""
    import libcst as cst

    patterns = [node.value for node in _walk(module) if isinstance(node, cst.MatchValue)]
    return {id(value) for value in patterns if isinstance(value, cst.UnaryOperation)}


class Texts:
    """Which mutations of a module change texts only."""

    def __init__(self, module: Any) -> None:
        import libcst as cst

        self._literals = (cst.SimpleString, cst.ConcatenatedString, cst.FormattedString)
        self._arguments: set[int] = set()
        self._inside: set[int] = set()
        raised = {id(node.exc) for node in _walk(module) if isinstance(node, cst.Raise)}
        places = dict(_places_of_messages(node) for node in _walk(module) if isinstance(node, cst.FunctionDef))
        for node in _walk(module):
            if isinstance(node, cst.Call):
                said = id(node) in raised or _called(node).endswith("Error") or _called(node) == "refuse"
                place = places.get(_called(node))
                for number, argument in enumerate(node.args):
                    literal = isinstance(argument.value, self._literals) and argument.keyword is None
                    if (literal and number == place) or self._is_text(argument, said=said):
                        self._arguments.add(id(argument))
                        self._inside.update(id(child) for child in _walk(argument.value))

    def _is_text(self, argument: Any, *, said: bool) -> bool:
        name = argument.keyword.value if argument.keyword else None
        if name in _MESSAGES or getattr(argument.value, "value", None) in _MESSAGES:
            return True
        return said and name != "reason" and not _is_slug(argument.value)

    def has(self, mutation: Any) -> bool:
        """Whether it changes a text only."""
        before, after = mutation.original_node, mutation.mutated_node
        if id(before) in self._inside:
            return True
        if isinstance(before, self._literals):
            return not _is_slug(before)
        if hasattr(before, "args") and hasattr(after, "args"):
            kept = {id(argument) for argument in after.args}
            gone = [argument for argument in before.args if id(argument) not in kept]
            return bool(gone) and all(id(argument) in self._arguments for argument in gone)
        return False


def _walk(node: Any) -> Iterator[Any]:
    yield node
    for child in node.children:
        yield from _walk(child)


def _places_of_messages(function: Any) -> tuple[str, int | None]:
    """The name of a function, and which of its positional arguments, counted without ``self``, messages only use."""
    names = [parameter.name.value for parameter in function.params.params]
    names = names[1:] if names[:1] in (["self"], ["cls"]) else names
    return function.name.value, next((names.index(name) for name in _MESSAGES if name in names), None)


def _is_slug(node: Any) -> bool:
    value = getattr(node, "value", None)
    return isinstance(value, str) and _SLUG.fullmatch(value) is not None


def _called(call: Any) -> str:
    name = getattr(call.func, "attr", call.func)
    return str(getattr(name, "value", ""))


if __name__ == "__main__":
    main(sys.argv[2:], sys.argv[1])
