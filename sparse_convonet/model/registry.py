"""Which network a configuration means: from the name in `model.field` to a record and to a builder (docs/EXTENDING.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sparse_convonet.config.models import add_model_record, model_records
from sparse_convonet.model.network import OccupancyNetwork

Builder = Callable[[Any], OccupancyNetwork]

_builders: dict[type, Builder] = {}


def register_network(record: type, build: Builder) -> None:
    """Let configurations with the `field` of `record` mean the network that `build` makes of it.

    record: a frozen dataclass whose first entry is `field: Literal["name"] = "name"`.  build: from an instance of it to
    a network with random weights.  Raises ValueError for another record, and where the name is taken.
    """
    add_model_record(record)
    _builders[record] = build


def builder_of(config: Any) -> Builder:
    """The builder that was registered for the record of a configuration.  Raises ValueError where there is none."""
    try:
        return _builders[type(config)]
    except KeyError:
        known = ", ".join(kind.__name__ for kind in model_records())
        raise ValueError(
            f"model: expected one of {known}, found a {type(config).__name__}; register_network adds others"
        ) from None
