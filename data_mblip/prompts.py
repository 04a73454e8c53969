"""The tasks and the English wordings that ask for them.

The original mBLIP was trained on five or six wordings a task and, asked in another one, lost most of what it could do
(3.1 CIDEr on XM100 in Pangea, arXiv 2410.16153). So every task has many wordings that differ in form: question or
order, with and without a colon, the language first or last. One wording a task is held out of training and measures
how much wording matters.

`{language}` is the English name of the example's language; the other placeholders are the example's `inputs`.
Yes-or-no tasks answer in English.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from .example import Example
from .languages import get_language
from .stable_random import stable_random

OWN = "own wording"
ORIGINAL = "mBLIP evaluation prompt (gregor-ge/mBLIP, commit 0380e68)"
CENTURIO = "Centurio evaluation prompt (arXiv 2501.05122)"
ADAPTED = "own wording, after the mBLIP evaluation prompt of XVNLI and MaRVL"


@dataclass(frozen=True)
class Wording:
    """A way to ask for a task, and where it comes from."""

    text: str
    source: str = OWN


@dataclass(frozen=True)
class Task:
    """What a task's examples bring (`inputs`), the wordings to train with, and the one only ever tested with."""

    inputs: tuple[str, ...]
    wordings: tuple[Wording, ...]
    held_out: Wording


TASKS: Mapping[str, Task] = MappingProxyType(
    {
        "captioning": Task(
            inputs=(),
            wordings=(
                Wording("Caption in {language}: ", ORIGINAL),
                Wording("Briefly describe the image in {language} in one sentence.", CENTURIO),
                Wording("Write a short {language} caption for this image."),
                Wording("What can be seen in the picture? Answer in {language}:"),
                Wording("In {language}, tell me what this image shows."),
                Wording("Describe this picture. Use {language}."),
                Wording("{language} image description:"),
                Wording("A photo caption written in {language}:"),
            ),
            held_out=Wording("Please give the picture a title in {language}."),
        ),
        "vqa": Task(
            inputs=("question",),
            wordings=(
                Wording("Question: {question} Short answer in {language}:", ORIGINAL),
                Wording("{question} Answer briefly in {language}."),
                Wording("Look at the image and answer in {language}: {question}"),
                Wording("{question}\n{language} answer:"),
                Wording("Q: {question} A ({language}):"),
                Wording("Give a short {language} answer to this question about the picture: {question}"),
                Wording("Using the image, reply in {language} with a word or two. {question}"),
            ),
            held_out=Wording("Somebody sees this image and wonders: {question} Respond in {language}."),
        ),
        "question_generation": Task(
            inputs=("answer",),
            wordings=(
                Wording("Answer: {answer} Question in {language}:"),
                Wording("Ask a {language} question about the image whose answer is \"{answer}\"."),
                Wording("Which question about this picture is answered by \"{answer}\"? Write it in {language}:"),
                Wording("The answer is {answer}. In {language}, what was the question?"),
                Wording("Write, in {language}, a question on the image that \"{answer}\" answers."),
                Wording("A: {answer} Q ({language}):"),
            ),
            held_out=Wording("Somebody looked here and replied \"{answer}\". Guess what was asked, in {language}."),
        ),
        "image_naming": Task(
            inputs=(),
            wordings=(
                Wording("What is in the image? Short answer in {language}:"),
                Wording("Name the main object of this picture in {language}."),
                Wording("{language} name of what is shown:"),
                Wording("In {language}, what is this called?"),
                Wording("Say with a {language} word or two what the photo shows."),
                Wording("This image shows (answer in {language}):"),
                Wording("What kind of thing is this? Reply in {language}."),
            ),
            held_out=Wording("If this picture were filed under one {language} keyword, which would it be?"),
        ),
        "image_deciding": Task(
            inputs=("label",),
            wordings=(
                Wording("Is this \"{label}\"? Yes or no? Answer in English:", ADAPTED),
                Wording("Does the image show \"{label}\"? Answer yes or no."),
                Wording("Is it correct to call the main object of the picture \"{label}\"? Yes or no?"),
                Wording("\"{label}\": is that what the photo shows? Reply with yes or no in English."),
                Wording("Yes or no: can \"{label}\" be seen here?"),
                Wording("Label: {label}. Does it fit the image? Answer in English with yes or no:"),
            ),
            held_out=Wording("Somebody tagged this image with \"{label}\". Were they right, yes or no?"),
        ),
        "matching": Task(
            inputs=("caption",),
            wordings=(
                Wording("Is it correct to say \"{caption}\"? Yes or no? Answer in English:", ADAPTED),
                Wording("Does the text \"{caption}\" describe the picture? Answer yes or no."),
                Wording("Caption: {caption} Does it match the image? Yes or no?"),
                Wording("Is \"{caption}\" a fitting description of what is shown? Reply with yes or no in English."),
                Wording("Yes or no: the image shows the following. {caption}"),
                Wording("Decide whether image and sentence belong together (yes or no): {caption}"),
            ),
            held_out=Wording("A newspaper printed \"{caption}\" under this picture. Does that make sense, yes or no?"),
        ),
    }
)  # fmt: skip


def get_task(name: str) -> Task:
    """The task of a name; ValueError for an unknown one."""
    if name not in TASKS:
        raise ValueError(f"Found the task {name!r}, expected one of {', '.join(TASKS)}.")
    return TASKS[name]


def apply_prompt(example: Example, *, seed: int, held_out: bool = False) -> Example:
    """The example with a wording of its task around its inputs.

    The wording is drawn by (seed, source, id) and nothing else. `held_out` takes the one that training never sees.

    Raises:
        ValueError: the example has a prompt already, its task is unknown, or its inputs are not those of the task.
    """
    if example.prompt:
        raise ValueError(
            f"{example.name} has a prompt already: {example.prompt!r}. Wordings go around examples whose prompt is ''."
        )
    try:
        task = get_task(example.task)
    except ValueError as error:
        raise ValueError(f"{example.name}: {error}") from error
    if set(example.inputs) != set(task.inputs):
        raise ValueError(
            f"{example.name} brings the inputs {sorted(example.inputs)}, "
            f"but the task {example.task!r} takes {sorted(task.inputs)}."
        )
    draw = stable_random(seed, example.source, example.id)
    wording = task.held_out if held_out else draw.choice(task.wordings)
    return replace(example, prompt=wording.text.format(language=get_language(example.language).name, **example.inputs))
