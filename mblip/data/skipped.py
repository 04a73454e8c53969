"""What sources leave out on purpose, counted by reason and named: nothing is dropped in silence.

    skipped = SkipReport()
    examples = list(read_some_source(path, skipped=skipped))
    print(skipped.table())

The first example of each reason is logged as well, for callers who pass no `SkipReport`. Broken files are no such
reason: they are errors.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from .example import IMAGE_TOKEN, SURROGATE, Example

logger = logging.getLogger(__name__)

NUM_NAMES = 5


@dataclass
class SkipReport:
    """How many examples were skipped for each reason, and the names of the first five."""

    counts: Counter[str] = field(default_factory=Counter)
    names: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, name: str, count: int = 1) -> None:
        """Count an example, or several that have one name.

        Args:
            reason: the same text for the same reason: "answer seen fewer than 15 times".
            name: of the example, with its source and id: "vqav2/458752000". No path of a machine, for it is printed
                in dataset cards.
        """
        self.counts[reason] += count
        names = self.names.setdefault(reason, [])
        if not names:
            logger.info("Skipped: %s (%s, and all further ones).", reason, name)
        if len(names) < NUM_NAMES:
            names.append(name)

    def table(self) -> str:
        """A Markdown table: reason, count, the first names; the reasons in the order they came up."""
        lines = ["| skipped because | examples | such as |", "|---|---:|---|"]
        for reason, count in self.counts.items():
            cells = (reason, f"{count:,}", ", ".join(self.names[reason]))
            lines.append(f"| {' | '.join(_escaped(cell) for cell in cells)} |")
        return "\n".join(lines)


def counted_once(
    read: Callable[[SkipReport], Iterator[Example]], skipped: SkipReport
) -> Callable[[], Iterator[Example]]:
    """`read` for several passes: the first one, which must go to the end, counts what is skipped."""
    passes = iter([skipped])
    return lambda: read(next(passes, SkipReport()))


def has_usable_texts(texts: Iterable[str], *, name: str, skipped: SkipReport) -> bool:
    """Whether all texts of an example can be trained on; if not, the example is counted and named.

    A text is not usable if it is empty, if it holds `<image>`, which only prompts may, or if it holds half a character
    (a lone surrogate, which JSON can spell and UTF-8 cannot).
    """
    for text in texts:
        reason = _why_unusable(text)
        if reason is not None:
            skipped.add(reason, name)
            return False
    return True


def _why_unusable(text: str) -> str | None:
    if not text.strip():
        return "empty text"
    if IMAGE_TOKEN in text:
        return f"`{IMAGE_TOKEN}` in the text"
    if SURROGATE.search(text):
        return "half a character in the text"
    return None


def _escaped(cell: str) -> str:
    return " ".join(cell.split()).replace("|", "\\|")
