"""Run a user's script in this process: its own arguments, an environment of ours, no network, and nothing kept."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Final

from lamslsa import own
from lamslsa.errors import FormatError
from lamslsa.measure.environment import STEERING
from lamslsa.measure.sources import from_source
from lamslsa.measure.training.own_watch import watching

__all__ = ["SCRIPT", "read_model", "run_script"]

SCRIPT: Final = "train.py"
_NAMES: Final = ("LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ")
_MAX_FILES: Final = 15_000
_MAX_MODEL_BYTES: Final = 64 * 1024**3


def run_script(code: Path, arguments: Sequence[str], session: own.Session) -> list[list[str]]:
    """Run ``train.py`` as a program, from its source, and say what was executed (`Watch.modules`).

    Args:
        code: the folder that it lies in, which its imports find first.
        arguments: what follows its name.
        session: what `lamslsa.own` gives it.

    Raises:
        FormatError: it ends with an error, or says that it failed (own-training-failed); or it is of too many pieces.
    """
    script = code / SCRIPT
    home = session.model_dir.parent
    with (
        from_source(),
        _surroundings(code, [str(script), *arguments], home=home),
        own.session(session),
        redirect_stdout(sys.stderr),  # stdout is for results
        watching() as watch,
    ):
        try:
            runpy.run_path(str(script), run_name="__main__")
        except SystemExit as err:
            if err.code not in (None, 0):
                raise _failed(f"it ended with {err.code!a:.200}") from err
        except Exception as err:
            raise _failed(f"{type(err).__name__}: {err}") from err
        return watch.modules(code)  # while its modules are known: native ones are executed without an event


def _failed(got: str) -> FormatError:
    return FormatError(f"expected the training code to run, got {got}", reason="own-training-failed")


@contextmanager
def _surroundings(code: Path, argv: list[str], *, home: Path) -> Iterator[None]:
    """Arguments, import path and environment for the script; as they were at the end of the block."""
    before, path, variables, known = sys.argv, list(sys.path), dict(os.environ), set(sys.modules)
    kept = {name: value for name, value in variables.items() if name.startswith(STEERING) or name in _NAMES}
    sys.argv = argv
    sys.path.insert(0, str(code))
    os.environ.clear()
    os.environ.update({**kept, "HOME": str(home), "TMPDIR": str(home)})
    try:
        yield
    finally:
        sys.argv, sys.path[:] = before, path
        os.environ.clear()
        os.environ.update(variables)
        for name in set(sys.modules) - known:
            if _lies_in(sys.modules[name], code):
                del sys.modules[name]  # the next run is of other code, perhaps under the same name


def _lies_in(module: object, code: Path) -> bool:
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and Path(file).resolve().is_relative_to(code.resolve())


def read_model(folder: Path) -> dict[str, bytes]:
    """What the script left, path to bytes; read once, and these bytes are the model.

    Raises:
        FormatError: nothing, something else than files, or too much (own-training-result).
    """
    paths = sorted(path for path in folder.rglob("*") if not (path.is_dir() and not path.is_symlink()))
    sizes = [path.lstat().st_size for path in paths]
    if not 0 < len(paths) <= _MAX_FILES or sum(sizes) > _MAX_MODEL_BYTES:
        _refuse_result(f"1 to {_MAX_FILES} files", f"{len(paths)} of {sum(sizes)} bytes")
    for path in paths:
        if path.is_symlink() or not path.is_file():
            _refuse_result("files", f"another kind at {path.relative_to(folder)}")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _refuse_result(expected: str, got: str) -> None:
    raise FormatError(
        f"expected {expected} in the model folder of the training code, got {got}",
        reason="own-training-result",
        hint="write the model below lamslsa.own.model_dir()",
    )
