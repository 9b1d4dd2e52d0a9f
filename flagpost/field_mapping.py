"""How a sender names the fields of a transaction, read from a TOML file."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from flagpost.errors import BadConfiguration
from flagpost.event_keys import MAX_ID_CHARACTERS

READ_FIELDS: Mapping[str, Any] = MappingProxyType(
    {
        "transaction_id": str | int,
        "timestamp": str | int | float,
        "user_id": str | int,
        "amount": float,
        "terminal_id": str | int | None,
        "account_balance": float | None,
        "type": Literal["transaction"] | None,
    }
)
"""What is read of a transaction, with its types; those that may be None may be absent."""

REQUIRED_FIELDS = ("transaction_id", "timestamp", "user_id", "amount")

DESCRIPTIVE_FIELDS = (
    "currency",
    "transaction_type",
    "merchant_category",
    "location",
    "location_distance_km",
    "is_online",
)
"""Fields that a transaction may carry and nothing reads yet."""

CONSTANT_FIELDS = ("user_id", "terminal_id")
"""What a source may lack altogether; every other field differs from transaction to transaction."""


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """The sender's names, and the values of fields that the sender does not have.

    Attributes:
        source_names: our name to the sender's name, where they differ.
        constants: our name to the value for every message; the message itself is not asked.
    """

    source_names: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)

    def source_name(self, name: str) -> str:
        """Give the sender's name of a field."""
        return self.source_names.get(name, name)


AS_DESIGNED = FieldMapping()
"""The mapping of messages that name their fields as Flagpost does."""


def struct_of(mapping: FieldMapping, names: tuple[str, ...] = tuple(READ_FIELDS)) -> type[Any]:
    """Build the class that msgspec decodes a message to.

    Renames and constants are compiled into it and cost nothing; other fields are skipped.
    """
    fields: list[Any] = [
        (name, READ_FIELDS[name], *(() if name in REQUIRED_FIELDS else (None,)))
        for name in names
        if name not in mapping.constants
    ]
    return msgspec.defstruct(
        "Transaction",
        fields,
        rename={name: mapping.source_name(name) for name in names},
        namespace={name: mapping.constants[name] for name in names if name in mapping.constants},
        gc=False,
    )


def load_mapping(path: Path | None) -> FieldMapping:
    """Read a mapping file; without one, messages name their fields as Flagpost does.

    Raises:
        BadConfiguration: the file cannot be read or maps what cannot be mapped; the message names
            the file, the key and the fix.
    """
    if path is None:
        return AS_DESIGNED
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadConfiguration(f"mapping {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise BadConfiguration(f"mapping {path} is not TOML in UTF-8: {error}") from error
    try:
        return _to_mapping(tables)
    except BadConfiguration as error:
        raise BadConfiguration(f"mapping {path}: {error}") from None


def _to_mapping(tables: dict[str, Any]) -> FieldMapping:
    _require_known("table", tables, ("fields", "constants"))
    mapping = FieldMapping(_texts(tables, "fields"), _texts(tables, "constants"))
    _require_known("field", mapping.source_names, (*READ_FIELDS, *DESCRIPTIVE_FIELDS))
    _require_known("field", mapping.constants, (*READ_FIELDS, *DESCRIPTIVE_FIELDS))
    _require_replaceable(mapping)
    _require_distinct_sources(mapping)
    return mapping


def _texts(tables: dict[str, Any], table: str) -> dict[str, str]:
    entries = tables.get(table, {})
    if not isinstance(entries, dict):
        raise BadConfiguration(f"{table} must be a table; write [{table}] above its entries")
    for name, text in entries.items():
        if not isinstance(text, str) or not 0 < len(text) <= MAX_ID_CHARACTERS or "\0" in text:
            raise BadConfiguration(
                f"[{table}] {name} must be a text of 1 to {MAX_ID_CHARACTERS} characters, "
                f'such as {name} = "..."'
            )
    return entries


def _require_known(kind: str, names: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in names:
        if name not in known:
            similar = get_close_matches(name, known, n=1)
            hint = f"did you mean {similar[0]}?" if similar else f"use one of {', '.join(known)}"
            raise BadConfiguration(f"{name} is no {kind} of a mapping; {hint}")


def _require_replaceable(mapping: FieldMapping) -> None:
    for name in mapping.constants:
        if name not in CONSTANT_FIELDS:
            raise BadConfiguration(
                f"[constants] {name} cannot be the same in every message; "
                f"name the sender's field in [fields] (only {' and '.join(CONSTANT_FIELDS)} can)"
            )
        if name in mapping.source_names:
            raise BadConfiguration(f"{name} is in [fields] and in [constants]; keep one of them")


def _require_distinct_sources(mapping: FieldMapping) -> None:
    readers: dict[str, str] = {}
    for name in READ_FIELDS:
        if name in mapping.constants:
            continue
        source = mapping.source_name(name)
        if source in readers:
            raise BadConfiguration(
                f'{readers[source]} and {name} are both read from "{source}"; '
                "give one of them another name in [fields]"
            )
        readers[source] = name
