"""Fuzz a target, or all of them one after the other, guided by coverage of lamslsa's own code.

    python tests/fuzz/run_atheris.py sgx-quote --seconds 600
    python tests/fuzz/run_atheris.py all --seconds 60

What was found lies under build/fuzz: a corpus for each target, which later runs start from, the inputs that a fault was
found with, and under ``kept`` the keys of the simulated vendors, without which such an input means nothing. To try an
input again: ``--input build/fuzz/<target>/crash-…``. Remove the folder when a format has changed.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.util
import os
import random
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "build" / "fuzz"
TIMEOUT_S: Final = 5
MEMORY_MB: Final = 1024  # beside what libraries hold once they are imported
INSTALL: Final = "expected atheris, got none: pip install --group fuzz (pip 25.1 or later, Python 3.11 to 3.13)"
STATISTICS: Final = re.compile(r"#(\d+)\s+DONE\s+cov: (\d+) ft: (\d+) corp: (\d+)/\S+.*exec/s: (\d+)")


def fuzz(name: str, seconds: int, single: Path | None) -> None:
    """Fuzz one target in this process, which libFuzzer ends."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["lamslsa"]):
        from tests.fuzz.targets import TARGETS

        target = TARGETS[name]
        for seed in target.seeds():
            target.run(seed)  # which imports the rest
    from tests.fuzz.mutate import Mutator

    folder = FOLDER / name
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    seeds = [*target.seeds(), *target.real()]
    for seed in target.seeds():
        (corpus / hashlib.sha256(seed).hexdigest()).write_bytes(seed)

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        chooser = random.Random(seed)
        if chooser.random() < 0.3:
            mutated: bytes = atheris.Mutate(data, max_size)
            return mutated
        if chooser.random() < 0.02:
            data = chooser.choice(seeds)
        return Mutator(chooser, seeds=seeds, parts=target.parts).mutate(data)[:max_size]

    def run(data: bytes) -> None:
        target.run(data)

    options = [
        f"-max_total_time={seconds}",
        f"-max_len={target.max_bytes}",
        f"-timeout={TIMEOUT_S}",
        f"-rss_limit_mb={MEMORY_MB + resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}",
        f"-artifact_prefix={folder}/",
    ]
    inputs = [str(corpus)] if single is None else [str(single)]
    arguments: list[str] = [sys.argv[0], *options, *inputs]
    atheris.Setup(arguments, run, custom_mutator=mutate)
    atheris.Fuzz()


def fuzz_all(names: list[str], seconds: int) -> int:
    """Fuzz each target in a process of its own, and say what came of it."""
    failed = []
    for name in names:
        command = [sys.executable, __file__, name, "--seconds", str(seconds)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        found = STATISTICS.search(done.stderr)
        if done.returncode or found is None:
            failed.append(name)
            _say(f"{name:22} FAULT, exit code {done.returncode}\n{done.stderr[-4000:]}")
        else:
            runs, edges, features, inputs, rate = found.groups()
            _say(f"{name:22} {runs:>9} runs {rate:>6}/s {edges:>6} edges {features:>6} features {inputs:>5} inputs")
    _say(f"{len(names) - len(failed)} of {len(names)} targets without a fault")
    return 1 if failed else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Fuzz lamslsa's parsers and verifiers.")
    parser.add_argument("target", help="name of a target, or all")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--input", type=Path, help="try this one input, and nothing else")
    chosen = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        _say(INSTALL)
        return 2
    os.environ.setdefault("LAMSLSA_FUZZ_KEPT", str(FOLDER / "kept"))
    sys.path.insert(0, str(ROOT))
    if chosen.target != "all":
        fuzz(chosen.target, chosen.seconds, chosen.input)
        return 0
    return fuzz_all(_names(), chosen.seconds)


def _names() -> list[str]:
    from tests.fuzz.targets import TARGETS

    return list(TARGETS)


if __name__ == "__main__":
    sys.exit(main())
