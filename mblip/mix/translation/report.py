"""The outcomes of translating texts: counts by language and cause, as a Markdown table.

    report = TranslationReport()
    examples = list(translate_examples(..., report=report))
    print(report.table())

Each worker fills its own report; `add_report` combines them.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mblip.data.language_check import unidentified
from mblip.data.languages import get_language

from .checks import Failure

TRANSLATED, RETRIED, IN_PIECES = "translated", "retried", "in pieces"
ANSWERS_TRANSLATED, ANSWERS_KEPT_ENGLISH = "answers translated", "answers kept in English"
SKIPPED, STAYED_ENGLISH = "examples skipped", "examples kept in English"
OUTCOMES = (TRANSLATED, RETRIED, IN_PIECES, ANSWERS_TRANSLATED, ANSWERS_KEPT_ENGLISH, SKIPPED, STAYED_ENGLISH)
NUM_EXAMPLES = 3


@dataclass
class TranslationReport:
    """Counts by language code and outcome.

    `outcomes`: every text whose translation passed the checks counts as "translated". It also counts as "retried" if
    the second decoding made it, and as "in pieces" if it was joined from pieces. Answers and examples have counts of
    their own. `failures`: refused translations by cause. A refused answer counts once, however many examples have it.
    `such_as`: the first failures of each cause, in words.
    """

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    such_as: dict[str, list[str]] = field(default_factory=dict)

    def add(self, language: str, outcome: str) -> None:
        """Count a text of a language."""
        self.outcomes[language, outcome] += 1

    def add_failure(self, language: str, failure: Failure, *, source_text: str, translation: str) -> None:
        """Count a text whose translation was refused."""
        self.failures[language, failure.cause] += 1
        examples = self.such_as.setdefault(failure.cause, [])
        if len(examples) < NUM_EXAMPLES:
            examples.append(f"{language}: {source_text!r} -> {translation[:200]!r} ({failure.detail})")

    def add_report(self, other: "TranslationReport") -> None:
        """Add another report's counts to this one's."""
        self.outcomes += other.outcomes
        self.failures += other.failures
        for cause, examples in other.such_as.items():
            known = self.such_as.setdefault(cause, [])
            known.extend(examples[: NUM_EXAMPLES - len(known)])

    def as_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "outcomes": [[*key, count] for key, count in sorted(self.outcomes.items())],
            "failures": [[*key, count] for key, count in sorted(self.failures.items())],
            "such_as": self.such_as,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "TranslationReport":
        """The report from `as_json`'s values."""
        outcomes, failures = (
            Counter({(language, name): count for language, name, count in content[part]})
            for part in ("outcomes", "failures")
        )
        return cls(outcomes, failures, {cause: list(examples) for cause, examples in content["such_as"].items()})

    def table(self) -> str:
        """A Markdown table: a line per language, a column per outcome and cause. Notes say which languages were
        checked by script alone.
        """
        outcomes = [outcome for outcome in OUTCOMES if any(outcome == name for _, name in self.outcomes)]
        causes = sorted({cause for _, cause in self.failures})
        languages = sorted({language for language, _ in (*self.outcomes, *self.failures)})
        lines = [
            f"| {' | '.join(['language', *outcomes, *(f'refused: {cause}' for cause in causes)])} |",
            f"|---|{'---:|' * (len(outcomes) + len(causes))}",
        ]
        for language in languages:
            counts = [self.outcomes[language, outcome] for outcome in outcomes]
            counts += [self.failures[language, cause] for cause in causes]
            lines.append(f"| {' | '.join([get_language(language).name, *(f'{count:,}' for count in counts)])} |")
        return "\n".join([*lines, "", *self._notes(languages)])

    def _notes(self, languages: list[str]) -> list[str]:
        unknown = [language.name for language in unidentified() if language.code in languages]
        notes = [f"py3langid does not know {', '.join(unknown)}: checked by script alone."] if unknown else []
        return notes + [
            f"- {cause}: {_escaped(example)}" for cause in sorted(self.such_as) for example in self.such_as[cause]
        ]


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "\\<")
