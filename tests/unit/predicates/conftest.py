"""One full instance of every predicate: each optional field set, each list with something in it."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from lamslsa.predicates import (
    Dataset,
    Evaluation,
    Model,
    Predicate,
    Provenance,
    ReferenceValues,
    TeeEvidence,
    configuration_digest,
)
from lamslsa.predicates import dataset as ds
from lamslsa.predicates import evaluation as ev
from lamslsa.predicates import evaluation_plan as ep
from lamslsa.predicates import inference as nf
from lamslsa.predicates import model as ml
from lamslsa.predicates import provenance as pv
from lamslsa.predicates import reference_values as rv
from lamslsa.predicates import tee_evidence as te
from lamslsa.predicates._common import (
    ArtifactReference,
    DatasetReference,
    Digest,
    Environment,
    File,
    Measurer,
    ResourceDescriptor,
)

ONE = Digest(sha256="1" * 64)
TWO = Digest(sha256="2" * 64)
ENVIRONMENT = Environment(
    python="CPython 3.11.7",
    machine={"cpu": "Example CPU", "threads": 1},
    variables={"OMP_NUM_THREADS": "1"},
    packages=(
        ResourceDescriptor(
            name="torch",
            uri="pkg:pypi/torch@2.6.0",
            digest=ONE,
            annotations={"installation": "wheel"},
        ),
    ),
)
SCHEMA: dict[str, Any] = {
    "format": "csv",
    "header": False,
    "skipLines": 1,
    "nullToken": None,
    "columns": [{"name": "age", "type": "integer"}],
    "label": {"column": "income", "classes": {"<=50K": 0, ">50K": 1}},
}
CONFIGURATION: dict[str, Any] = {"learningRate": 1e-3, "epochs": 10, "hidden": [128, 256], "early": False}
FILE = File(path="data/adult.data", digest=TWO, size=3_974_305)
DISTRIBUTION = ds.Distribution(
    columns=("sex", "age", "score", "member", "race"),
    samples=2**53,
    cells=(ds.Cell(values=("Female", 39, 0.5, True, None), count=2**53),),
)

FULL: MappingProxyType[str, tuple[str, Predicate]] = MappingProxyType(
    {
        "dataset": (
            ds.PREDICATE_TYPE,
            Dataset(
                kind="dataset",
                measurer=Measurer(name="tabular-dataset", version="1"),
                schema=SCHEMA,
                schema_digest=Digest(sha256=configuration_digest(SCHEMA)),
                configuration={"groups": [["sex"], ["sex", "race"]]},
                files=(FILE,),
                rows=32_561,
                columns=(ds.Column(name="age", type="integer", missing=0, distinct=73),),
                duplicates=ds.Duplicates(rows=24, method="exact"),
                distributions=(DISTRIBUTION,),
                environment=ENVIRONMENT,
                label_balance=DISTRIBUTION,
                overlaps=(
                    ds.Overlap(
                        dataset=ArtifactReference(name="census-train", digest=ONE),
                        schema_digest=TWO,
                        columns=("age",),
                        samples=16_281,
                        rows=26,
                        distinct=23,
                    ),
                ),
                conditional=(
                    ds.Conditional(
                        columns=("income",),
                        given=("sex",),
                        samples=9,
                        groups=(
                            ds.GivenCell(
                                given=("Female",),
                                rows=9,
                                cells=(ds.Cell(values=(1,), count=4), ds.Cell(values=(None,), count=5)),
                            ),
                        ),
                    ),
                ),
                summaries=(
                    ds.Summary(
                        column="age",
                        samples=9,
                        missing=1,
                        minimum=17.0,
                        maximum=90.0,
                        mean=38.5,
                        deviation=13.25,
                        quantiles=(ds.Quantile(probability=0.5, value=37.0),),
                    ),
                    ds.Summary(column="score", samples=0, missing=10, undefined="every value is missing"),
                ),
                anonymity=(
                    ds.Anonymity(
                        quasi_identifiers=("age", "sex"),
                        samples=10,
                        classes=4,
                        smallest_class=1,
                        rows_below=(ds.RowsBelow(size=2, rows=1),),
                        sensitive=(
                            ds.Sensitive(
                                column="income",
                                distinct_diversity=1,
                                entropy_diversity=1.5,
                                entropy_counts=(3, 1),
                                distance="equal",
                                closeness=0.25,
                                undefined="never with a value; both stand here so that both are tested",
                            ),
                        ),
                    ),
                ),
                drift=(
                    ds.Drift(
                        reference=ArtifactReference(name="census-train", digest=ONE),
                        schema_digest=TWO,
                        column="age",
                        samples=10,
                        reference_samples=20,
                        bins=(
                            ds.Bin(kind="missing", rows=1, reference_rows=2),
                            ds.Bin(kind="range", rows=4, reference_rows=9, upper=37.5),
                            ds.Bin(kind="value", rows=5, reference_rows=9, values=("a",)),
                        ),
                        psi=0.125,
                        kolmogorov_smirnov=ds.KolmogorovSmirnov(
                            statistic=0.5, p_value=0.75, samples=9, reference_samples=18, method="asymptotic"
                        ),
                        undefined="a bin is empty on one side",
                    ),
                ),
                shares=(
                    ds.Share(
                        where={"sex": "Female", "race": None, "member": True, "age": 39},
                        at_least=0.3,
                        by="wilson",
                        samples=10,
                        holds=True,
                        confidence_level=0.95,
                    ),
                ),
                documents=ds.Documents(documents=10, empty=1, characters=200, words=40),
                near_duplicates=(
                    ds.NearDuplicates(
                        samples=9,
                        distinct=8,
                        candidates=3,
                        pairs=2,
                        documents=4,
                        threshold=0.8,
                        recall=0.99,
                        seed=4_294_967_295,
                        column="review",
                    ),
                ),
                ngram_overlap=(
                    ds.NgramOverlap(
                        dataset=ArtifactReference(name="corpus", digest=ONE),
                        schema_digest=TWO,
                        n=8,
                        samples=10,
                        documents=2,
                        ngrams=30,
                        shared=3,
                        occurrences=33,
                        shared_occurrences=4,
                        column="review",
                        other_column="text",
                    ),
                ),
                images=ds.Images(
                    height=8,
                    width=8,
                    pixels=64,
                    channels=(ds.Channel(sum=640, sum_of_squares=6400, mean=10.0, deviation=0.5),),
                ),
                withheld=(
                    ds.Withheld(pointer="/overlaps/1", commitment=ONE),
                    ds.Withheld(pointer="/columns/0/missing"),
                ),
                declared=ds.Declared(
                    license="CC-BY-4.0",
                    source="UCI Adult",
                    description="census records",
                    responsible={"dataBiases": "one country, 1994"},
                ),
            ),
        ),
        "evaluation": (
            ev.PREDICATE_TYPE,
            Evaluation(
                kind="model",
                measurer=Measurer(name="tabular-evaluation", version="1"),
                model=ev.ModelDescription(architecture="mlp/1", files=(FILE,)),
                dataset=DatasetReference(name="census-test", digest=ONE, schema_digest=TWO),
                configuration=CONFIGURATION,
                configuration_digest=Digest(sha256=configuration_digest(CONFIGURATION)),
                groups=(("sex",), ("sex", "race")),
                seed=ev.Seed(derivation="sha256(model||dataset||configuration)", value=TWO),
                metrics=(
                    ev.Metric(
                        name="accuracy",
                        samples=16_281,
                        value=0.8531,
                        interval=ev.Interval(
                            level=0.95, lower=0.8476, upper=0.8585, method="percentile-bootstrap", resamples=1000
                        ),
                        groups=("sex",),
                        slice={"sex": "Female", "race": "White"},
                        parameters={"class": 3, "radius": 0.5, "attack": "PGD", "targeted": False},
                    ),
                    ev.Metric(name="selection_rate", samples=0, value=0.0),
                    ev.Metric(name="auroc", samples=0, undefined="one class only"),
                ),
                environment=ENVIRONMENT,
                references=(
                    ev.Reference(role="baseline", kind="model", name="census-old", digest=ONE),
                    ev.Reference(role="train", kind="dataset", name="census-train", digest=TWO, schema_digest=ONE),
                ),
                plan=ev.PlanReference(digest=ONE),
            ),
        ),
        "inference": (
            nf.PREDICATE_TYPE,
            nf.Inference(
                kind="model",
                measurer=Measurer(name="inference", version="1"),
                model=ev.ModelDescription(architecture="mlp/1", files=(FILE,)),
                dataset=DatasetReference(name="census-test", digest=ONE, schema_digest=TWO),
                configuration=CONFIGURATION,
                configuration_digest=Digest(sha256=configuration_digest(CONFIGURATION)),
                records=nf.Tree(algorithm="rfc9162-sha256", size=2, root=ONE),
                environment=ENVIRONMENT,
            ),
        ),
        "model": (
            ml.PREDICATE_TYPE,
            Model(
                kind="model",
                measurer=Measurer(name="model-properties", version="1"),
                configuration=CONFIGURATION,
                configuration_digest=Digest(sha256=configuration_digest(CONFIGURATION)),
                files=(ml.InspectedFile(path="model.bin", digest=TWO, size=3, format="pickle"),),
                findings=(ml.Finding(path="model.bin", kind="pickle", severity="code", detail="imports os.system"),),
                severities={"code": 1, "unknown": 0, "notice": 0},
                weights=ml.Weights(
                    tensors=1,
                    elements=2,
                    bytes=8,
                    dtypes={"F32": 2},
                    statistics=ml.Statistics(
                        elements=2, zeros=0, non_finite=0, minimum=0.5, maximum=1.5, mean=1.25, deviation=0.5
                    ),
                    trainable=2,
                ),
                architecture=ml.Architecture(digest=ONE, name="tabular-mlp/1", source="model.json"),
                environment=ENVIRONMENT,
                tensors=(
                    ml.Tensor(
                        name="0.weight",
                        file="model.safetensors",
                        dtype="F32",
                        shape=(2, 1),
                        bytes=8,
                        statistics=ml.Statistics(elements=2, zeros=0, non_finite=2, undefined="no finite values"),
                    ),
                ),
            ),
        ),
        "training": (
            pv.PREDICATE_TYPE,
            Provenance(
                build_definition=pv.BuildDefinition(
                    build_type="https://lamslsa.dev/training/v1",
                    external_parameters=pv.ExternalParameters(
                        trainer=Measurer(name="tabular-mlp", version="1"),
                        configuration=CONFIGURATION,
                        datasets={"train": "census-train"},
                    ),
                    internal_parameters=pv.InternalParameters(environment=ENVIRONMENT),
                    resolved_dependencies=(
                        pv.Dependency(
                            name="census-train",
                            digest=ONE,
                            annotations=pv.DependencyAnnotations(kind="dataset", schema_digest=TWO, role="train"),
                        ),
                        pv.Dependency(
                            name="lamslsa",
                            uri="pkg:pypi/lamslsa@0.1.0",
                            digest=TWO,
                            annotations=pv.DependencyAnnotations(kind="package", installation="editable"),
                        ),
                    ),
                ),
                run_details=pv.RunDetails(
                    builder=pv.Builder(id="https://lamslsa.dev/enclave/0.1.0"),
                    byproducts=(
                        pv.Byproduct(name="model.safetensors", digest=ONE, annotations={"kind": "file"}),
                        pv.Byproduct(name="losses", digest=TWO, content="WzAuNV0=", media_type="application/json"),
                    ),
                ),
            ),
        ),
        "tee-evidence": (
            te.PREDICATE_TYPE,
            TeeEvidence(
                nonce="AAECAwQFBgcICQoLDA0ODw==",
                quote=te.Content(media_type=te.SGX_QUOTE_MEDIA_TYPE, content="AwACAA==", digest=ONE),
                device_evidence=(te.Content(media_type=te.NVIDIA_REPORT_MEDIA_TYPE, content="AAAA", digest=TWO),),
                event_log=te.Content(media_type=te.CCEL_MEDIA_TYPE, content="AAAA", digest=TWO),
                freshness=te.Content(media_type=te.BEACON_TIMESTAMP_MEDIA_TYPE, content="AAAA", digest=TWO),
                collateral=te.Content(media_type=te.COLLATERAL_MEDIA_TYPE, content="e30=", digest=ONE),
                quoted_at="2026-11-22T00:00:00Z",
            ),
        ),
        "reference-values": (
            rv.PREDICATE_TYPE,
            ReferenceValues(
                tee="sgx",
                measurement={
                    "mrEnclave": "11" * 32,
                    "mrSigner": "22" * 32,
                    "attributes": "0500000000000000e700000000000000",
                    "miscSelect": "00" * 4,
                    "configId": "00" * 64,
                },
                release="0.2.0",
                build=rv.EnclaveBuild(
                    name="measure",
                    source=ResourceDescriptor(uri="git+https://example.com/lamslsa@0123abcd", digest=ONE),
                    materials=(ResourceDescriptor(name="packages", digest=TWO),),
                    command="lamslsa enclave build measure",
                ),
                vouches_for=rv.MEASURE_VOUCHES,
                minimum_svns={"isvSvn": 3},
            ),
        ),
        "evaluation-plan": (
            ep.PREDICATE_TYPE,
            ep.EvaluationPlan(
                kind="dataset",
                dataset=DatasetReference(name="census-test", digest=ONE, schema_digest=TWO),
                measurer=Measurer(name="tabular-evaluation", version="1"),
                configuration=CONFIGURATION,
                configuration_digest=Digest(sha256=configuration_digest(CONFIGURATION)),
                model=ArtifactReference(name="census-mlp", digest=TWO),
                hypothesis="it is right for 84 of 100 people",
                thresholds="accuracy >= 0.84",
            ),
        ),
    }
)


@pytest.fixture
def full() -> MappingProxyType[str, tuple[str, Predicate]]:
    return FULL
