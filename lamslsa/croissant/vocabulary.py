"""The JSON-LD context of Croissant 1.0, as its specification gives it, and the words that both directions use."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

__all__ = [
    "CONFORMS_TO",
    "CONTEXT",
    "KNOWN_TERMS",
    "RAI_CONFORMS_TO",
    "RAI_PREFIX",
    "TYPES",
    "VERSIONS",
]

CONFORMS_TO: Final = "http://mlcommons.org/croissant/1.0"
RAI_CONFORMS_TO: Final = "http://mlcommons.org/croissant/RAI/1.0"
VERSIONS: Final = frozenset({CONFORMS_TO, "http://mlcommons.org/croissant/1.1"})
RAI_PREFIX: Final = "rai:"

_STANDARD: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "@language": "en",
        "@vocab": "https://schema.org/",
        "citeAs": "cr:citeAs",
        "column": "cr:column",
        "conformsTo": "dct:conformsTo",
        "cr": "http://mlcommons.org/croissant/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "data": {"@id": "cr:data", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "dct": "http://purl.org/dc/terms/",
        "equivalentProperty": "cr:equivalentProperty",
        "examples": {"@id": "cr:examples", "@type": "@json"},
        "extract": "cr:extract",
        "field": "cr:field",
        "fileProperty": "cr:fileProperty",
        "fileObject": "cr:fileObject",
        "fileSet": "cr:fileSet",
        "format": "cr:format",
        "includes": "cr:includes",
        "isLiveDataset": "cr:isLiveDataset",
        "jsonPath": "cr:jsonPath",
        "key": "cr:key",
        "md5": "cr:md5",
        "parentField": "cr:parentField",
        "path": "cr:path",
        "recordSet": "cr:recordSet",
        "references": "cr:references",
        "regex": "cr:regex",
        "repeated": "cr:repeated",
        "replace": "cr:replace",
        "samplingRate": "cr:samplingRate",
        "sc": "https://schema.org/",
        "separator": "cr:separator",
        "source": "cr:source",
        "subField": "cr:subField",
        "transform": "cr:transform",
    }
)

CONTEXT: Final[Mapping[str, Any]] = MappingProxyType(
    {
        **_STANDARD,
        "lamslsa": "https://lamslsa.dev/croissant/v1/",
        "measured": {"@id": "lamslsa:measured", "@type": "@json"},
        "readAs": {"@id": "lamslsa:readAs", "@type": "@json"},
    }
)

# What published documents hold beside the standard terms: those of Croissant 1.1, and older spellings of some.
KNOWN_TERMS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        **CONTEXT,
        "annotation": "cr:annotation",
        "arrayShape": "cr:arrayShape",
        "containedIn": "cr:containedIn",
        "dataBiases": "cr:dataBiases",
        "dataCollection": "cr:dataCollection",
        "description": {"@container": "@language"},
        "excludes": "cr:excludes",
        "isArray": "cr:isArray",
        "isEnumeration": "cr:isEnumeration",
        "name": {"@container": "@language"},
        "personalSensitiveInformation": "cr:personalSensitiveInformation",
        "sdVersion": "cr:sdVersion",
        "wd": "https://www.wikidata.org/wiki/",
    }
)

_NUMBERS: Final = ("sc:Float", "sc:Number", "cr:Float16", "cr:Float32", "cr:Float64")
_INTEGERS: Final = ("sc:Integer", *(f"cr:{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)))
_TEXTS: Final = ("sc:Text", "sc:URL", "sc:Date", "sc:DateTime", "sc:Time", "cr:Split")

TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(_NUMBERS, "number"),
        **dict.fromkeys(_INTEGERS, "integer"),
        **dict.fromkeys(_TEXTS, "string"),
        "sc:Boolean": "boolean",
    }
)
