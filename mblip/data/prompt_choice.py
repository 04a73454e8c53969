"""Which prompts of rows are trained on, where it is not all of them: those of some tasks, languages and sources."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .example import PROMPT_COLUMNS, PROVENANCE
from .languages import get_language
from .prompts import get_task

CHOSEN_BY = ("tasks", "languages", "sources")  # columns of rows


@dataclass(frozen=True)
class PromptChoice:
    """Prompts of `tasks` that are in `languages` and come from `sources`; None takes any.

    Raises:
        ValueError: a task or a language is unknown, or there is none.
    """

    tasks: frozenset[str] | None = None
    languages: frozenset[str] | None = None
    sources: frozenset[str] | None = None

    def __post_init__(self) -> None:
        for name, chosen in self._chosen:
            if chosen is not None and not chosen:
                raise ValueError(f"`{name}` is empty, expected at least one; leave it out for all.")
        for task in self.tasks or ():
            get_task(task)
        for language in self.languages or ():
            get_language(language)

    def __str__(self) -> str:
        named = [f"the {name} {', '.join(sorted(chosen))}" for name, chosen in self._chosen if chosen is not None]
        return " in ".join(named) or "any"

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out."""
        return all(chosen is None for _, chosen in self._chosen)

    @property
    def _chosen(self) -> list[tuple[str, frozenset[str] | None]]:
        """What is chosen in the columns of `CHOSEN_BY`, in their order."""
        return list(zip(CHOSEN_BY, (self.tasks, self.languages, self.sources), strict=True))

    def positions(self, *columns: Iterable[str]) -> list[int]:
        """Where the chosen ones stand among prompts of these tasks, languages and sources."""
        wanted = [chosen for _, chosen in self._chosen]
        return [
            position
            for position, entries in enumerate(zip(*columns, strict=True))
            if all(chosen is None or entry in chosen for entry, chosen in zip(entries, wanted, strict=True))
        ]

    def of_row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The row with the chosen prompts alone, which may be none. One without the columns that choose, of which some
        others alone are read, stays as it is."""
        if self.is_all or not row.keys() >= set(CHOSEN_BY):
            return dict(row)
        positions = self.positions(*(row[column] for column in CHOSEN_BY))
        columns = [column for column in (*PROMPT_COLUMNS, PROVENANCE) if row.get(column) is not None]
        return {**row} | {column: _at(row[column], positions) for column in columns}


ALL_PROMPTS = PromptChoice()


def _at(entries: Sequence[Any], positions: Iterable[int]) -> list[Any]:
    return [entries[position] for position in positions]
