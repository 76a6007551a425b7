"""What a column has of a value, and a contract model made of a row.

Written once for every actor: a model is stored as its JSON, a list too; a time as Unix milliseconds, an enum as its
value. So a turn is given values as the contracts have them, and a row becomes the model whose fields its columns name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from functools import lru_cache
from types import NoneType
from typing import Any, TypeVar, cast, get_args, get_origin, overload

from pydantic import TypeAdapter
from sqlalchemy import Row

from foundry.contracts.messages import Model, millis, utc

AnyRow = Row[*tuple[Any, ...]]
M = TypeVar("M", bound=Model)


@overload
def from_row(model: type[M], row: AnyRow, **others: object) -> M: ...
@overload
def from_row(model: type[M], row: AnyRow | None, **others: object) -> M | None: ...
def from_row(model: type[M], row: AnyRow | None, **others: object) -> M | None:
    """The model whose fields are the row's columns of the same names; None if there is no row.

    Args:
        others: the fields that are not columns, or are not stored as they are shown. An empty text is no value.
    """
    if row is None:
        return None
    found, values = dict(others), row._mapping  # pyright: ignore[reportPrivateUsage]: SQLAlchemy documents it
    for name, read in _fields(model):
        if name not in found and name in values:
            value = values[name]
            found[name] = value if read is None else read(value) if value not in (None, "") else None
    return model(**found)


@lru_cache(maxsize=256)
def _fields(model: type[Model]) -> list[tuple[str, Callable[[Any], object] | None]]:
    """A model's fields, and how each is read from a column; None: as it is."""
    return [(name, _reads(field.annotation)) for name, field in model.model_fields.items()]


def _reads(annotation: object) -> Callable[[Any], object] | None:
    given = [one for one in get_args(annotation) if one is not NoneType]
    kind = given[0] if len(given) == 1 and get_origin(annotation) is not list else annotation
    if kind is datetime:
        return utc
    if get_origin(kind) is list:
        return TypeAdapter(cast(Any, kind)).validate_json
    if isinstance(kind, type) and issubclass(kind, Model):
        return kind.model_validate_json
    return kind if isinstance(kind, type) and issubclass(kind, Enum) else None


def columns(values: Mapping[str, object]) -> dict[str, object]:
    """The values as their columns have them."""
    return {name: _stored(value) for name, value in values.items()}


def _stored(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Model):
        return value.model_dump_json()
    if isinstance(value, datetime):
        return millis(value)
    return json.dumps(value) if isinstance(value, list) else value
