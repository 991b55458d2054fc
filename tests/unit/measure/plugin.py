"""A small distribution with a measurer, laid out as a wheel installs it: what a third party would write."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Final

__all__ = ["SOURCE", "install", "record"]

SOURCE: Final = '''
"""How long a model's files are: the smallest thing that can be measured."""
from types import SimpleNamespace
from lamslsa.measure.evaluation.statement import evaluation_statement
from lamslsa.measure.interface import Input, MeasurerName
from lamslsa.predicates.evaluation import Metric

NAME = MeasurerName(name="acme-length", version="1")
LOADED = True

class Plan:
    measurer = NAME
    def __init__(self, dataset, factor):
        self.dataset, self.factor = dataset, factor
        self.inputs = (Input(role="model", kind="model"), Input(role="dataset", kind="dataset", name=dataset.name))
    def steps(self):
        return (f"bytes of the model times {self.factor}",)
    def measure(self, inputs, context):
        model = inputs["model"]
        size = sum(entry.size for entry in model.artifact.manifest.files)
        return evaluation_statement(
            measurer=self.measurer, model=model, dataset=self.dataset, data=inputs["dataset"], context=context,
            loaded=[SimpleNamespace(architecture="any", packages=(), network=None)],
            configuration={"factor": self.factor}, groups=(), packages=("lamslsa",),
            metrics=(Metric(name="length", value=float(size * self.factor), samples=1),),
        )

class Measurer:
    name, stage = NAME, "evaluation"
    def declare(self, fields, scope):
        return Plan(scope.dataset(fields.take("dataset")), fields.take("factor").integer(minimum=1))
'''
POINTS: Final = "[lamslsa.measurers]\nlength = acme_length:Measurer\n"


def install(
    site: Path,
    *,
    source: str = SOURCE,
    points: str = POINTS,
    more: dict[str, str] | None = None,
    name: str = "acme-length",
    requires: tuple[str, ...] = (),
) -> Path:
    """Write the package and its dist-info into a folder of packages; the folder of the package."""
    package, info = site / "acme_length", site / f"{name.replace('-', '_')}-2.0.dist-info"
    files = {
        package / "__init__.py": source,
        info / "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0\n"
        + "".join(f"Requires-Dist: {item}\n" for item in requires),
        info / "entry_points.txt": points,
        **{site / path: text for path, text in (more or {}).items()},
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (info / "RECORD").write_text(record(site, list(files)) + f"{info.name}/RECORD,,\n../../bin/x,sha256=x,1\n")
    return package


def record(site: Path, files: list[Path]) -> str:
    """The lines of RECORD for files."""
    lines = []
    for path in files:
        digest = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).decode().rstrip("=")
        lines.append(f"{path.relative_to(site).as_posix()},sha256={digest},{path.stat().st_size}\n")
    return "".join(lines)
