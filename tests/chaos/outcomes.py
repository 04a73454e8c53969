"""What comes out of fuzz and chaos, counted by kind for the table at the end."""

from collections import Counter
from collections.abc import Callable
from typing import Any

EXPECTED = (ValueError, TypeError)
TRIED: dict[str, Counter[str]] = {}


def count(kind: str, outcome: str) -> None:
    """Count an outcome for the table at the end."""
    TRIED.setdefault(kind, Counter())[outcome] += 1


def attempted(kind: str, call: Callable[[], Any]) -> Any:
    """Call, and count what comes out under `kind`.

    Returns:
        The result, or the error if it is a ValueError or a TypeError. Any other error is raised.
    """
    outcome = "another error"
    try:
        result = call()
        outcome = "result"
    except EXPECTED as error:
        result, outcome = error, type(error).__name__
    finally:
        count(kind, outcome)
    return result
