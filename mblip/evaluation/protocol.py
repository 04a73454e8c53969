"""The protocols: prompts, decoding, main figures and data with which published figures were made, in one table.

`paper` is mBLIP's own evaluation, `centurio` that of its successor (arXiv 2501.05122), `pangea` that of PangeaBench
(arXiv 2410.16153), which measured mBLIP, too. Beside each fact stands the file and line that says so, in the
repository and commit of `Protocol.source`. docs/protocols.md sets the sources' values beside ours, with reasons where
they differ.

The same model differs by ten points between protocols, so their figures never share a table.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from mblip.data.languages import get_language
from mblip.data.prompts import get_task

from .generation_settings import GenerationSettings
from .languages import LanguageNames, prompt_language
from .task import AS_IS, EvaluationTask, check_choice

ProtocolName = Literal["paper", "centurio", "pangea"]
AnswerKind = Literal["caption", "short_answer", "description"]
MissingImages = Literal["error", "skip", "unchecked"]
TemplateChoice = Literal["first", "held_out"]

OWN = "own"  # the protocol of benchmarks that no paper has, such as naming photos
HELD_OUT_TEMPLATE = "held-out wording"


@dataclass(frozen=True)
class Rules:
    """How a protocol evaluates a benchmark.

    Args:
        prompts: a task of mblip/data/prompts -> the prompt, with {language} and the task's inputs; and, if there is
            one, the prompt in its place for English questions and captions.
        kind: the kind of the answers, which determines the decoding.
        main: the figure of the metric that tables show.
        source: where the protocol's code says so.
        arguments: the arguments of the benchmark.
        generation: the decoding, if it is not that of the kind.
        changes: what a recipe changes.
    """

    prompts: Mapping[str, tuple[str, ...]]
    kind: AnswerKind
    main: str
    source: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    generation: GenerationSettings | None = None
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Protocol:
    """A protocol: quantisation of the language model, names of languages in prompts, decoding, and its benchmarks."""

    source: str
    load_in: Literal["8bit"] | None
    language_names: LanguageNames
    generation: Mapping[AnswerKind, GenerationSettings]
    benchmarks: Mapping[str, Rules]
    strips_inputs: bool = False  # space around questions and statements; the others keep it


CAPTION_PROMPT = "Caption in {language}: "
CAPTION = {"captioning": (CAPTION_PROMPT,)}
QUESTION = {"vqa_in_english": ("Question: {question} Short answer in English:",)}
LANGUAGE_QUESTION = {"vqa": ("Question: {question} Short answer in {language}:",)}
TRUE_OF_TWO = 'Based on the two images, is it correct to say "{statement}"? Yes or no? Answer in English:'
STATEMENT = {"two_image_statement": (TRUE_OF_TWO,)}
HYPOTHESIS = {"entailment": ('Is it guaranteed true that "{hypothesis}"? Yes, no, or maybe? Answer in English:',)}
OBJECT = {"vqa_in_english": ("{question}",)}
OBJECTS = {
    "captioning": ("Caption in {language}:",),
    "detailed_captioning": ("Describe the image in {language} with as much detail as possible.",),
}
PAPER = Protocol(  # files without a folder are in configs/datamodule
    "gregor-ge/mBLIP, commit 0380e68",
    load_in="8bit",  # load_8bit: True, such as configs/experiment/mblip_test_xm3600.yaml:61
    language_names="original",  # data/xm3600/convert_xm3600_to_coco.py:18-21
    generation={
        # configs/evaluation/mblip_eval_captioning.yaml:6-9
        "caption": GenerationSettings(50, num_beams=5, min_new_tokens=1),
        # configs/evaluation/mblip_eval_classification.yaml:6-9, mblip_eval_vqa_classification.yaml:6-9
        "short_answer": GenerationSettings(10, num_beams=5, length_penalty=-1.0, min_new_tokens=1),
        # configs/evaluation/mblip_eval_chair.yaml:6-10
        "description": GenerationSettings(256, num_beams=5, repetition_penalty=1.5, min_new_tokens=1),
    },
    # Figures: src/tasks/vllm/evaluation.py:93-138 (captions), :140-172 (short answers), :175-197 (VQAv2), :199-229
    # (MaXM, not cleaned: configs/experiment/mblip_test_maxm.yaml:57-58), :433-557 (CHAIR)
    benchmarks={
        "xm3600": Rules(CAPTION, "caption", "CIDEr-D", "mblip_xm3600.yaml:24"),
        # English: data/flickr/generate_flickr.py:43-52
        "xflickrco": Rules(CAPTION, "caption", "CIDEr-D", "mblip_flickr.yaml:24", {"english": "test_ann.jsonl"}),
        # split: mblip_mscoco.yaml:60-63, data/mscoco/generate_train.py:70-78
        "coco_karpathy": Rules(CAPTION, "caption", "CIDEr-D", "mblip_mscoco.yaml:24", {"split": "test"}),
        "xgqa": Rules(QUESTION, "short_answer", "accuracy", "mblip_xgqa.yaml:24"),
        # train[:5000]: mblip_vqa2.yaml:48-51
        "vqav2": Rules(QUESTION, "short_answer", "vqa_accuracy_mblip", "mblip_vqa2.yaml:24", {"num_questions": 5000}),
        "maxm": Rules(LANGUAGE_QUESTION, "short_answer", "accuracy", "data/maxm/generate_maxm.py:22"),
        "xvnli": Rules(HYPOTHESIS, "short_answer", "accuracy_mblip", "mblip_xvnli.yaml:24"),
        # left and right image: src/tasks/vllm/data.py:196-226
        "marvl": Rules(STATEMENT, "short_answer", "accuracy_mblip", "mblip_marvl.yaml:25", {"images_shown": 2}),
        # split: mblip_marvl.yaml:87-90, data/marvl/generate_nvlr.py:31-54
        "nlvr2": Rules(
            STATEMENT, "short_answer", "accuracy_mblip", "mblip_marvl.yaml:25", {"images_shown": 2, "split": "test1"}
        ),
        "pope": Rules(OBJECT, "short_answer", "accuracy_mblip", "mblip_halu_pope.yaml:24"),
        # train[:1000]: mblip_halu_chair.yaml:37,50; of Karpathy's val and restval: data/mscoco/generate_train.py:67-87
        "chair": Rules(OBJECTS, "description", "chair_s", "mblip_halu_chair.yaml:47, 60", {"num_images": 1000}),
    },
)

ONE_WORD = "{question}\nAnswer the question using a single word or phrase."
ONE_WORD_QUESTION = {"vqa_in_english": (ONE_WORD,)}
BRIEF_CAPTION = {"captioning": ("Briefly describe the image in {language} in one sentence.",)}
CONCISE_CAPTION = {"captioning": ("Describe the image concisely.",)}
TWO_IMAGES = 'Given the two images <image><image>, is it correct to say "{statement}"? Answer yes or no.'
CENTURIO_STATEMENT = {"two_image_statement": (TWO_IMAGES,)}
# Those of xGQA and MaXM are in data files that are not public, but in the paper, too.
CENTURIO_QUESTION = {"vqa_in_english": (f"{ONE_WORD}\nAnswer in English.",)}
CENTURIO_LANGUAGE_QUESTION = {"vqa": (f"{ONE_WORD}\nAnswer in {{language}}.",)}
FIGURE_2 = "arXiv 2501.05122, figure 2"
CENTURIO = Protocol(  # files without a folder are in configs/dataspec
    "gregor-ge/Centurio, commit 8f6ed69",
    load_in=None,  # configs/experiment/mblipv2_test_xm3600.yaml:58-59
    language_names="trained",  # unknown: they are in data files that are not public
    generation={
        # evaluation/eval_captioning.yaml:6-10
        "caption": GenerationSettings(128, repetition_penalty=1.1, min_new_tokens=1),
        # evaluation/eval_classification.yaml:6-9, eval_vqa_classification.yaml:6-9
        "short_answer": GenerationSettings(10, length_penalty=-1.0, min_new_tokens=1),
        "description": GenerationSettings(128, repetition_penalty=1.1, min_new_tokens=1),  # as captions: it has none
    },
    # Figures: src/tasks/vllm/evaluation.py:180-237 (captions), :239-282 with vqa_process: False
    # (evaluation/eval_classification.yaml:27, src/baseline_eval/eval.py:9-13), :286-318 (VQAv2), :320-356 (MaXM)
    benchmarks={
        # train[:512]: configs/dataspecs/xm3600_test.yaml:40
        "xm3600": Rules(BRIEF_CAPTION, "caption", "CIDEr-D_centurio", "xm3600.yaml:10", {"num_images": 512}),
        # split: mscoco.yaml:19
        "coco_karpathy": Rules(CONCISE_CAPTION, "caption", "CIDEr-D_centurio", "mscoco.yaml:10", {"split": "val"}),
        "xgqa": Rules(CENTURIO_QUESTION, "short_answer", "accuracy_centurio", FIGURE_2),
        # train[:2000]: configs/dataspecs/task_mix_test.yaml:20-24
        "vqav2": Rules(
            ONE_WORD_QUESTION, "short_answer", "vqa_accuracy_mblip", "vqav2.yaml:10", {"num_questions": 2000}
        ),
        "maxm": Rules(CENTURIO_LANGUAGE_QUESTION, "short_answer", "accuracy", FIGURE_2),
        "xvnli": Rules(HYPOTHESIS, "short_answer", "accuracy_centurio", "xvnli.yaml:10"),
        "marvl": Rules(CENTURIO_STATEMENT, "short_answer", "accuracy_centurio", "marvl.yaml:10", {"images_shown": 2}),
    },
)

ONE_SENTENCE = "Provide a one-sentence caption for the provided image"
PANGEA_CAPTION = {"captioning": (f"{ONE_SENTENCE} in {{language}}.", f"{ONE_SENTENCE}.")}
IN_ONE_LINE = ONE_WORD.replace("\n", " ").removesuffix(".")
PANGEA_QUESTION = {"vqa_in_english": (f"{IN_ONE_LINE} in English.", f"{IN_ONE_LINE}.")}
PANGEA_LANGUAGE_QUESTION = {"vqa": ("Question: {question}Answer in a single word or phrase in {language}:",)}
SUPPORTED = (  # in its data set, and in the code of commit df18b02, tasks/marvl/utils.py:32
    "Does the content of the image support the given text? Text: {statement}\nOptions: (a) false (b) true. "
    "Answer with the option directly."
)
PANGEA_STATEMENT = {"two_image_statement": (SUPPORTED,)}
PANGEA = Protocol(
    "neulab/Pangea, commit ecc4403, evaluation/lmms-eval/lmms_eval",
    load_in=None,  # models/mblip.py:54-57
    language_names="pangea",  # tasks/xm100/xm100_bn.yaml:9 and its neighbours
    generation={
        "caption": GenerationSettings(128),  # tasks/xm100/xm100_de.yaml:12-16
        "short_answer": GenerationSettings(16),  # tasks/xgqa/xgqa_de.yaml:12-16, tasks/marvl/marvl_id.yaml:12-16
        "description": GenerationSettings(128),  # as captions: it has none
    },
    # Figures: tasks/xm100/utils.py:53-132 (arXiv 2410.16153, figure 4, reports ROUGE-L), tasks/xgqa/utils.py:12-18,
    # tasks/maxm/utils.py:73-80, tasks/marvl/utils.py:17-25
    benchmarks={
        "xm3600": Rules(
            PANGEA_CAPTION,
            "caption",
            "ROUGE-L_pangea",
            "tasks/xm100/xm100_bn.yaml:9, xm100_en.yaml:9",
            {"num_photos": 100},  # of its data set, XM100
        ),
        # the rest of its prompt: tasks/xgqa/xgqa_de.yaml:29-30, xgqa_en.yaml:29-30
        "xgqa": Rules(PANGEA_QUESTION, "short_answer", "accuracy_pangea", "tasks/xgqa/utils.py:6-10"),
        # the rest of its prompt: tasks/maxm/maxm_fr.yaml:38-40; tokens: maxm_fr.yaml:12-16
        "maxm": Rules(
            PANGEA_LANGUAGE_QUESTION,
            "short_answer",
            "accuracy_pangea",
            "tasks/maxm/utils.py:40-46",
            {"references": "answers"},  # not the processed ones: tasks/maxm/utils.py:69
            generation=GenerationSettings(64),
        ),
        # both images stacked in one: tasks/marvl/utils.py:2-3; commit df18b02, utils.py:18
        "marvl": Rules(
            PANGEA_STATEMENT, "short_answer", "accuracy_pangea", "tasks/marvl/utils.py:5-8", {"images_shown": 1}
        ),
        "nlvr2": Rules(  # the split `en` of its MaRVL, 6,982 rows, as many as NLVR2's dev has
            PANGEA_STATEMENT,
            "short_answer",
            "accuracy_pangea",
            "tasks/marvl/nlvr2.yaml:6-17",
            {"split": "dev", "images_shown": 1},
        ),
    },
    strips_inputs=True,  # tasks/xgqa/utils.py:7, tasks/maxm/utils.py:41; commit df18b02, tasks/marvl/utils.py:29-32
)

PROTOCOLS: Mapping[str, Protocol] = {"paper": PAPER, "centurio": CENTURIO, "pangea": PANGEA}


@dataclass(frozen=True)
class Setup:
    """How an evaluation asks its benchmarks.

    Args:
        protocol: prompts, decoding, main figure and data.
        templates: ask with every English template of mblip/data/prompts instead of the protocol's prompt, including
            the template held out of training. Each template is a condition.
        language_names: name languages in prompts as training did, or as another protocol does; None: as the protocol.
        missing_images: `error`: a missing image is an error before the model runs. `skip`: its examples are skipped,
            counted and named. `unchecked`: no check; the first image that does not open is an error.
    """

    protocol: ProtocolName = "paper"
    templates: bool = False
    language_names: LanguageNames | None = None
    missing_images: MissingImages = "error"

    def __post_init__(self) -> None:
        check_choice("protocol", self.protocol, ProtocolName)
        if self.language_names is not None:
            check_choice("language_names", self.language_names, LanguageNames)
        check_choice("missing_images", self.missing_images, MissingImages)

    @property
    def changes(self) -> tuple[str, ...]:
        """What differs from the protocol, whatever the benchmark."""
        names = self.language_names or PROTOCOLS[self.protocol].language_names
        is_renamed = names != PROTOCOLS[self.protocol].language_names
        return (*["every prompt template"][: self.templates], *[f"language names as {names}"][:is_renamed])

    def generation(self, kind: AnswerKind | Rules) -> GenerationSettings:
        """The decoding of a benchmark, by its rules or, if it is your own, by the kind of its answers."""
        if isinstance(kind, Rules):
            return kind.generation or self.generation(kind.kind)
        return PROTOCOLS[self.protocol].generation[kind]

    def rules(self, benchmark: str, **given: Any) -> Rules:
        """How the protocol evaluates one of its benchmarks.

        Args:
            given: arguments that a recipe may give. None: the protocol's value, or none.

        Raises:
            ValueError: the protocol does not have the benchmark; the message names those that have it.
        """
        rules = PROTOCOLS[self.protocol].benchmarks.get(benchmark)
        if rules is None:
            having = [name for name, protocol in PROTOCOLS.items() if benchmark in protocol.benchmarks]
            raise ValueError(
                f"the protocol `{self.protocol}` does not have {benchmark}; found it in: {', '.join(having)}. Set "
                f"`protocol: {having[0]}`, or take {benchmark} out."
            )
        given = {name: value for name, value in given.items() if value is not None}
        if below := [name for name, value in given.items() if isinstance(value, int) and value < 1]:
            raise ValueError(f"`{below[0]}` is {given[below[0]]}, expected at least 1.")
        words = {name: value.name if isinstance(value, Path) else value for name, value in given.items()}
        changes = tuple(f"{name} {word}" for name, word in words.items() if word != rules.arguments.get(name))
        return replace(rules, arguments={**rules.arguments, **given}, changes=changes)

    def prompts_of(self, rules: Rules) -> "tuple[PromptForm, ...]":
        """The prompts of a benchmark of the protocol that asks for one thing."""
        ((task, texts),) = rules.prompts.items()
        return self.prompts(task, *texts)

    def prompts(self, task: str, paper: str, english: str | None = None) -> "tuple[PromptForm, ...]":
        """The prompts of a benchmark.

        Args:
            task: the task of mblip/data/prompts whose templates `templates` uses.
            paper: the prompt without `templates`, with {language} and the task's inputs.
            english: the prompt in its place for English questions and captions.
        """
        names = self.language_names or PROTOCOLS[self.protocol].language_names
        if not self.templates:
            return (PromptForm(AS_IS, paper, names, english, PROTOCOLS[self.protocol].strips_inputs),)
        templates = get_task(task)
        forms = [
            PromptForm(f"wording {number}", template.text, names)
            for number, template in enumerate(templates.templates, start=1)
        ]
        return (*forms, PromptForm(HELD_OUT_TEMPLATE, templates.held_out.text, names))


@dataclass(frozen=True)
class PromptForm:
    """A prompt template, with another one for English questions and captions if `english` is given. Its answers are
    counted under `condition`."""

    condition: str
    text: str
    language_names: LanguageNames = "trained"
    english: str | None = None
    strips_inputs: bool = False

    def fill(self, language: str, is_english: bool = False, /, **inputs: str) -> str:
        """The prompt that asks for an answer in `language`, with its inputs inserted."""
        text = self.english if is_english and self.english is not None else self.text
        inputs = {name: value.strip() for name, value in inputs.items()} if self.strips_inputs else inputs
        return text.format(language=prompt_language(language, self.language_names), **inputs)


def changes_of_run(task: EvaluationTask, generation: GenerationSettings, precision: str) -> tuple[str, ...]:
    """What a run changes of a task's protocol: the decoding, and the quantisation of the language model.

    Args:
        precision: of the model that answers (environment.py).
    """
    own = asdict(task.generation)
    changes = [f"{name} {value}" for name, value in asdict(generation).items() if value != own[name]]
    dtype, _, quantised = precision.partition(", ")
    load_in = PROTOCOLS[task.protocol].load_in if task.protocol in PROTOCOLS else None
    expected = f"language model in {'8 bit' if load_in else dtype}"
    found = quantised or f"language model in {dtype}"
    return tuple(changes if found == expected or task.protocol not in PROTOCOLS else [*changes, found])


def fixed_prompt(task: str, language: str, template: TemplateChoice = "first", **inputs: str) -> str:
    """The prompt of a task of mblip/data/prompts, for benchmarks with their own protocol.

    Args:
        template: `first` (mBLIP's own template, if it has one), or the one that is `held_out` of training.

    Raises:
        ValueError: the task, language or template is unknown.
    """
    check_choice("template", template, TemplateChoice)
    templates = get_task(task)
    chosen = templates.held_out if template == "held_out" else templates.templates[0]
    return chosen.text.format(language=get_language(language).name, **inputs)
