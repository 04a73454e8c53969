"""Decoding settings: greedy or with beams, never sampling, so that scores are reproducible."""

from dataclasses import dataclass, fields, replace
from typing import Any

from mblip.data.recipes.ranges import Count, CountOrZero, Positive


@dataclass(frozen=True)
class GenerationSettings:
    """Arguments of transformers' `generate`. `length_penalty` has an effect with several beams only."""

    max_new_tokens: int
    num_beams: int = 1
    length_penalty: float = 1.0
    repetition_penalty: float = 1.0
    min_new_tokens: int = 0

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of `generate`."""
        arguments: dict[str, Any] = {
            "max_new_tokens": self.max_new_tokens,
            "num_beams": self.num_beams,
            "do_sample": False,
        }
        if self.num_beams > 1:
            arguments["length_penalty"] = self.length_penalty
        if self.repetition_penalty != 1.0:
            arguments["repetition_penalty"] = self.repetition_penalty
        if self.min_new_tokens:
            arguments["min_new_tokens"] = self.min_new_tokens
        return arguments

    def __str__(self) -> str:
        search = "greedy search" if self.num_beams == 1 else f"{self.num_beams} beams"
        penalties = [f"length penalty {self.length_penalty:g}"] if self.num_beams > 1 else []
        penalties += [f"repetition penalty {self.repetition_penalty:g}"] if self.repetition_penalty != 1.0 else []
        least = f"{self.min_new_tokens} to " if self.min_new_tokens else "at most "
        return ", ".join([search, f"{least}{self.max_new_tokens} new tokens", *penalties])


@dataclass(frozen=True)
class GenerationChanges:
    """A recipe's changes to the settings of a task. None keeps the task's value."""

    max_new_tokens: Count | None = None
    num_beams: Count | None = None
    length_penalty: float | None = None
    repetition_penalty: Positive | None = None
    min_new_tokens: CountOrZero | None = None

    def applied_to(self, settings: GenerationSettings) -> GenerationSettings:
        """The task's settings with these changes."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(settings, **{name: value for name, value in given.items() if value is not None})
