"""The language that each English example is translated into.

`Allocation` turns a recipe's settings into a share for every language: mC4's shares, flattened, half English, with a
floor for each language, and so on. It draws an example's language by (seed, source, id) alone. Adding a source or an
example changes no other draw, and every process draws the same. `allocation_table` and `write_chart` show what a mix
holds, before any translation is paid for and afterwards.

The original drew by mC4's shares, which left 19 languages with fewer than 100 of its 2.27 million web captions.
Centurio (arXiv 2501.05122) found about half English and a uniform rest to be better.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from mblip.data.example import Example
from mblip.data.languages import ENGLISH, LANGUAGES, get_language
from mblip.data.prompts import get_task
from mblip.data.recipes.ranges import Count, Seed
from mblip.data.stable_random import stable_number

Counts = Mapping[tuple[str, str], int]  # (language, task) -> number of examples

ENGLISH_SHARES: Mapping[str, float] = MappingProxyType({"vqa": 0.5})  # by task, regardless of the allocation
FLOOR_SIGMAS = 5  # a language falls below its floor with a probability of less than one in a million


@dataclass(frozen=True)
class Allocation:
    """The shares of languages, and the draw of an example's language.

    An example keeps its language if it is not English, already has its prompt, or has a task without translated parts.
    Half of the answers of `vqa` stay English regardless of the shares, as in the original.

    Args:
        kind: the initial shares: mC4's, those that mT5 was trained with, or equal ones.
        seed: for the draws.
        temperature: the exponent that flattens the shares; they are then renormalised. 1 keeps them, 0.3 is mT5's
            value, and near 0 makes them equal.
        english_share: the exact share of English. The other languages share the rest.
        floor: the least that every language gets, taken from the others in proportion. A float is a share. An int is a
            number of examples and needs `num_examples`. Each example is drawn independently, so the share for an int
            is large enough that the draws do not fall below it.
        num_examples: how many examples will be allotted.
        languages: the codes to allot to.
        as_released: the original's way, mC4's unchanged shares. It excludes all other settings.
    Raises:
        ValueError: an argument is out of range, or the floor is too high for the other languages. The message says
            what is possible.
    """

    kind: Literal["mc4", "mt5", "uniform"]
    seed: Seed = 0
    temperature: float | None = None
    english_share: float | None = None
    floor: float | int = 0
    num_examples: Count | None = None
    languages: tuple[str, ...] = field(default_factory=lambda: tuple(LANGUAGES))
    as_released: bool = False

    def __post_init__(self) -> None:
        if self.kind not in ("mc4", "mt5", "uniform"):
            raise ValueError(f"Found the kind of allocation {self.kind!r}, expected mc4, mt5 or uniform.")
        if self.temperature is not None and not 0 < self.temperature <= 1:
            raise ValueError(f"Found the temperature {self.temperature}, expected an exponent above 0, at most 1.")
        if self.english_share is not None and not 0 <= self.english_share <= 1:
            raise ValueError(f"Found english_share {self.english_share}, expected a share from 0 to 1.")
        changed = (self.temperature, self.english_share, self.floor or None)
        if self.as_released and (self.kind != "mc4" or changed != (None, None, None)):
            raise ValueError("as_released uses mC4's shares unchanged. Remove temperature, english_share and floor.")
        self._check_languages()
        assert math.isclose(sum(self.shares.values()), 1)

    def _check_languages(self) -> None:
        for code in self.languages:
            get_language(code)
        if len(set(self.languages)) != len(self.languages) or not self.languages:
            raise ValueError(f"Found the languages {self.languages}, expected at least one, each once.")
        if self.english_share is not None and (ENGLISH not in self.languages or self.languages == (ENGLISH,)):
            raise ValueError(f"english_share is {self.english_share}, but languages has not both English and others.")

    @cached_property
    def shares(self) -> Mapping[str, float]:
        """The share of every language; they sum to 1."""
        shares = _normalised({code: self._begin_with(code) for code in self.languages})
        if self.english_share is None:
            return _with_floor(shares, self.floor_share)
        return self._with_english(shares, self.english_share)

    @property
    def floor_share(self) -> float:
        """The floor as a share. Raises ValueError if it counts examples and their number is unknown."""
        if self.floor < 0 or isinstance(self.floor, bool) or math.isnan(self.floor):
            raise ValueError(f"Found the floor {self.floor}, expected a share or a number of examples, not below 0.")
        if isinstance(self.floor, float) or self.floor == 0:
            return float(self.floor)
        if not self.num_examples or self.num_examples < 0:
            raise ValueError(
                f"The floor is {self.floor} examples per language, but num_examples is {self.num_examples}. "
                "Set num_examples, or give the floor as a share (0.001)."
            )
        # Of m expected draws, at least m - 5 sqrt(m) come. Solve for the m that gives the floor.
        root = (FLOOR_SIGMAS + math.sqrt(FLOOR_SIGMAS**2 + 4 * self.floor)) / 2
        return root**2 / self.num_examples

    def _begin_with(self, code: str) -> float:
        language = LANGUAGES[code]
        share = {"mc4": language.mc4_share_percent, "mt5": language.mt5_share_percent, "uniform": 1.0}[self.kind]
        return share if self.temperature is None else share**self.temperature

    def _with_english(self, shares: Mapping[str, float], english_share: float) -> dict[str, float]:
        """English at exactly `english_share`, and the others with their floor in the rest."""
        rest = 1 - english_share
        others = _normalised({code: share for code, share in shares.items() if code != ENGLISH})
        if rest:
            others = _with_floor(others, self.floor_share / rest)
        elif self.floor:
            raise ValueError(f"The floor is {self.floor}, but english_share 1 leaves nothing for the other languages.")
        if english_share < self.floor_share:
            raise ValueError(f"The floor, a share of {self.floor_share:.4g}, is above english_share {english_share}.")
        return {code: english_share if code == ENGLISH else others[code] * rest for code in shares}

    def allot(self, example: Example) -> str:
        """The language to translate an example into; its own if nothing is translated."""
        if example.language != ENGLISH or example.prompt or not get_task(example.task).translated:
            return example.language
        return self.draw(example.source, example.id, example.task)

    def draw(self, source: str, example_id: str, task: str) -> str:
        """The language of an English example of a translated task, for callers that have no texts yet."""
        codes, bounds = self._bounds[task] if task in self._bounds else self._bounds[""]
        return codes[bisect_right(bounds, stable_number(self.seed, "language", source, example_id))]

    @cached_property
    def _bounds(self) -> Mapping[str, tuple[Sequence[str], Sequence[float]]]:
        """Codes and cumulative shares, for each task with its own English share, and for all others ("").

        The bounds are rounded, so that they are equal on machines whose powers differ in the last digit. The last
        bound is omitted: a draw above all bounds means the last language.
        """
        by_task = {"": dict(self.shares)}
        if ENGLISH in self.languages and len(self.languages) > 1 and self.shares[ENGLISH] < 1:
            for task, english_share in ENGLISH_SHARES.items():
                scale = (1 - english_share) / (1 - self.shares[ENGLISH])
                shares = {code: share * scale for code, share in self.shares.items()}
                by_task[task] = shares | {ENGLISH: english_share}
        return {
            task: (tuple(shares), tuple(round(end, 12) for end in accumulate(shares.values()))[:-1])
            for task, shares in by_task.items()
        }


def _normalised(shares: Mapping[str, float]) -> dict[str, float]:
    total = sum(shares.values())
    return {code: share / total for code, share in shares.items()}


def _with_floor(shares: Mapping[str, float], floor: float) -> dict[str, float]:
    """The shares with none below `floor`. The others pay for it in proportion."""
    if floor * len(shares) > 1 + 1e-9:
        raise ValueError(
            f"The floor gives each of {len(shares)} languages a share of {floor:.4g}, more than there is: "
            f"at most {1 / len(shares):.4g} each. Lower the floor, or allot to fewer languages."
        )
    lifted: set[str] = set()
    while True:
        rest = sum(share for code, share in shares.items() if code not in lifted)
        scale = (1 - floor * len(lifted)) / rest if rest else 0.0
        below = {code for code, share in shares.items() if code not in lifted and share * scale < floor}
        if not below:
            return {code: floor if code in lifted else share * scale for code, share in shares.items()}
        lifted |= below


def allocation_table(counts: Counts) -> str:
    """A Markdown table: a row per language, most examples first, a column per task, and the totals."""
    tasks = sorted({task for _, task in counts})
    by_language = _totals(counts)
    rows = [["language", *tasks, "total"], ["---", *["---:"] * (len(tasks) + 1)]]
    for code, total in by_language.items():
        name = f"{LANGUAGES[code].name} ({code})"
        rows.append([name, *(f"{counts.get((code, task), 0):,}" for task in tasks), f"{total:,}"])
    sums = [sum(count for (_, of), count in counts.items() if of == task) for task in tasks]
    rows.append([f"{len(by_language)} languages", *(f"{total:,}" for total in (*sums, sum(sums)))])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def write_chart(counts: Counts, path: str | Path) -> None:
    """Write a PNG chart of the examples per language, most first, on a logarithmic scale.

    Needs matplotlib (`pip install mblip[train]`).
    """
    from matplotlib.figure import Figure  # allocation itself does not need it

    by_language = _totals(counts)
    figure = Figure(figsize=(max(6, 0.19 * len(by_language)), 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.bar(range(len(by_language)), list(by_language.values()), width=0.8, color="#4477aa")
    axes.set_xticks(range(len(by_language)), labels=list(by_language), rotation=90, fontsize=8)
    axes.set_xlim(-0.6, len(by_language) - 0.4)
    axes.set_yscale("log")
    axes.set_ylim(bottom=min(by_language.values()) / 2)
    axes.set_ylabel("examples")
    axes.set_title(f"{sum(by_language.values()):,} examples in {len(by_language)} languages")
    axes.grid(axis="y", alpha=0.4)
    axes.set_axisbelow(True)
    figure.savefig(Path(path), format="png", dpi=150)


def _totals(counts: Counts) -> dict[str, int]:
    """Examples by language, most first, then by code. Languages without examples are omitted.

    Raises:
        ValueError: there are no examples.
    """
    totals: Counter[str] = Counter()
    for (language, _), count in counts.items():
        totals[language] += count
    totals = +totals
    if not totals:
        raise ValueError("There are no examples to show. Check that the sources found their files.")
    return dict(sorted(totals.items(), key=lambda item: (-item[1], item[0])))
