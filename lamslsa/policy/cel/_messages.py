"""The types of predicates for the checker: protobuf messages made at run time out of the wire models.

The wire models of `lamslsa.predicates` stay the one place that says which fields there are. Fields have the names that
they have on the wire. What is free-form JSON, or of several types, is ``dyn``, which is checked when it is evaluated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import inspect

__all__ = ["PACKAGE", "Messages"]

PACKAGE: Final = "lamslsa"
_STRUCT: Final = ".google.protobuf.Struct"
_VALUE: Final = ".google.protobuf.Value"


class Messages:
    """A file of messages that grows by the models that are added, each once.

    Attributes:
        fields: message to the names of its fields.
    """

    def __init__(self) -> None:
        from google.protobuf import descriptor_pb2

        self._kinds = descriptor_pb2.FieldDescriptorProto
        self._file = descriptor_pb2.FileDescriptorProto(
            name="lamslsa/expressions.proto",
            package=PACKAGE,
            syntax="proto3",
            dependency=["google/protobuf/struct.proto"],
        )
        self._names: dict[type, str] = {}
        self.fields: dict[str, tuple[str, ...]] = {}

    def add(self, *models: type[msgspec.Struct]) -> None:
        """The messages of wire models, and of all that they are made of."""
        for found in inspect.multi_type_info(models):
            if not isinstance(found, inspect.StructType):
                raise TypeError(f"expected a wire model, got {found}")
            self._add(found)

    def _add(self, kind: inspect.StructType) -> str:
        if kind.cls not in self._names:
            name = kind.cls.__name__.removesuffix("View")
            if name in self.fields:  # two predicates may have a part of the same name
                name = f"{kind.cls.__module__.rpartition('.')[2].title().replace('_', '')}{name}"
            self._names[kind.cls] = name
            self._message(name, {field.encode_name: field.type for field in kind.fields})
        return self._names[kind.cls]

    def _message(self, name: str, fields: Mapping[str, inspect.Type]) -> None:
        """A message with these fields."""
        self.fields[name] = tuple(fields)
        made = self._file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields.items(), start=1):
            repeated, inner = _repeated(kind)
            label = self._kinds.LABEL_REPEATED if repeated else self._kinds.LABEL_OPTIONAL
            if isinstance(inner, inspect.DictType) and not repeated and self._scalar(inner.value_type) is not None:
                entry = made.nested_type.add(name=f"{field[:1].upper()}{field[1:]}Entry")
                entry.options.map_entry = True
                entry.field.add(name="key", number=1, label=self._kinds.LABEL_OPTIONAL, type=self._kinds.TYPE_STRING)
                entry.field.add(
                    name="value", number=2, label=self._kinds.LABEL_OPTIONAL, type=self._scalar(inner.value_type)
                )
                made.field.add(
                    name=field,
                    number=number,
                    label=self._kinds.LABEL_REPEATED,
                    type=self._kinds.TYPE_MESSAGE,
                    type_name=f".{PACKAGE}.{name}.{entry.name}",
                )
            elif (scalar := self._scalar(inner)) is not None:
                made.field.add(name=field, number=number, label=label, type=scalar)
            else:
                made.field.add(
                    name=field,
                    number=number,
                    label=label,
                    type=self._kinds.TYPE_MESSAGE,
                    type_name=self._message_type(inner),
                )

    def pool(self) -> Any:
        """A descriptor pool with all of it."""
        from google.protobuf import descriptor_pb2, descriptor_pool, struct_pb2

        struct = descriptor_pb2.FileDescriptorProto()
        struct_pb2.DESCRIPTOR.CopyToProto(struct)
        made = descriptor_pool.DescriptorPool()
        made.Add(struct)
        made.Add(self._file)
        return made

    def _scalar(self, kind: inspect.Type) -> int | None:
        match _without_none(kind):
            case inspect.BoolType():
                found = self._kinds.TYPE_BOOL
            case inspect.IntType():
                found = self._kinds.TYPE_INT64
            case inspect.FloatType():
                found = self._kinds.TYPE_DOUBLE
            case inspect.StrType():
                found = self._kinds.TYPE_STRING
            case inspect.LiteralType(values=values) if all(isinstance(value, str) for value in values):
                found = self._kinds.TYPE_STRING
            case inspect.LiteralType(values=values) if all(isinstance(value, bool) for value in values):
                found = self._kinds.TYPE_BOOL
            case _:
                return None
        return int(found)

    def _message_type(self, kind: inspect.Type) -> str:
        if isinstance(kind, inspect.StructType):
            return f".{PACKAGE}.{self._add(kind)}"
        return _STRUCT if isinstance(kind, inspect.DictType) else _VALUE


def _without_none(kind: inspect.Type) -> inspect.Type:
    """The type of an optional field where it is there; a union of several types stays one."""
    if isinstance(kind, inspect.Metadata):
        return _without_none(kind.type)
    if isinstance(kind, inspect.UnionType):
        rest = [item for item in kind.types if not isinstance(item, inspect.NoneType)]
        if len(rest) == 1:
            return _without_none(rest[0])
    return kind


def _repeated(kind: inspect.Type) -> tuple[bool, inspect.Type]:
    """Whether a field is a list, and of what; lists of lists are lists of ``dyn``."""
    plain = _without_none(kind)
    if isinstance(plain, inspect.VarTupleType | inspect.ListType):
        return True, _without_none(plain.item_type)
    return False, plain
