"""Predicate ``https://lamslsa.dev/dataset/v1``: a datasheet. Normative text: predicates/dataset/v1/README.md."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from lamslsa.predicates._common import (
    ArtifactReference,
    Count,
    Digest,
    Environment,
    File,
    Measurer,
    WireModel,
)

__all__ = [
    "PREDICATE_TYPE",
    "RESPONSIBLE",
    "Anonymity",
    "Bin",
    "Cell",
    "Channel",
    "Column",
    "Conditional",
    "Dataset",
    "Declared",
    "Distribution",
    "Documents",
    "Drift",
    "Duplicates",
    "GivenCell",
    "Images",
    "KolmogorovSmirnov",
    "NearDuplicates",
    "NgramOverlap",
    "Overlap",
    "Pointer",
    "Quantile",
    "RowsBelow",
    "Sensitive",
    "Share",
    "Summary",
    "Withheld",
]

# http://mlcommons.org/croissant/RAI/1.0
RESPONSIBLE: Final = (
    "annotationsPerItem",
    "annotatorDemographics",
    "dataAnnotationAnalysis",
    "dataAnnotationPlatform",
    "dataAnnotationProtocol",
    "dataBiases",
    "dataCollection",
    "dataCollectionMissingData",
    "dataCollectionRawData",
    "dataCollectionTimeframe",
    "dataCollectionType",
    "dataImputationProtocol",
    "dataLimitations",
    "dataManipulationProtocol",
    "dataPreprocessingProtocol",
    "dataReleaseMaintenancePlan",
    "dataSocialImpact",
    "dataUseCases",
    "machineAnnotationTools",
    "personalSensitiveInformation",
)

PREDICATE_TYPE: Final = "https://lamslsa.dev/dataset/v1"

Value = str | int | float | bool | None
Pointer = Annotated[str, msgspec.Meta(pattern=r"\A(/[A-Za-z0-9]+)+\Z", max_length=256)]


class Column(WireModel, frozen=True, kw_only=True):
    """One column: ``missing`` rows hold the declared null token, ``distinct`` counts the other values.

    Both are absent only where they are withheld.
    """

    name: str
    type: str
    missing: Count | None = None
    distinct: Count | None = None


class Duplicates(WireModel, frozen=True, kw_only=True):
    """``rows`` that equal an earlier row in every column, label included."""

    rows: Count
    method: Literal["exact"]


class Cell(WireModel, frozen=True, kw_only=True):
    """How many rows hold exactly ``values``, in the order of the distribution's columns; null is missing."""

    values: tuple[Value, ...]
    count: Count


class Distribution(WireModel, frozen=True, kw_only=True):
    """Joint counts over one or more columns; the counts add up to ``samples``."""

    columns: tuple[str, ...]
    samples: Count
    cells: tuple[Cell, ...]


class Overlap(WireModel, frozen=True, kw_only=True):
    """Rows shared with another dataset, compared as typed tuples over ``columns`` (the label left out).

    Attributes:
        rows: rows of the subject whose tuple occurs in the other dataset.
        distinct: different tuples that occur in both.
    """

    dataset: ArtifactReference
    schema_digest: Digest
    columns: tuple[str, ...]
    samples: Count
    rows: Count
    distinct: Count


class GivenCell(WireModel, frozen=True, kw_only=True):
    """The rows that hold ``given`` in the conditioning columns, by what they hold in the others."""

    given: tuple[Value, ...]
    rows: Count
    cells: tuple[Cell, ...]


class Conditional(WireModel, frozen=True, kw_only=True):
    """Counts of ``columns`` among the rows of each combination of ``given``; shares and intervals are the reader's."""

    columns: tuple[str, ...]
    given: tuple[str, ...]
    samples: Count
    groups: tuple[GivenCell, ...]


class Quantile(WireModel, frozen=True, kw_only=True):
    """The smallest value that at least the share ``probability`` of the values does not exceed."""

    probability: float
    value: float


class Summary(WireModel, frozen=True, kw_only=True):
    """A column of numbers without what is missing.

    Attributes:
        deviation: the standard deviation, by the number of values (not one less).
        undefined: why something is absent.
    """

    column: str
    samples: Count
    missing: Count
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    deviation: float | None = None
    quantiles: tuple[Quantile, ...] = ()
    undefined: str | None = None


class RowsBelow(WireModel, frozen=True, kw_only=True):
    """Rows that share their quasi-identifiers with fewer than ``size`` rows, themselves included."""

    size: Count
    rows: Count


class Sensitive(WireModel, frozen=True, kw_only=True):
    """What the classes give away about one sensitive column.

    Attributes:
        distinct_diversity: fewest different values in a class.
        entropy_diversity: exp of the least entropy of a class (Machanavajjhala et al. 2007).
        entropy_counts: the rows by value of the class where the entropy is least, most frequent first.
        closeness: largest distance of a class from the whole table (Li et al. 2007).
        distance: between values: ``equal`` or ``ordered``.
    """

    column: str
    distinct_diversity: Count
    entropy_diversity: float
    entropy_counts: tuple[Count, ...]
    distance: Literal["equal", "ordered"]
    closeness: float | None = None
    undefined: str | None = None


class Anonymity(WireModel, frozen=True, kw_only=True):
    """Classes of rows with the same quasi-identifiers; ``smallest_class`` is the k of k-anonymity (Sweeney 2002)."""

    quasi_identifiers: tuple[str, ...]
    samples: Count
    classes: Count
    smallest_class: Count
    rows_below: tuple[RowsBelow, ...]
    sensitive: tuple[Sensitive, ...] = ()


class Bin(WireModel, frozen=True, kw_only=True):
    """Rows on both sides: of one value (``values`` holds it), or above the bin before and up to ``upper``.

    The last range has neither.
    """

    kind: Literal["value", "range", "missing"]
    rows: Count
    reference_rows: Count
    values: tuple[Value, ...] = ()
    upper: float | None = None


class KolmogorovSmirnov(WireModel, frozen=True, kw_only=True):
    """Two-sample, two-sided test over what is not missing; the p-value is asymptotic."""

    statistic: float
    p_value: float
    samples: Count
    reference_samples: Count
    method: Literal["asymptotic"]


class Drift(WireModel, frozen=True, kw_only=True):
    """How far a column is from the same column of a reference dataset."""

    reference: ArtifactReference
    schema_digest: Digest
    column: str
    samples: Count
    reference_samples: Count
    bins: tuple[Bin, ...]
    psi: float | None = None
    kolmogorov_smirnov: KolmogorovSmirnov | None = None
    undefined: str | None = None


class Share(WireModel, frozen=True, kw_only=True):
    """Whether a group has at least a share of the rows, and not how large the share is.

    Attributes:
        where: column to value; null is missing.
        by: ``count`` holds if rows of the group / ``samples`` >= ``at_least``; ``wilson`` if the lower end of the
            Wilson interval at ``confidence_level`` is.
    """

    where: dict[str, Value]
    at_least: float
    by: Literal["count", "wilson"]
    samples: Count
    holds: bool
    confidence_level: float | None = None


class Documents(WireModel, frozen=True, kw_only=True):
    """Size of a dataset of texts: Unicode code points, and words between white space."""

    documents: Count
    empty: Count
    characters: Count
    words: Count


class NearDuplicates(WireModel, frozen=True, kw_only=True):
    """Pairs of different documents whose shingles are alike: candidates by MinHash, each confirmed exactly.

    Attributes:
        column: of a table; absent for texts.
        samples: documents that have a shingle.
        distinct: different sets of shingles among them; pairs are pairs of these.
        candidates: pairs that the index proposed.
        pairs: those with a Jaccard similarity of at least the threshold, none counted wrongly.
        documents: documents that another document is a near or exact duplicate of.
        recall: least probability that the index proposes a pair at the threshold, over the choice of hash functions.
        seed: of the hash functions, derived from the dataset and the configuration.
    """

    samples: Count
    distinct: Count
    candidates: Count
    pairs: Count
    documents: Count
    threshold: float
    recall: float
    seed: Count
    column: str | None = None


class NgramOverlap(WireModel, frozen=True, kw_only=True):
    """Runs of ``n`` words that also occur in another dataset.

    Attributes:
        documents: documents with at least one such run.
        ngrams: different runs in the subject; ``shared`` of them occur in the other dataset.
        occurrences: runs in the subject, each as often as it occurs; ``shared_occurrences`` likewise.
    """

    dataset: ArtifactReference
    schema_digest: Digest
    n: Count
    samples: Count
    documents: Count
    ngrams: Count
    shared: Count
    occurrences: Count
    shared_occurrences: Count
    column: str | None = None
    other_column: str | None = None


class Channel(WireModel, frozen=True, kw_only=True):
    """Sums over all values, 0 to 255, of one channel; mean and deviation follow from them."""

    sum: Count
    sum_of_squares: Count
    mean: float
    deviation: float


class Images(WireModel, frozen=True, kw_only=True):
    """Shape and values of a dataset of images; ``pixels`` is how many each channel has in all images together."""

    height: Count
    width: Count
    pixels: Count
    channels: tuple[Channel, ...]


class Withheld(WireModel, frozen=True, kw_only=True):
    """A value that was measured and is kept back.

    Attributes:
        pointer: where in the predicate it would stand (RFC 6901).
        commitment: SHA-256 over a salt of 32 random bytes and the RFC 8785 form of the value.
    """

    pointer: Pointer
    commitment: Digest | None = None


class Declared(WireModel, frozen=True, kw_only=True):
    """What the owner says and nobody measured.

    Attributes:
        responsible: by property of Croissant's vocabulary for responsible AI, such as ``dataBiases``.
    """

    license: str | None = None
    source: str | None = None
    description: str | None = None
    responsible: dict[str, str] | None = None


class Dataset(WireModel, frozen=True, kw_only=True):
    """The datasheet of the subject.

    Attributes:
        schema: how bytes became rows: format, skipped lines, columns and types, null token, label map.
        schema_digest: SHA-256 over the RFC 8785 form of ``schema``; evaluations and trainings repeat it.
        configuration: everything that was asked for: which columns are groups, which datasets were compared, how.
        rows: rows, documents or images.
        withheld: what is kept back; what is neither here nor there was not measured.
    """

    kind: Literal["dataset"]
    measurer: Measurer
    schema: dict[str, Any]
    schema_digest: Digest
    configuration: dict[str, Any]
    files: tuple[File, ...]
    rows: Count
    columns: tuple[Column, ...]
    distributions: tuple[Distribution, ...]
    environment: Environment
    duplicates: Duplicates | None = None
    label_balance: Distribution | None = None
    overlaps: tuple[Overlap, ...] = ()
    conditional: tuple[Conditional, ...] = ()
    summaries: tuple[Summary, ...] = ()
    anonymity: tuple[Anonymity, ...] = ()
    drift: tuple[Drift, ...] = ()
    shares: tuple[Share, ...] = ()
    documents: Documents | None = None
    near_duplicates: tuple[NearDuplicates, ...] = ()
    ngram_overlap: tuple[NgramOverlap, ...] = ()
    images: Images | None = None
    withheld: tuple[Withheld, ...] = ()
    declared: Declared | None = None
