"""Which prompts of rows are trained on, where it is not all of them: those of some tasks, in some languages."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .example import PROMPT_COLUMNS, PROVENANCE
from .languages import get_language
from .prompts import get_task


@dataclass(frozen=True)
class PromptChoice:
    """Prompts of `tasks` that are in `languages`; None takes any.

    Raises:
        ValueError: a task or a language is unknown, or there is none.
    """

    tasks: frozenset[str] | None = None
    languages: frozenset[str] | None = None

    def __post_init__(self) -> None:
        for name, chosen, check in (("tasks", self.tasks, get_task), ("languages", self.languages, get_language)):
            if chosen is not None and not chosen:
                raise ValueError(f"`{name}` is empty, expected at least one; leave it out for all.")
            for entry in chosen or ():
                check(entry)

    def __str__(self) -> str:
        parts = [("the tasks", self.tasks), ("the languages", self.languages)]
        return " in ".join(f"{what} {', '.join(sorted(names))}" for what, names in parts if names is not None) or "any"

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out."""
        return self.tasks is None and self.languages is None

    def positions(self, tasks: Iterable[str], languages: Iterable[str]) -> list[int]:
        """Where the chosen ones stand among prompts of these tasks and languages."""
        return [
            position
            for position, (task, language) in enumerate(zip(tasks, languages, strict=True))
            if (self.tasks is None or task in self.tasks) and (self.languages is None or language in self.languages)
        ]

    def of_row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The row with the chosen prompts alone, which may be none. One without tasks and languages, of which some
        columns alone are read, stays as it is."""
        if self.is_all or not {"tasks", "languages"} <= row.keys():
            return dict(row)
        positions = self.positions(row["tasks"], row["languages"])
        columns = [column for column in (*PROMPT_COLUMNS, PROVENANCE) if row.get(column) is not None]
        return {**row} | {column: _at(row[column], positions) for column in columns}


ALL_PROMPTS = PromptChoice()


def _at(entries: Sequence[Any], positions: Iterable[int]) -> list[Any]:
    return [entries[position] for position in positions]
