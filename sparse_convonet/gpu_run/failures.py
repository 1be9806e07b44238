"""How a part in a process of its own tells why it failed: as a value, since its stderr goes to the screen."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec

from sparse_convonet.runtime.isolated import call_isolated

Parameters = ParamSpec("Parameters")
_ERROR = "error"


def telling(function: Callable[Parameters, dict[str, Any]]) -> Callable[Parameters, dict[str, Any]]:
    """The function, with what it cannot do (ValueError, OSError, RuntimeError) as a value for `call_told`."""

    @functools.wraps(function)
    def told(*arguments: Parameters.args, **named: Parameters.kwargs) -> dict[str, Any]:
        try:
            return function(*arguments, **named)
        except (ValueError, OSError, RuntimeError) as failure:  # torch and CUDA fail with RuntimeError
            return {_ERROR: first_line(failure)}

    return told


def call_told(
    function: Callable[..., dict[str, Any]],
    arguments: Mapping[str, Any],
    environment: Mapping[str, str] | None = None,
    *,
    seconds: float,
) -> dict[str, Any]:
    """Call a function made `telling` in a process of its own, with what it logs on the screen.

    Raises RuntimeError with the sentence of its failure, and OverBudgetError after `seconds`.
    """
    try:
        found = call_isolated(function, arguments, environment, seconds=seconds, show=True).result
    except RuntimeError as failure:
        head, code, _ = str(failure).partition(": exit code ")
        if not code:
            raise
        raise RuntimeError(f"{function.__name__}: its process ended early; what it said stands above") from failure
    if _ERROR in found:
        raise RuntimeError(found[_ERROR])
    return found


def first_line(failure: Exception) -> str:
    """The message without what torch and CUDA add in further lines."""
    lines = [line.strip() for line in str(failure).splitlines() if line.strip()]
    return lines[0] if lines else type(failure).__name__
