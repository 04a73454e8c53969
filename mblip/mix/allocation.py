"""Which language each English example is translated into.

`Allocation` turns a recipe's wish (mC4's shares, flattened, half English, no language below a floor) into a share for
every language, and draws an example's language by (seed, source, id) alone: adding a source or an example moves no
other, and every process draws the same. `allocation_table` and `write_chart` show what a mix holds, before any
translation is paid for and afterwards.

The original drew by the shares of mC4 as they are, which left 19 languages with fewer than 100 of its 2.27 million web
captions; Centurio (arXiv 2501.05122) found about half English and the rest uniform to be better.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from mblip.data.example import Example
from mblip.data.languages import ENGLISH, LANGUAGES, get_language
from mblip.data.prompts import get_task
from mblip.data.stable_random import stable_number

Counts = Mapping[tuple[str, str], int]  # (language, task) -> number of examples

ENGLISH_SHARES: Mapping[str, float] = MappingProxyType({"vqa": 0.5})  # of a task, whatever the allocation says
FLOOR_SIGMAS = 5  # a language falls below a floor of examples by a chance of less than one in a million


@dataclass(frozen=True)
class Allocation:
    """The shares of languages, and the draw of an example's language.

    Examples that are not English, that have their prompt already, or of whose task nothing is translated, keep the
    language they come in. Half of the answers of `vqa` stay English whatever the shares, as in the original.

    Args:
        kind: the shares to begin with: mC4's, those mT5 was trained by, or equal ones.
        seed: of the draws.
        temperature: the exponent that flattens these shares: each to the power of it, renormalised. 1 leaves them, 0.3
            is what mT5 used, near 0 makes them equal.
        english_share: English gets exactly so much, the others share the rest.
        floor: every language gets at least so much, taken from the others in proportion: a float is a share, an int a
            number of examples, for which `num_examples` must be known. Since every example is drawn for itself, the
            share behind a number of examples is so much larger that the draws do not fall below it.
        num_examples: how many examples will be allotted.
        languages: the codes to allot to.
        as_released: the original's way, mC4's shares as they are; nothing else may be asked for.

    Raises:
        ValueError: an argument is out of its range, or the floor leaves nothing to take from; the message says what
            could be.
    """

    kind: Literal["mc4", "mt5", "uniform"]
    seed: int = 0
    temperature: float | None = None
    english_share: float | None = None
    floor: float | int = 0
    num_examples: int | None = None
    languages: tuple[str, ...] = tuple(LANGUAGES)
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
            raise ValueError(
                "as_released is mC4's shares as they are: leave out temperature, english_share and floor."
            )
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
        """The floor as a share. Raises ValueError if it counts examples and their number is not known."""
        if self.floor < 0 or isinstance(self.floor, bool) or math.isnan(self.floor):
            raise ValueError(f"Found the floor {self.floor}, expected a share or a number of examples, not below 0.")
        if isinstance(self.floor, float) or self.floor == 0:
            return float(self.floor)
        if not self.num_examples or self.num_examples < 0:
            raise ValueError(
                f"The floor is {self.floor} examples a language, but num_examples is {self.num_examples}. "
                "Say how many examples will be allotted, or give the floor as a share (0.001)."
            )
        # m draws expected, m - 5 sqrt(m) at least: the m for which that is the floor
        root = (FLOOR_SIGMAS + math.sqrt(FLOOR_SIGMAS**2 + 4 * self.floor)) / 2
        return root**2 / self.num_examples

    def _begin_with(self, code: str) -> float:
        language = LANGUAGES[code]
        share = {"mc4": language.mc4_share_percent, "mt5": language.mt5_share_percent, "uniform": 1.0}[self.kind]
        return share if self.temperature is None else share**self.temperature

    def _with_english(self, shares: Mapping[str, float], english_share: float) -> dict[str, float]:
        """English exactly at `english_share`, the others with their floor in the rest."""
        rest = 1 - english_share
        others = _normalised({code: share for code, share in shares.items() if code != ENGLISH})
        if rest:
            others = _with_floor(others, self.floor_share / rest)
        elif self.floor:
            raise ValueError(f"The floor is {self.floor}, but english_share 1 leaves the other languages nothing.")
        if english_share < self.floor_share:
            raise ValueError(f"The floor, a share of {self.floor_share:.4g}, is above english_share {english_share}.")
        return {code: english_share if code == ENGLISH else others[code] * rest for code in shares}

    def allot(self, example: Example) -> str:
        """The language to translate an example into; its own where nothing is to be translated."""
        if example.language != ENGLISH or example.prompt or not get_task(example.task).translated:
            return example.language
        return self.draw(example.source, example.id, example.task)

    def draw(self, source: str, example_id: str, task: str) -> str:
        """The language of an English example of a task that is translated, for callers that have no texts yet."""
        codes, bounds = self._bounds[task] if task in self._bounds else self._bounds[""]
        return codes[bisect_right(bounds, stable_number(self.seed, "language", source, example_id))]

    @cached_property
    def _bounds(self) -> Mapping[str, tuple[Sequence[str], Sequence[float]]]:
        """For tasks with an English share of their own, and for all others (""): codes and where their shares end.

        The ends are rounded, so that they are the same on machines whose powers differ in the last digit, and the last
        one is skipped: what is drawn above all others is the last language's.
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
    """The shares with none below `floor`, what that costs taken from the others in proportion."""
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
    """Markdown: a row for each language, most examples first, a column for each task, and the totals."""
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
    """A chart of the examples of each language, by code, most first, on a logarithmic scale, as PNG.

    Needs matplotlib (`pip install mblip[train]`).
    """
    from matplotlib.figure import Figure  # not needed to allot

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
    """Examples by language, most first, then by code; languages without any are skipped.

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
