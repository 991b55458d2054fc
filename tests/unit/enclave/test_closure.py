"""A build holds what every measurer of ours needs: each is imported, and some of each extra run, on nothing else."""

from __future__ import annotations

import ast
import io
import json
import random
import re
import subprocess
from pathlib import Path

import pytest

import lamslsa
from lamslsa.enclave.job import Kind
from lamslsa.enclave.run import Request, run_job
from lamslsa.testing.table import JOB, ROWS

PACKAGE = Path(lamslsa.__file__).resolve().parent
IMPORT = """
import importlib, json, sys
farm, stdlib, names = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
sys.path[:] = [stdlib, stdlib + "/lib-dynload", farm + "/packages"]
sys.modules.update(dict.fromkeys(("_ssl", "readline", "_curses"), None))
import subprocess
def none(*arguments, **keywords): raise RuntimeError("a process in an enclave that has one")
subprocess.Popen.__init__ = none
missing = {}
for name in names:
    try:
        importlib.import_module(name)
    except Exception as err:
        missing[name] = repr(err)
assert not missing, missing
elsewhere = [name for name, module in sys.modules.items() if "site-packages" in str(getattr(module, "__file__", ""))]
assert not elsewhere, elsewhere
"""
TABLES = (
    JOB[: JOB.index("training:")]
    + """
training: {trainer: logistic-regression/1, model: made, dataset: train, solver: lbfgs, C: 1, maxIterations: 100,
           tolerance: 1e-4, seed: 1, drop: [], conversionTolerance: 1e-3}
"""
)
IMAGES = """
apiVersion: lamslsa.dev/job/v1
kind: Job
schemas:
  pictures: {format: images, channels: 1, height: 8, width: 8, classes: {a: 0, b: 1}}
datasets:
  drawn: {schema: pictures, overlap: []}
training: {trainer: image-cnn/1, model: made, dataset: drawn, widths: [4, 4], hidden: [], batchNorm: false, dropout: 0,
           normalization: {mean: [0.5], deviation: [0.5]}, epochs: 1, batchSize: 4, optimizer: sgd, learningRate: 1e-2,
           momentum: 0, nesterov: false, weightDecay: 0, schedule: constant, augmentation: none, seed: 1,
           privacy: {noiseMultiplier: 1, maxGradNorm: 1, delta: 1e-3, accountant: rdp, sampling: poisson}}
evaluation: {measurer: autoattack/1, dataset: drawn, rows: 8, confidenceLevel: 0.95, version: standard, norm: Linf,
             epsilons: [0.1], iterations: 2, queries: 3}
"""


def imported() -> set[str]:
    """Every module that ours import when they measure, those inside functions too."""
    found = set()
    for path in [*(PACKAGE / "measure").rglob("*.py"), *(PACKAGE / "artifact").rglob("*.py"), PACKAGE / "attest.py"]:
        found.add(".".join(("lamslsa", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"))
        for node in _run(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module)
    return found


def _run(tree: ast.AST) -> list[ast.AST]:
    """The nodes that are run, and so not those for type checkers."""
    nodes = [tree]
    for node in nodes:
        guarded = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        nodes += [] if guarded else list(ast.iter_child_nodes(node))
    return nodes


@pytest.mark.slow
def test_everything_that_measures_is_imported_from_trusted_files(measure_build: Path, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text(ROWS, encoding="utf-8")
    request = Request(kind="dataset", config=JOB.encode(), inputs={"dataset": tmp_path / "people.csv"}, name="train")
    with run_job(request, build_dir=measure_build, runner="gramine-direct", simulated_platform=tmp_path / "platform"):
        pass
    (farm,) = (measure_build.parent / "gramine" / "farms").iterdir()
    python = next((farm / "python" / "bin").iterdir()).readlink()
    stdlib = next((farm / "python").glob("lib*/python*"))
    names = sorted(imported())
    assert {"opacus.accountants", "pyautoattack.square", "onnxruntime", "datasketch", "PIL", "torch"} <= set(names)
    command = [str(python), "-I", "-S", "-B", "-c", IMPORT, str(farm), str(stdlib), json.dumps(names)]
    done = subprocess.run(command, capture_output=True, text=True, env={"HOME": str(tmp_path)}, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def pictures(folder: Path) -> Path:
    """Twelve images of two classes."""
    from PIL import Image

    source = random.Random(3)
    for name, level in (("a", 60), ("b", 180)):
        (folder / name).mkdir(parents=True)
        for number in range(6):
            data = io.BytesIO()
            image = Image.frombytes("L", (8, 8), bytes(level + source.randrange(60) for _ in range(64)))
            image.save(data, format="PNG")
            (folder / name / f"{number}.png").write_bytes(data.getvalue())
    return folder


@pytest.mark.slow
def test_jobs_of_extras_run_on_trusted_files(measure_build: Path, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text(ROWS, encoding="utf-8")
    drawn = pictures(tmp_path / "drawn")

    def go(kind: Kind, config: str, **inputs: Path) -> set[str]:
        """The packages in the environment of the first statement."""
        request = Request(kind=kind, config=config.encode(), inputs=inputs)
        platform = tmp_path / "platform"
        with run_job(
            request, build_dir=measure_build, runner="gramine-direct", simulated_platform=platform, say=print
        ) as done:
            for made in done.outputs:
                done.write_output(made, tmp_path / f"{made}-{inputs['train'].name}")
            payload = done.run.statements[0].payload.decode()
        return set(re.findall(r"pkg:pypi/([a-z0-9-]+)@", payload))

    assert go("training", TABLES, train=tmp_path / "people.csv") >= {"skl2onnx", "onnx", "onnxruntime", "scikit-learn"}
    assert go("training", IMAGES, train=drawn) >= {"opacus", "pillow", "torch"}
    assert go("evaluation", IMAGES, model=tmp_path / "made-drawn", dataset=drawn) >= {"pyautoattack", "pillow"}
