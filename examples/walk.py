"""What the examples share: commands as a user would type them, keys and a simulated platform, steps, cases.

Every example is a `Walk` in a folder of its own: it measures, signs, stores and verifies, then tries what a malicious
model provider could do, and renders the card. It ends well only when everything came out as it must.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

ROLES = ("data-owner", "trainer", "auditor", "enclave-release")
MARKER = ".lamslsa-demo"
ACCEPTED, NOT_AUTHENTIC, REFUSED = 0, 4, 5


@dataclass(frozen=True, slots=True)
class Case:
    """What somebody does to the model or its attestations, and the exit code and reason that must come of it."""

    title: str
    exit_code: int
    reason: str
    change: Callable[[Path], None]
    policy: str = "policy.yaml"


class Walk:
    """One example in its own folder."""

    def __init__(self, folder: Path, *, job: Path, model: str) -> None:
        self.folder = folder
        self.job = job
        self.model = folder / model
        self.store = self.model / ".attestations"
        self.runs = folder / "runs"
        self.policy = folder / "policy.yaml"
        self.platform = folder / "simulated-platform"
        self._command = [str(Path(sys.executable).parent / "lamslsa")]

    def start(self, *arguments: str | Path, show: bool = True) -> subprocess.Popen[str]:
        """Start a lamslsa command; what it says on stderr passes through."""
        words = [str(argument) for argument in arguments]
        if show:
            say("  $ lamslsa " + " ".join(short(word) for word in words))
        environment = {**os.environ, "LAMSLSA_SIMULATED_PLATFORM": str(self.platform)}
        return subprocess.Popen(self._command + words, stdout=subprocess.PIPE, text=True, env=environment)

    def run(self, *arguments: str | Path, expect: int = ACCEPTED, show: bool = True) -> str:
        """Run a lamslsa command to its end and return its stdout; any other exit code than expected ends the walk."""
        return finish(self.start(*arguments, show=show), expect=expect)

    def document(self, *arguments: str | Path, expect: int = ACCEPTED) -> dict[str, Any]:
        """Like `run`, quietly, with the JSON result."""
        result = json.loads(self.run(*arguments, "--format", "json", "--quiet", expect=expect, show=False))
        if not isinstance(result, dict):
            sys.exit("expected a JSON object from lamslsa")
        return result

    def attest(self, stage: str, run: str, *arguments: str | Path, show: bool = True) -> None:
        """Measure on the simulated platform, into the run of that name."""
        measured: list[str | Path] = ["--config", self.job, "--tee", "simulated", "--out", self.runs / run]
        self.run("attest", stage, *arguments, *measured, *(() if show else ("--quiet",)), show=show)

    def publish(self, run: str, role: str, *, store: Path | None = None, show: bool = True) -> None:
        """Sign a run with a role's key and store it beside the model."""
        key = self.folder / f"{role}.key"
        self.run("publish", self.runs / run, "--key", key, "--to", store or self.store, "--quiet", show=show)

    def release(self) -> str:
        """The release that is installed."""
        return self.run("--version", show=False).split()[-1]

    def prepare(self) -> None:
        """Keys for four roles, the simulated platform, and the signed reference value that the policy goes by."""
        for role in ROLES:
            self.run("keygen", self.folder / role, "--quiet")
        release: list[str | Path] = [
            "--release",
            self.release(),
            "--build",
            "measure",
            "--key",
            self.folder / "enclave-release.key",
        ]
        root, signed = self.folder / "simulated-root.pem", self.folder / "enclave.sigstore.json"
        measured = self.document(
            "enclave", "measurement", "--tee", "simulated", "--root", root, *release, "--out", signed
        )
        say(f"  measurement of this installation: {measured['digest']}")

    def digest(self, path: Path, kind: str) -> str:
        """``sha256:…`` of an artifact."""
        return str(self.document("digest", path, "--kind", kind)["digest"])

    def write_policy(self, template: Path, values: Mapping[str, str], *, name: str = "policy.yaml") -> None:
        """A policy out of a template: ``@NAME@`` becomes its value, ``@EXPIRES@`` a year from now."""
        (self.folder / name).write_text(filled(template, values), encoding="utf-8")

    def accept(self) -> None:
        """Appraise the model; it must be accepted."""
        say(self.run("verify", self.model, "--policy", self.policy))

    def render(self) -> Path:
        """Render the card, and return where it is."""
        card = self.folder / "card.html"
        say(
            self.run("card", self.model, "--policy", self.policy, "--html", card, "--markdown", self.folder / "CARD.md")
        )
        return card

    def victim(self, case: Case, folder: Path) -> Path:
        """A copy of the model with its attestations in ``folder``, changed as the case says."""
        victim = folder / case.title.replace(" ", "-") / self.model.name
        shutil.copytree(self.model, victim)
        case.change(victim)
        return victim

    def refuse(self, case: Case) -> None:
        """See the case refused, with its exit code and reason."""
        victim = self.victim(case, self.folder / "attacks")
        result = self.document("verify", victim, "--policy", self.folder / case.policy, expect=case.exit_code)
        refused = [rule for rule in result["rules"] if rule["outcome"] == "refused"]
        decisive = next((rule for rule in refused if rule["reason"] == case.reason), None)
        if decisive is None:
            sys.exit(f"expected {case.title} to be refused for {case.reason}, got {refused}")
        say(f"  refused ({case.exit_code}) {case.title}")
        say(f"      {decisive['name']} [{decisive['reason']}]: {decisive['message']}")

    def resigned(self, victim: Path, run: str, role: str) -> None:
        """Replace the evaluations beside a model, with their evidence, by those of a run, signed by a role."""
        store = victim / ".attestations"
        removed = {digest for digest in map(payload_digest, store.iterdir()) if digest in self._evaluations(store)}
        for bundle in list(store.iterdir()):
            named = {subject["digest"]["sha256"] for subject in payload(bundle)["subject"]}
            if payload_digest(bundle) in removed or named & removed:
                bundle.unlink()
        self.publish(run, role, store=store, show=False)

    @staticmethod
    def _evaluations(store: Path) -> set[str]:
        return {
            payload_digest(bundle)
            for bundle in store.iterdir()
            if payload(bundle)["predicateType"].endswith("/evaluation/v1")
        }


def filled(template: Path, values: Mapping[str, str]) -> str:
    """The text of a template with its names replaced."""
    text = template.read_text(encoding="utf-8")
    expires = f"{dt.datetime.now(dt.UTC) + dt.timedelta(days=365):%Y-%m-%dT%H:%M:%SZ}"
    for name, value in {**values, "EXPIRES": expires}.items():
        text = text.replace(f"@{name}@", value)
    return text


def payload(bundle: Path) -> dict[str, Any]:
    """The statement in a bundle, unverified: an attacker reads what he likes."""
    statement = json.loads(payload_bytes(bundle))
    if not isinstance(statement, dict):
        sys.exit(f"expected a statement in {bundle}")
    return statement


def payload_bytes(bundle: Path) -> bytes:
    """The payload in a bundle."""
    return base64.b64decode(json.loads(bundle.read_bytes())["dsseEnvelope"]["payload"])


def payload_digest(bundle: Path) -> str:
    """SHA-256 of the payload in a bundle."""
    import hashlib

    return hashlib.sha256(payload_bytes(bundle)).hexdigest()


def flip_last_byte(path: Path) -> None:
    """Change the last byte of a file."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def unchanged(victim: Path) -> None:
    """Leave the victim as it is: the policy is what differs."""


def finish(process: subprocess.Popen[str], *, expect: int = ACCEPTED) -> str:
    """Wait for a command; any other exit code than expected ends the walk."""
    output, _ = process.communicate()
    if process.returncode != expect:
        sys.exit(f"{output}\nexpected exit code {expect}, got {process.returncode}: {process.args!r}")
    return output


def say(text: str) -> None:
    """Print at once, so that steps and the commands' own progress keep their order."""
    print(text, flush=True)


def short(word: str) -> str:
    """An absolute path relative to where the reader is."""
    path = Path(word)
    return os.path.relpath(path) if path.is_absolute() else word


def clear(folder: Path) -> None:
    """Empty the folder of an earlier walk, but for its data; any other folder is left alone."""
    marker = folder / MARKER
    if any(old.name != "data" for old in folder.glob("*")) and not marker.exists():
        sys.exit(f"expected an empty folder or that of an earlier demo, got {folder}")
    for old in folder.glob("*"):
        if old.name != "data":
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    marker.touch()


@contextmanager
def step(title: str) -> Iterator[None]:
    """A titled step and its wall-clock time."""
    say(f"\n{title}")
    began = time.monotonic()
    yield
    say(f"  [{time.monotonic() - began:.1f} s]")


class Example(Protocol):
    """A walk that knows its way and what must be refused on it."""

    folder: Path

    def walk(self) -> None:
        """Measure, sign and store, and write the policy."""
        ...

    def accept(self) -> None:
        """See the model accepted."""
        ...

    def cases(self) -> list[Case]:
        """What must be refused."""
        ...

    def refuse(self, case: Case) -> None:
        """See one refused."""
        ...

    def render(self) -> Path:
        """Render the card."""
        ...


def run(example: Callable[[Path, Path], Example], folder: Path, *, data: Path | None = None) -> None:
    """Walk from the data to the card; ends the process where anything comes out as it must not."""
    clear(folder)
    began = time.monotonic()
    one = example(folder, data or folder / "data")
    one.walk()
    with step("Verify"):
        one.accept()
    with step("What must be refused"):
        for case in one.cases():
            one.refuse(case)
    with step("The model card"):
        card = one.render()
    say(f"\nEverything came out as it must, in {time.monotonic() - began:.0f} s. Open {short(str(card.resolve()))}")
