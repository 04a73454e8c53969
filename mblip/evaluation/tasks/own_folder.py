"""Your own images: a folder with metadata.jsonl, .csv or .parquet, laid out as for training (docs/data.md).

    mblip eval MODEL --task own_folder --task.path data/mine --task.task captioning --task.columns "{target: text}"

The training source `own_folder` reads the rows, with the same `task`, `columns` and `language`. The prompt is the
first template of the task. The metric is the task's: captions and other sentences have CIDEr-D and what stands beside
it, short answers exact match, choices accuracy. Rows that ask the same about the same images are several references.
"""

from pathlib import Path

from mblip.data.languages import LanguageCode
from mblip.data.prompts import get_task
from mblip.data.skipped import SkipReport
from mblip.data.sources.own import metadata_file
from mblip.data.sources.own import own_folder as read_own_folder
from mblip.data.sources.own_rows import Columns

from ..answer_scoring import ChoiceAccuracy, ExactMatch
from ..benchmark import ask, benchmark_task
from ..captioning import CaptionMetric
from ..multiple_choice import LETTERS, MultipleChoiceAccuracy
from ..protocol import Setup
from ..read_files import ReadFiles
from ..task import Answering, EvaluationTask, Metric, RankBy

# The answers that the prompts of a task ask for.
CHOICES: dict[str, tuple[str, ...]] = dict.fromkeys(
    ("image_deciding", "matching", "two_image_statement"), ("yes", "no")
)
CHOICES |= {"entailment": ("yes", "no", "maybe")}
SHORT_ANSWERS = ("vqa", "vqa_in_english", "image_naming")


def own_folder(
    setup: Setup,
    *,
    path: Path,
    task: str,
    columns: Columns,
    language: str | None = None,
    choices: tuple[str, ...] = (),
    answering: Answering = "generate",
    rank_by: RankBy = "sum",
) -> EvaluationTask:
    """The rows of a folder, in the order of its table.

    Args:
        choices: the possible answers in all languages; [A, B, C]: letters of options that the questions list. Those
            of yes-or-no tasks and of `entailment` are known.

    Raises:
        ValueError: as in training, or an answer is none of the choices.
    """
    choices = choices or CHOICES.get(task, ())
    are_letters = "".join(choices) == LETTERS[: len(choices)]
    skipped, files = SkipReport(), ReadFiles()
    asked: dict[tuple[object, ...], dict[str, str]] = {}  # what is asked about which images -> answers
    firsts = []
    code = None if language is None else LanguageCode(language)  # checked there
    read = read_own_folder(0, skipped, path=path, task=task, columns=columns, language=code)
    for example in files.counted(read, str(path), file=metadata_file(path)):
        if choices and example.target not in choices:
            raise ValueError(
                f"{example.name}: the answer is {example.target!r}, expected one of {', '.join(choices)}. Correct it, "
                "or give the answers as `choices`."
            )
        answers = asked.setdefault((example.image_id, example.language, *example.inputs.items()), {})
        if choices and answers and example.target not in answers:
            raise ValueError(f"{example.name}: an earlier row answers the same by {next(iter(answers))!r}. Keep one.")
        firsts += [] if answers else [(example, answers)]
        answers[example.target] = example.id
    examples = [
        one
        for example, answers in firsts
        for one in ask(
            setup.prompts(task, paper=get_task(task).templates[0].text),
            images=example.images,
            image_id=example.image_id,
            inputs=example.inputs,
            references=tuple(answers),
            language=example.language,
            answer_language=example.language,
            id=example.id,
            candidates=choices,
            facts=dict(zip(choices, choices, strict=True)) if are_letters else {},
        )
    ]
    is_short = bool(choices) or task in SHORT_ANSWERS
    metric: Metric
    if choices:
        metric = MultipleChoiceAccuracy() if are_letters else ChoiceAccuracy(choices)
    elif is_short:
        metric = ExactMatch(description="exact match of the whole answer, but for case", ignore_case=True)
    else:
        metric = CaptionMetric(tuple(dict.fromkeys(one.language for one in examples)))
    return benchmark_task(
        "own_folder",
        examples,
        metric=metric,
        setup=setup,
        kind="short_answer" if is_short else "caption" if task == "captioning" else "description",
        skipped=skipped,
        files=files,
        answering=answering,
        rank_by=rank_by,
    )
