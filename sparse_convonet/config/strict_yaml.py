"""Strict YAML into frozen dataclasses: what the schema does not know is an error that names key and file.

A file may name a parent with `inherit_from: relative/path.yaml`; its own keys win, section by section.
The dataclasses are the schema: nested dataclasses are sections, a field without a default is required.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import reprlib
import types
import typing
from collections.abc import Hashable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

INHERIT_KEY = "inherit_from"
KINDS = "kinds"  # in the metadata of a dataclass field: a function from the value in the file to its type
_LONGEST_SHOWN = 300
_LARGEST_NUMBER = 1 << 63
_MAX_BYTES = 16 << 20
# What the safe loader raises for values that are not what their tag or form says.
_CONSTRUCTION_ERRORS = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
_REPR = reprlib.Repr()
_REPR.maxlist = _REPR.maxtuple = _REPR.maxdict = 8
_REPR.maxstring = _REPR.maxother = 80

Record = TypeVar("Record")
Values = dict[str, Any]  # nested sections, as YAML gives them
Sources = dict[str, str]  # for each dotted key the file or the override that set it last


def read_record(record: type[Record], path: Path | str, overrides: Iterable[str] = ()) -> Record:
    """An instance of the dataclass `record` from a YAML file, its ancestors and texts like "training.steps=100".

    Raises ValueError for unknown, missing, repeated or wrongly typed keys, OSError when the file cannot be read.
    """
    values, sources = _read_with_ancestors(Path(path), ())
    for override in overrides:
        _apply_override(values, sources, override)
    return _build(record, values, "", sources, str(path))


def record_from_mapping(record: type[Record], values: Mapping[str, Any], source: str) -> Record:
    """As `read_record`, from nested plain values; `source` names their origin in errors."""
    return _build(record, dict(values), "", {}, source)


def record_to_mapping(record: Any) -> Values:
    """A dataclass instance as nested dicts, lists and plain values, every default written out."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(entry) for key, entry in value.items()}
        return [plain(entry) for entry in value] if isinstance(value, tuple) else value

    return {key: plain(value) for key, value in dataclasses.asdict(record).items()}


class _UniqueKeyLoader(yaml.SafeLoader):
    """The safe loader, but a key that stands twice in one section is an error: the first would be lost.

    So is an alias: a few lines of them stand for more than any memory holds.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.MarkedYAMLError(problem="an alias (*name), write its content out", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode):
                if key_node.value in seen:
                    raise yaml.MarkedYAMLError(problem=f"key {key_node.value} twice", problem_mark=key_node.start_mark)
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def parse_yaml(text: str, source: str) -> Any:
    """The plain content of a YAML text without aliases.  Raises ValueError, in one sentence that begins with `source`."""
    try:
        loader = _UniqueKeyLoader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise ValueError(f"{source}: not valid YAML: {_shown(error)}") from error
    except _CONSTRUCTION_ERRORS as error:  # of values that do not fit their tag, or sections within sections
        raise ValueError(f"{source}: not valid YAML: {type(error).__name__} in one of its values") from error


def _quoted(value: object) -> str:
    """As repr() gives it, but short."""
    try:
        return _shown(repr(value[:100]) if isinstance(value, str) else _REPR.repr(value))
    except ValueError:  # a whole number of thousands of digits
        return f"a {type(value).__name__} that is too large to show"


def _shown(value: object, longest: int = _LONGEST_SHOWN) -> str:
    """What a file holds, fit for a sentence: one line of letters that a terminal shows, not too long."""
    text = str(value) if isinstance(value, str | Exception) else _quoted(value)
    words = " ".join(text[: 8 * longest].split())[:longest]
    return "".join(letter if letter.isprintable() else "?" for letter in words)


def _read_with_ancestors(path: Path, descendants: tuple[Path, ...]) -> tuple[Values, Sources]:
    path = path.resolve()
    if path.is_file() and path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"{path}: expected a configuration, found {path.stat().st_size} bytes; check the file")
    if path in descendants:
        raise ValueError(f"{path}: {INHERIT_KEY} leads back to this file; remove one link of the circle")
    try:
        values = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not valid YAML: it is not UTF-8 text") from error
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected `key: value` lines, found a {type(values).__name__}")
    parent = values.pop(INHERIT_KEY, None)
    merged: Values = {}
    sources: Sources = {}
    if parent is not None:
        if not isinstance(parent, str) or not _is_file(path.parent / parent):
            raise ValueError(
                f"{path}: {INHERIT_KEY}: expected the path of a file relative to this one, found {_quoted(parent)}"
            )
        merged, sources = _read_with_ancestors(path.parent / parent, (*descendants, path))
    _merge(merged, values, "", sources, str(path))
    return merged, sources


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _merge(target: Values, values: Mapping[Any, Any], prefix: str, sources: Sources, source: str) -> None:
    for name, value in values.items():
        key = f"{prefix}{name}"
        sources[key] = source
        if isinstance(value, dict) and isinstance(target.get(name), dict):
            _merge(target[name], value, f"{key}.", sources, source)
        else:
            target[name] = value
            for inner in value if isinstance(value, dict) else ():
                sources[f"{key}.{inner}"] = source


def _apply_override(values: Values, sources: Sources, override: str) -> None:
    key, separator, text = override.partition("=")
    names = key.strip().split(".")
    if not separator or not all(names):
        raise ValueError(f"--set {override}: expected section.key=value, for example training.steps=100")
    nested = parse_yaml(text, f"--set {override}")
    for name in reversed(names):
        nested = {name: nested}
    _merge(values, nested, "", sources, f"--set {override}")


@cache
def _schema(record: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(record)
    return {entry.name: hints[entry.name] for entry in dataclasses.fields(record)}


def _build(record: type[Record], values: Values, prefix: str, sources: Sources, source: str) -> Record:
    """An instance of the dataclass `record` from YAML `values`; `prefix` is its dotted key with a final dot."""
    schema = _schema(typing.cast(Hashable, record))
    for name in values:
        if name not in schema:
            near = difflib.get_close_matches(_shown(name, 80), schema, n=1)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"known keys: {', '.join(schema)}"
            raise ValueError(
                f"{sources.get(f'{prefix}{name}', source)}: unknown key {prefix}{_shown(name, 80)}; {hint}"
            )
    for entry in dataclasses.fields(record):  # type: ignore[arg-type]
        required = entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING
        if required and entry.name not in values:
            raise ValueError(f"{source}: missing key {prefix}{entry.name}; add it")
    entries = {entry.name: entry for entry in dataclasses.fields(record)}  # type: ignore[arg-type]
    kinds = {name: _kind_of(entries[name], schema[name], value) for name, value in values.items()}
    return record(
        **{name: _convert(kinds[name], value, f"{prefix}{name}", sources, source) for name, value in values.items()}
    )


def _kind_of(entry: dataclasses.Field[Any], annotation: Any, value: Any) -> Any:
    """What a value is read as: the annotation, or what the field's own table says where more may be registered."""
    return entry.metadata[KINDS](value) if KINDS in entry.metadata else annotation


def _convert(kind: Any, value: Any, key: str, sources: Sources, source: str) -> Any:
    """`value` as the annotated type `kind`; raises ValueError where it is something else."""
    where = sources.get(key, source)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if isinstance(value, dict):
            return _build(kind, value, f"{key}.", sources, where)
        expected = f"the keys of a section ({', '.join(_schema(kind))})"
    elif origin is types.UnionType:
        if value is None and types.NoneType in arguments:
            return None
        others = [each for each in arguments if each is not types.NoneType]
        chosen = others[0] if len(others) == 1 else _choose_record(others, value, key, sources, source)
        return _convert(chosen, value, key, sources, source)
    elif origin is Literal:
        if value in arguments:
            return value
        near = difflib.get_close_matches(_shown(value, 80), arguments, n=1)
        expected = f"one of {', '.join(arguments)}" + (f" (did you mean {near[0]}?)" if near else "")
    elif origin is tuple:
        repeated = arguments[-1] is Ellipsis
        if isinstance(value, list | tuple) and (repeated or len(value) == len(arguments)):
            kinds = [arguments[0]] * len(value) if repeated else arguments
            pairs = zip(kinds, value, strict=True)
            return tuple(_convert(each, entry, key, sources, source) for each, entry in pairs)
        expected = f"a list of {arguments[0].__name__}" if repeated else f"a list of {len(arguments)} numbers"
    elif kind is float:
        number = _as_float(value)
        if number is not None:
            return number
        expected = "a finite number"
    else:
        is_large = isinstance(value, int) and abs(value) >= _LARGEST_NUMBER
        if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)) and not is_large:
            return value
        expected = {int: "a whole number", bool: "true or false", str: "a text"}[kind]
    raise ValueError(f"{where}: {key}: expected {expected}, found {_quoted(value)}")


def _choose_record(kinds: list[Any], value: Any, key: str, sources: Sources, source: str) -> Any:
    """Which of several records a section means: their first entry is a Literal that tells them apart; the first
    record is meant where a section does not say."""
    name = dataclasses.fields(kinds[0])[0].name
    by_name = {typing.get_args(_schema(kind)[name])[0]: kind for kind in kinds}
    if not isinstance(value, dict) or name not in value:
        return kinds[0]
    if isinstance(value[name], str) and value[name] in by_name:
        return by_name[value[name]]
    near = difflib.get_close_matches(_shown(value[name], 80), by_name, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    where = sources.get(f"{key}.{name}", source)
    raise ValueError(f"{where}: {key}.{name}: expected one of {', '.join(by_name)}{hint}, found {_quoted(value[name])}")


def _as_float(value: Any) -> float | None:
    """A finite float, also from texts such as 1e-3, which YAML 1.1 does not take for a number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
