"""Reports of what sources skip on purpose, counted by reason and named. Nothing is dropped silently.

    skipped = SkipReport()
    examples = list(read_some_source(path, skipped=skipped))
    print(skipped.table())

The first example of each reason is also logged, for callers that pass no `SkipReport`. A broken file is an error and
is never skipped.
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
    """The number of examples skipped for each reason, with the first five names."""

    counts: Counter[str] = field(default_factory=Counter)
    names: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, name: str, count: int = 1) -> None:
        """Count an example, or several with one name.

        Args:
            reason: always the same text for the same reason: "answer seen fewer than 15 times".
            name: the example's source and id: "vqav2/458752000". Dataset cards print it, so it must not hold a
                machine's path.
        """
        self.counts[reason] += count
        names = self.names.setdefault(reason, [])
        if not names:
            logger.info("Skipped: %s (%s, and all further ones).", reason, name)
        if len(names) < NUM_NAMES:
            names.append(name)

    def table(self) -> str:
        """A Markdown table of reason, count and first names, in the order in which the reasons first appeared."""
        lines = ["| skipped because | examples | such as |", "|---|---:|---|"]
        for reason, count in self.counts.items():
            cells = (reason, f"{count:,}", ", ".join(self.names[reason]))
            lines.append(f"| {' | '.join(_escaped(cell) for cell in cells)} |")
        return "\n".join(lines)


def counted_once(
    read: Callable[[SkipReport], Iterator[Example]], skipped: SkipReport
) -> Callable[[], Iterator[Example]]:
    """`read` for several passes. The first pass counts what is skipped and must run to the end."""
    passes = iter([skipped])
    return lambda: read(next(passes, SkipReport()))


def has_usable_texts(texts: Iterable[str], *, name: str, skipped: SkipReport) -> bool:
    """Whether all texts of an example can be trained on. If not, the example is counted and named.

    A text is unusable if it is empty, holds `<image>` (only prompts may), or holds a lone surrogate (half a character,
    which JSON can write and UTF-8 cannot).
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
