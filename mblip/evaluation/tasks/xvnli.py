"""XVNLI: does a photo make a sentence true, false, or neither? In five languages, answered in English.

<language>/test.jsonl of IGLUE (e-bug/iglue, datasets/XVNLI/annotations) is JSON lines of SNLI's pairs, the photo of
Flickr30k standing in for the premise (mblip/data/sources/xvnli.py). Pairs without a majority label ("-") are left out
and counted, as in the original's evaluation. Images: <Flikr30kID>.jpg of Flickr30k.

Bugliarello et al., 2022, after Bowman et al., 2015. Licences: texts CC BY-SA 4.0 (SNLI), photos under Flickr30k's
terms (research only).

Both protocols ask in the paper's prompt; Centurio's own is not among the facts at hand. The answer is yes
(entailment), maybe (neutral) or no (contradiction): written by the model, or chosen among the three, as training
writes them. The figure is the accuracy; the shares and recalls of the three beside it show a class that never wins.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mblip.data.left_out import LeftOut
from mblip.data.sources.image_names import Images
from mblip.data.sources.records import read_json_lines
from mblip.data.sources.xvnli import XVNLI_LANGUAGES, xvnli_example

from ..answer_scoring import ChoiceAccuracy
from ..languages import mix_code
from ..protocol import Setup
from ..questions import Question, check_languages_of, question_of, question_task, read_examples, records_in
from ..records import DatasetPlace
from ..task import Answering, EvaluationTask, Origin, RankBy

NAME = "xvnli"
ORIGIN = Origin(
    "https://github.com/e-bug/iglue/tree/main/datasets/XVNLI",
    "texts CC BY-SA 4.0 (SNLI), photos by the terms of Flickr30k (research only)",
)
PROMPT = 'Is it guaranteed true that "{hypothesis}"? Yes, no, or maybe? Answer in English:'
CANDIDATES = ("yes", "no", "maybe")


@dataclass(frozen=True)
class XvnliRecipe:
    """What a recipe says of it.

    `pairs` are the published files, with `{language}` in place of the code; or `dataset` has their fields. `images` is
    the folder, URL or archive of Flickr30k's images, unless the dataset holds them.
    """

    pairs: Path | None = None
    images: Images | None = None
    dataset: DatasetPlace | None = None
    languages: tuple[str, ...] = XVNLI_LANGUAGES
    answering: Answering = "generate"
    rank_by: RankBy = "sum"

    def __post_init__(self) -> None:
        check_languages_of(self.pairs, self.dataset, self.languages)

    def build(self, setup: Setup) -> EvaluationTask:
        """The task, with its pairs read."""
        left_out = LeftOut()
        return question_task(
            NAME,
            self.asked(left_out),
            prompt=PROMPT,
            wordings_of="entailment",
            metric=ChoiceAccuracy(CANDIDATES),
            setup=setup,
            origin=ORIGIN,
            left_out=left_out,
            candidates=CANDIDATES,
            answering=self.answering,
            rank_by=self.rank_by,
        )

    def asked(self, left_out: LeftOut) -> Iterator[Question]:
        """The pairs in each language, one language after another."""
        for language in self.languages:
            records = records_in(language, self.pairs, self.dataset, read=read_json_lines)
            code = mix_code(language)
            examples = read_examples(xvnli_example, records, images=self.images, left_out=left_out, language=code)
            yield from map(question_of, examples)
