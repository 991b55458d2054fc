"""Write what the documentation quotes from a run of the demo: transcript, predicate examples, picture of the card.

    python examples/census/document.py build/demo

The picture needs Chromium on PATH and is left alone without it.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BEGIN, END = "<!-- transcript: written by make docs -->", "<!-- end of transcript -->"
EXAMPLES = {
    "dataset": "census-test/01-dataset.json",
    "training": "training/01-provenance.json",
    "evaluation": "evaluation/01-evaluation.json",
}


def transcript(folder: Path) -> str:
    """Run the demo and return what it printed on stdout."""
    command = [sys.executable, str(HERE / "demo.py"), str(folder)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def write_transcript(text: str) -> None:
    """The whole into docs/, from the verification on into the README."""
    (ROOT / "docs" / "demo.txt").write_text(text, encoding="utf-8")
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    shown = re.sub(r"[0-9a-f]{40}([0-9a-f]{24})", r"…\1", text[text.index("5. Verify") :]).strip()
    readme.write_text(f"{before}{BEGIN}\n```text\n{shown}\n```\n{END}{after}", encoding="utf-8")


def write_examples(folder: Path) -> None:
    """One statement of each predicate, indented for reading."""
    examples = {name: json.loads((folder / "runs" / path).read_bytes()) for name, path in EXAMPLES.items()}
    evaluation = folder / "census-mlp" / ".attestations"
    of_auditor = [payload(bundle) for bundle in sorted(evaluation.glob("tee-evidence-*.sigstore.json"))]
    examples["tee-evidence"] = next(item for item in of_auditor if item["subject"][0]["name"] == "01-evaluation")
    for name, statement in examples.items():
        target = ROOT / "predicates" / name / "v1" / "examples" / f"{name}.json"
        target.parent.mkdir(exist_ok=True)
        target.write_text(json.dumps(statement, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def payload(bundle: Path) -> Any:
    """The statement in a bundle."""
    return json.loads(base64.b64decode(json.loads(bundle.read_bytes())["dsseEnvelope"]["payload"]))


def write_picture(card: Path) -> None:
    """The upper part of the card as docs/images/card.png."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        return
    target = ROOT / "docs" / "images" / "card.png"
    target.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-background-networking"]
        where = [f"--user-data-dir={profile}", "--window-size=1000,3600", f"--screenshot={target}", card.as_uri()]
        subprocess.run([browser, *flags, *where], check=True, capture_output=True)


if __name__ == "__main__":
    demo_folder = Path(sys.argv[1])
    write_transcript(transcript(demo_folder))
    write_examples(demo_folder)
    write_picture((demo_folder / "card.html").resolve())
