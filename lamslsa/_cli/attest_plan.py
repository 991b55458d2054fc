"""``lamslsa attest --dry-run``: what would be read and measured, and roughly how long it would take.

Sizes are those of the file system, digests are not computed, no TEE is asked and nothing is written. What would be too
large is refused here too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from lamslsa._cli import ui
from lamslsa._cli.attest_setup import Options
from lamslsa._pace import duration, size
from lamslsa.artifact._walk import opened
from lamslsa.artifact.reader import refuse_size
from lamslsa.attest import Planned, streamed_only
from lamslsa.measure import foresight

__all__ = ["describe"]

# Copying into memory and hashing: what one core of a server does, and a slow disk would be slower.
_READ_BYTES_PER_S: Final = 500_000_000


def describe(planned: Sequence[Planned], options: Options, output: ui.Output) -> int:
    """Print what plans would do.

    Raises:
        FormatError: an input is not usable, or too large.
    """
    read = {path: _found(path) for item in planned for path in item.paths.values()}
    reading = sum(number for number, _ in read.values()) / _READ_BYTES_PER_S
    inputs, lines = _inputs(planned, read, options)
    measured: list[dict[str, Any]] = []
    for item in planned:
        seconds = foresight.estimate(item.plan, {role: read[path][0] for role, path in item.paths.items()})
        steps = item.plan.steps()
        measured.append({"measurer": str(item.plan.measurer), "steps": list(steps), "seconds": seconds})
        known = ", for how long is unknown" if seconds is None else f", about {duration(seconds)}"
        lines.append(f"measure with {item.plan.measurer}{known}")
        lines += [f"  {ui.plain(step)}" for step in steps]
        makes, private = foresight.makes(item.plan), foresight.makes_private(item.plan)
        measured[-1] |= {"makes": None if makes is None else list(makes), "private": private}
        lines += [f"  makes {ui.plain(name)}" for name in makes or ()]
        lines += ["  makes private files: name a folder for them with --private"] if private else []
    unknown = sum(each["seconds"] is None for each in measured)
    total = reading + sum(each["seconds"] or 0.0 for each in measured)
    more = f", and {unknown} of {len(measured)} measurers that cannot tell" if unknown else ""
    lines.append(f"roughly {duration(total)}{more}; nothing was measured or written")
    output.result(
        "\n".join(lines),
        {
            "dryRun": True,
            "inputs": inputs,
            "measurers": measured,
            "memoryLimit": options.memory_limit,
            "seconds": {"reading": reading, "measuring": None if unknown else total - reading},
        },
    )
    return 0


def _inputs(
    planned: Sequence[Planned], read: dict[Path, tuple[int, int]], options: Options
) -> tuple[list[dict[str, Any]], list[str]]:
    rows = {
        (wanted.role, item.paths[wanted.role]): wanted
        for item in planned
        for wanted in item.plan.inputs
        if wanted.role in item.paths
    }
    streamed = streamed_only(planned)
    documents, lines = [], []
    for (role, path), wanted in rows.items():
        number, files = read[path]
        in_memory = number <= options.memory_limit
        if not in_memory and (options.spool is None or path not in streamed):
            refuse_size(number, options.memory_limit, streamed=path in streamed)
        documents.append(
            {
                "role": role,
                "kind": wanted.kind,
                "name": wanted.name,
                "path": str(path),
                "bytes": number,
                "files": files,
                "streamed": wanted.streamed,
                "keptIn": "memory" if in_memory else "spool",
            }
        )
        count = "1 file" if files == 1 else f"{files:,} files"
        kept = "" if in_memory else f", encrypted in {ui.plain(str(options.spool))}"
        lines.append(
            f"read {ui.plain(role)}: {ui.plain(str(path))}, a {wanted.kind} of {size(number)} in {count}{kept}"
        )
    beyond = "refused" if options.spool is None else "encrypted in the spool if it is read block by block"
    lines.append(f"in memory at most {size(options.memory_limit)} of each; what is larger is {beyond}")
    return documents, lines


def _found(path: Path) -> tuple[int, int]:
    with opened(path) as tree:
        return sum(file.size for file in tree.files), len(tree.files)
