"""Three organisations that show each other little: a bank's data, a trainer without TEE, a laboratory, a deployer.

    python examples/three-organisations/three_organisations.py build/examples/three-organisations

It takes the data of german-credit (`examples/data.py`). Each organisation has a folder, an identity, a platform and a
store of its own below the folder given; two Sigstore instances run on this machine (`lamslsa.testing`).
"""

from __future__ import annotations

import csv
import hashlib
import json
import secrets
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from walk import NOT_AUTHENTIC, REFUSED, Case, Walk, filled, payload, payload_digest, run, say, step, unchanged  # noqa: E402 - an example is run as a script, and what they share lies beside its folder

from lamslsa.evidence import attester_for, binding  # noqa: E402
from lamslsa.evidence.run import read_run, write_run  # noqa: E402
from lamslsa.testing.sigstore import LocalSigstore  # noqa: E402

NAMES = (
    *("checking", "months", "history", "purpose", "amount", "savings", "employment", "instalment-rate", "status-sex"),
    *("debtors", "residence-since", "property", "age", "other-plans", "housing", "credits", "job", "dependants"),
    *("telephone", "foreign", "risk"),
)
KEPT = ("checking", "months", "history", "amount", "savings", "employment", "age", "risk")
FEMALE = ("A92", "A95")
PARTS = {"loans-public": (0, 300), "loans-train": (300, 700), "loans-test": (700, 1000)}
EVALUATION, PROVENANCE = "https://lamslsa.dev/evaluation/v1", "https://slsa.dev/provenance/v1"
EVIDENCE = "https://lamslsa.dev/tee-evidence/v1"
POLICY = "deployer/policy.yaml"


class Organisation(Walk):
    """Whoever has a folder, a platform and a store of its own, and signs with a key or as an identity."""

    def __init__(self, folder: Path, *, email: str | None = None) -> None:
        super().__init__(folder, job=HERE / "job.yaml", model="credit")
        self.store = folder / "attestations"
        self.email = email
        self.sigstore: LocalSigstore | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def identify(self, sigstore: LocalSigstore) -> None:
        """Sign as an identity of this Sigstore from now on."""
        self.sigstore = sigstore
        (self.folder / "trust-config.json").write_text(sigstore.trust_config_json(rekor=2), encoding="utf-8")
        (self.folder / "root.json").write_text(sigstore.trusted_root_json(), encoding="utf-8")

    def keygen(self, name: str) -> None:
        """A key pair in this folder."""
        self.run("keygen", self.folder / name, "--quiet", show=False)

    def sign(self, runs: Sequence[Path], *, store: Path | None = None, key: str = "key", show: bool = True) -> None:
        """Sign runs and store them; nothing is sent to anybody but the Sigstore of this organisation."""
        place: list[str | Path] = ["--to", store or self.store, "--quiet"]
        if self.sigstore is None or self.email is None:
            self.run("publish", *runs, "--key", self.folder / f"{key}.key", *place, show=show)
            return
        token = self.folder / "token"
        token.touch(mode=0o600)
        token.write_text(self.sigstore.token(email=self.email), encoding="utf-8")
        config = self.folder / "trust-config.json"
        signed: list[str | Path] = ["--keyless", "--trust-config", config, "--identity-token", f"@{token}", "--yes"]
        self.run("publish", *runs, *signed, "--require-timestamp", "--require-log", *place, show=show)

    def measure(self, stage: str, name: str, *arguments: str | Path, tee: str = "simulated", show: bool = True) -> Path:
        """A run on this organisation's platform, by the shared job file."""
        out = self.runs / name
        self.run("attest", stage, *arguments, "--config", self.job, "--tee", tee, "--out", out, "--quiet", show=show)
        return out


class Example(Walk):
    """One run in its own folder; what this class itself does, the deployer does."""

    def __init__(self, folder: Path, data: Path) -> None:
        super().__init__(folder, job=HERE / "job.yaml", model="deployer/credit")
        self.deployer, self.forged = folder / "deployer", folder / "forged"
        self.policy = folder / POLICY
        self.raw = data / "german.csv"

    def walk(self) -> None:
        """Each organisation does its part, and the deployer gathers what they publish."""
        with ExitStack() as stack:
            with step("Who is who: two Sigstore instances, a key, two simulated platforms"):
                self._organise(*(stack.enter_context(LocalSigstore()) for _ in range(2)))
            with step("1. The bank: two datasheets in SGX, of data that it keeps to itself"):
                self._bank()
            with step("2. The trainer: its own loop on a hub's base model, without TEE"):
                self._trainer()
            with step("3. The laboratory: an evaluation in TDX"):
                self._laboratory()
            with step("4. The deployer: everything together, and a policy that extends the house rules"):
                self._gather()
                self._policies()
            with step("5. What others could try, signed by whoever could sign it"):
                self._forge()

    def _organise(self, first: LocalSigstore, second: LocalSigstore) -> None:
        self.bank = Organisation(self.folder / "bank", email="data-office@bank.example")
        self.laboratory = Organisation(self.folder / "laboratory", email="audit@laboratory.example")
        self.trainer, self.maker = (
            Organisation(self.folder / "trainer"),
            Organisation(self.folder / "enclave-release"),
        )
        self.hub = Organisation(self.folder / "hub")
        self.deployer.mkdir()
        self.bank.identify(first)
        self.laboratory.identify(second)
        for organisation, key in ((self.trainer, "key"), (self.trainer, "old"), (self.maker, "key")):
            organisation.keygen(key)
        self.run("keygen", self.deployer / "key", "--quiet", show=False)
        for owner, tee, form in ((self.bank, "simulated", "sgx"), (self.laboratory, "simulated-tdx", "tdx")):
            root, signed = owner.folder / "platform.pem", self.maker.folder / f"{form}.sigstore.json"
            words: list[str | Path] = [
                "--release",
                self.release(),
                "--build",
                "measure",
                "--key",
                self.maker.folder / "key.key",
            ]
            owner.run("enclave", "measurement", "--tee", tee, "--root", root, *words, "--out", signed, show=False)

    def _bank(self) -> None:
        self.write_parts(self.bank.folder)
        train, test = (self.bank.folder / f"{name}.csv" for name in ("loans-train", "loans-test"))
        private: list[str | Path] = ["--private", self.bank.folder / "openings"]
        runs = [
            self.bank.measure("dataset", "train", train, "--name", "loans-train"),
            self.bank.measure(
                "dataset", "test", test, "--name", "loans-test", "--dataset", f"loans-train={train}", *private
            ),
        ]
        self.bank.sign(runs)

    def write_parts(self, folder: Path) -> None:
        """Cut the data, each row with a number of its own that nobody can guess."""
        with self.raw.open(encoding="utf-8", newline="") as file:
            rows = [dict(zip(NAMES, row, strict=True)) for row in csv.reader(file)]
        for name, (start, end) in PARTS.items():
            target = (self.hub if name == "loans-public" else self.bank).folder / f"{name}.csv"
            write_rows(target, rows[start:end])
        write_rows(folder / "loans-train-again.csv", rows[slice(*PARTS["loans-train"])])

    def _trainer(self) -> None:
        public = self.hub.folder / "loans-public.csv"
        out: list[str | Path] = ["--model-out", self.hub.folder / "credit-base"]
        self.hub.measure("training", "base", "--dataset", f"train={public}", *out, show=False)
        trained = self.train("training", self.bank.folder / "loans-train.csv", self.trainer.model)
        self.trainer.sign([trained])
        drop(self.trainer.store, of=(EVIDENCE,))  # of a platform that the trainer simulates: nobody could go by it

    def train(self, name: str, data: Path, model: Path, *, show: bool = True) -> Path:
        """The trainer's own loop. The trainer reads the rows, by contract; nobody else gets them."""
        out = self.trainer.runs / name
        given: list[str | Path] = [
            "--dataset",
            f"train={data}",
            "--model",
            f"base={self.hub.folder / 'credit-base'}",
            "--model-out",
            model,
        ]
        code: list[str | Path] = [
            "--own",
            "--code",
            HERE / "training",
            "--config",
            HERE / "own.yaml",
            "--tee",
            "simulated",
            "--quiet",
        ]
        self.trainer.run("attest", "training", *code, *given, "--out", out, "--", "python", "train.py", show=show)
        return out

    def _laboratory(self) -> None:
        given: list[str | Path] = ["--dataset", self.bank.folder / "loans-test.csv"]
        self.laboratory.sign(
            [self.laboratory.measure("evaluation", "evaluation", self.trainer.model, *given, tee="simulated-tdx")]
        )

    def _gather(self) -> None:
        shutil.copytree(self.trainer.model, self.model)
        self.store.mkdir()
        for owner in (self.bank, self.trainer, self.laboratory):
            add(self.store, owner.store)

    def _policies(self) -> None:
        house = self.folder / "house"
        for folder in (house, self.deployer):
            folder.mkdir(exist_ok=True)
            for source, name in self._trusted():
                shutil.copy(source, folder / name)
        shutil.copy(self.trainer.folder / "old.pub", self.deployer / "trainer-2025.pub")
        values = self._values()
        rules = filled(HERE / "house.yaml.in", values)
        pinned = self._pinned(house, rules)
        text = filled(HERE / "policy.yaml.in", {**values, "HOUSE": pinned})
        stricter = self._pinned(house, rules.replace("max: 0.30", "max: 0.01"))
        for name, content in {
            "policy": text,
            "other-licences": text.replace("[CC-BY-4.0, Apache-2.0]", "[Apache-2.0]"),
            "stricter-house": text.replace(pinned, stricter),
            "no-word": text.replace("platform: trainer-cluster, ownCode", "platform: bank-sgx, ownCode"),
        }.items():
            (self.deployer / f"{name}.yaml").write_text(content, encoding="utf-8")

    def _trusted(self) -> Iterable[tuple[Path, str]]:
        for owner in (self.bank, self.laboratory):
            yield owner.folder / "root.json", f"{owner.folder.name}-root.json"
            yield owner.folder / "platform.pem", f"{owner.folder.name}-platform.pem"
        for owner in (self.trainer, self.maker):
            yield owner.folder / "key.pub", f"{owner.folder.name}.pub"
        for form in ("sgx", "tdx"):
            yield self.maker.folder / f"{form}.sigstore.json", f"{form}.sigstore.json"

    def _values(self) -> dict[str, str]:
        """What the policies name, each as the deployer got it: commitments from the bank, code after review."""
        (statement,) = [payload(bundle) for bundle in self.trainer.store.iterdir()]
        named = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
        packages = [
            item["uri"] for item in named if item["annotations"]["kind"] == "package" and item["name"] != "numpy"
        ]
        (installed,) = [item for item in named if item["name"] == "lamslsa"]
        issuers = {
            f"{owner.folder.name.upper()}_ISSUER": owner.sigstore.issuer
            for owner in (self.bank, self.laboratory)
            if owner.sigstore is not None
        }
        return {
            **issuers,
            "TRAIN": self.digest(self.bank.folder / "loans-train.csv", "dataset"),
            "TEST": self.digest(self.bank.folder / "loans-test.csv", "dataset"),
            "BASE": self.digest(self.hub.folder / "credit-base", "model"),
            "CODE": self.digest(HERE / "training", "model"),
            "LAMSLSA": f"sha256:{installed['digest']['sha256']}",
            "PACKAGES": "\n".join(["and what it needs, in the versions reviewed:", *map(listed, packages)]),
        }

    def _pinned(self, house: Path, text: str) -> str:
        """The digest of the house rules with their files, a copy of which lies with the deployer."""
        (house / "policy.yaml").write_text(text, encoding="utf-8")
        closure = str(self.document("policy", "explain", house / "policy.yaml")["closure"]).removeprefix("sha256:")
        shutil.copytree(house, self.deployer / f"pinned-{closure}")
        return f"sha256:{closure}"

    def _forge(self) -> None:
        evaluation = self.laboratory.runs / "evaluation"
        self.trainer.sign([evaluation], store=self.forged / "by-trainer", show=False)
        self.trainer.sign([self._quoted_again(evaluation)], store=self.forged / "elsewhere", show=False)
        impostor = Organisation(self.folder / "impostor", email=self.laboratory.email)
        if self.bank.sigstore is not None:
            impostor.identify(self.bank.sigstore)
        impostor.sign([evaluation], store=self.forged / "wrong-root", show=False)
        model = self.trainer.folder / "credit-again"
        again = self.train("again", self.bank.folder / "loans-train-again.csv", model, show=False)
        if self.digest(model, "model") != self.digest(self.trainer.model, "model"):
            sys.exit("expected the same model from the same rows under other numbers")
        self.trainer.sign([again], store=self.forged / "other-data", show=False)

    def _quoted_again(self, run: Path) -> Path:
        """The same statement under a quote of the trainer's own SGX: whoever has its keys quotes anything."""
        genuine, target = read_run(run), self.trainer.runs / "quoted-again"
        statements = [hashlib.sha256(item.payload).hexdigest() for item in genuine.statements]
        covered = binding.report_data(genuine.nonce.value, device_evidence=[], statements=statements)
        evidence = attester_for("simulated", simulated_platform=self.trainer.platform).quote(covered)
        write_run(replace(genuine, evidence=evidence), target)
        return target

    def accept(self) -> None:
        """See the model accepted, and sign a summary of that for whoever relies on the deployer."""
        summary: list[str | Path] = [
            "--output",
            f"vsa={self.deployer / 'summary.sigstore.json'}",
            "--key",
            self.deployer / "key.key",
        ]
        say(self.run("verify", self.model, "--policy", self.policy, *summary))
        say(self.run("graph", self.model, "--policy", self.policy))

    def refuse(self, case: Case) -> None:
        """See the case refused: by a rule, or since a bundle was set aside."""
        victim = self.victim(case, self.folder / "attacks")
        result = self.document("verify", victim, "--policy", self.folder / case.policy, expect=case.exit_code)
        said = [(one["reason"], one["message"]) for one in (*result["rules"], *result["setAside"])]
        message = next((message for reason, message in said if reason == case.reason), None)
        if message is None:
            sys.exit(f"expected {case.title} to be refused for {case.reason}, got {said}")
        say(f"  refused ({case.exit_code}) {case.title}\n      [{case.reason}]: {message}")

    def cases(self) -> list[Case]:
        """What must be refused."""
        return [
            Case("the trainer signs the evaluation", REFUSED, "signer-other", self._instead("by-trainer"), POLICY),
            Case("a quote by the SGX of another", REFUSED, "platform-tee", self._other_quote, POLICY),
            Case(
                "the laboratory by a wrong root", NOT_AUTHENTIC, "signature-time", self._instead("wrong-root"), POLICY
            ),
            Case("evaluation without its quote", NOT_AUTHENTIC, "evidence-missing", _without_quotes, POLICY),
            Case("other data than committed", REFUSED, "ingredient-not-listed", self._trained_again, POLICY),
            Case(
                "a licence that is not allowed",
                REFUSED,
                "license-not-allowed",
                unchanged,
                "deployer/other-licences.yaml",
            ),
            Case("house rules that refuse", REFUSED, "policy-refused", unchanged, "deployer/stricter-house.yaml"),
            Case(
                "a word where a TEE is asked for", NOT_AUTHENTIC, "evidence-missing", unchanged, "deployer/no-word.yaml"
            ),
        ]

    def _instead(self, name: str) -> Callable[[Path], None]:
        """Put a forged evaluation in the place of the laboratory's, with its evidence."""

        def change(victim: Path) -> None:
            drop(victim / ".attestations", of=(EVALUATION,))
            add(victim / ".attestations", self.forged / name)

        return change

    def _other_quote(self, victim: Path) -> None:
        _without_quotes(victim)
        add(victim / ".attestations", self.forged / "elsewhere")

    def _trained_again(self, victim: Path) -> None:
        drop(victim / ".attestations", of=(PROVENANCE,))
        add(victim / ".attestations", self.forged / "other-data")


def write_rows(path: Path, rows: Iterable[dict[str, str]]) -> None:
    """What a lender knows of each loan, with a random number for each."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["record", "sex", *KEPT])
        for row in rows:
            sex = "female" if row["status-sex"] in FEMALE else "male"
            writer.writerow([secrets.token_hex(16), sex, *(row[name] for name in KEPT)])


def listed(uri: str) -> str:
    """The line of a policy that lists a package in this version."""
    name, _, version = uri.partition("@")
    return f'    - {{purl: {json.dumps(name)}, version: "=={unquote(version)}"}}'


def add(store: Path, more: Path) -> None:
    """Copy bundles into a store; equal names are equal bundles or get another."""
    for bundle in sorted(more.iterdir()):
        shutil.copy(bundle, store / f"{more.parent.name}-{more.name}-{bundle.name}")


def drop(store: Path, *, of: Iterable[str]) -> None:
    """Take the statements of these types out of a store, and the evidence about them."""
    bundles = {bundle: payload(bundle) for bundle in store.iterdir()}
    gone = {payload_digest(bundle) for bundle, statement in bundles.items() if statement["predicateType"] in of}
    for bundle, statement in bundles.items():
        about = {subject["digest"]["sha256"] for subject in statement["subject"]}
        if payload_digest(bundle) in gone or about & gone:
            bundle.unlink()


def _without_quotes(victim: Path) -> None:
    """Leave the laboratory's statement, and take its quote away."""
    store = victim / ".attestations"
    evaluations = {payload_digest(one) for one in store.iterdir() if payload(one)["predicateType"] == EVALUATION}
    for bundle in list(store.iterdir()):
        if evaluations & {subject["digest"]["sha256"] for subject in payload(bundle)["subject"]}:
            bundle.unlink()


if __name__ == "__main__":
    run(Example, Path(sys.argv[1]), data=Path(sys.argv[2]) if len(sys.argv) > 2 else None)
