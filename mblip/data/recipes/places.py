"""Recipes as they may be shown to others: without the places of a machine."""

from pathlib import PurePath
from typing import Any


def without_places(value: Any) -> Any:
    """Values without the machine's folders: others cannot use them, and need not know them."""
    if isinstance(value, dict):
        return {key: without_places(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [without_places(entry) for entry in value]
    return without_place(value) if isinstance(value, str) else value


def without_place(name: str) -> str:
    """A path of this machine by its last part; anything else as it is."""
    is_elsewhere = PurePath(name).is_absolute() or name.startswith(("..", "~"))
    return PurePath(name).name if is_elsewhere else name
