"""mBLIP as a model of lmms-eval: `python -m lmms_eval --model mblip --model_args pretrained=MODEL`.

It answers requests as `mblip eval` answers examples: all of a benchmark at once, each image encoded once. With equal
`--batch_size` (lmms-eval's is 1 by default) the batches are equal. It runs the tasks of others, too. In lmms-eval's
terms it is a "simple" model, with a prompt and its images: lmms-eval's "chat" models cannot rank answers.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms
from torch import nn

from mblip.data.images import open_image
from mblip.data.languages import ENGLISH
from mblip.evaluation import OWN, EvaluationExample, EvaluationTask, GenerationSettings, Prediction
from mblip.evaluation.answer_scoring import ExactMatch
from mblip.evaluation.recipe import DtypeName, LoadIn
from mblip.evaluation.runner import RunSettings, run_task
from mblip.evaluation.task import AS_IS, Answering, check_choice
from mblip.loading import Precision, load_checkpoint

from .tasks import BENCHMARK, read_example

DEFAULT = GenerationSettings(max_new_tokens=256)  # where a task does not say
NUM_OPENED = 512  # documents of others' tasks to answer at once, whose images are in memory
Question = tuple[int, str, str]  # a document's number, task and split: the last arguments of a request


class MBlip(lmms):
    """A checkpoint or adapter. Arguments are those of `mblip eval`; `device` is by default the GPU of this process."""

    is_simple = True

    def __init__(
        self,
        pretrained: str,
        device: str | None = None,
        dtype: DtypeName = "auto",
        load_in: LoadIn | None = None,
        batch_size: int | str = 1,
    ) -> None:
        super().__init__()
        check_choice("dtype", dtype, DtypeName)
        check_choice("load_in", load_in or "8bit", LoadIn)
        gpu = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(device or gpu)
        model, self.processor = load_checkpoint(pretrained, Precision.named(dtype, load_in))
        self.model: Any = nn.Module.to(model, self.device)
        self.settings = RunSettings(int(batch_size))

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """The answers to prompts. Of `generation_kwargs`, only the fields of `GenerationSettings` count."""
        answers = self._answers(requests, defaultdict(tuple))
        return [answers[each.args[-3:]].output for each in requests]

    def loglikelihood(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
        """The loss of each candidate: its negative log-likelihood, infinite for all but the best five. lmms-eval takes
        the lowest. The flag, whether greedy decoding would write it, is always False: it is not known."""
        candidates: dict[Question, tuple[str, ...]] = defaultdict(tuple)
        for each in requests:
            if not isinstance(each.args[1], str):
                raise ValueError(f"The task {each.task_name} has no candidates, expected `multiple_choice`.")
            candidates[each.args[-3:]] += (each.args[1].strip(),)
        found = self._answers(requests, candidates)
        asked = [(found[each.args[-3:]].log_likelihoods, each.args[1].strip()) for each in requests]
        return [(-likelihoods.get(candidate, -torch.inf), False) for likelihoods, candidate in asked]

    def generate_until_multi_round(self, requests: Sequence[Instance]) -> list[str]:
        raise NotImplementedError("mBLIP answers single prompts, and no tasks of several rounds.")

    def _answers(
        self, requests: Sequence[Instance], candidates: Mapping[Question, tuple[str, ...]]
    ) -> dict[Question, Prediction]:
        """The answer to each question, generated or the best of its candidates. Repeated requests are asked once."""
        asked: dict[Question, Instance] = {each.args[-3:]: each for each in requests}
        parts: dict[tuple[str, GenerationSettings], list[Question]] = defaultdict(list)
        for number, (question, request) in enumerate(asked.items()):
            name = request.metadata.get(BENCHMARK, f"documents from {number // NUM_OPENED * NUM_OPENED}")
            parts[name, DEFAULT if candidates[question] else _generation(request.args[1])].append(question)
        answers: dict[Question, Prediction] = {}
        for (name, generation), questions in parts.items():
            examples = [self._example(asked[each], candidates[each]) for each in questions]
            how: Answering = "rank" if examples[0].candidates else "generate"
            task = EvaluationTask(name, examples, ExactMatch(), generation, OWN, how)
            found = run_task(self.model, self.processor, task, settings=self.settings, is_shared=False)
            answers |= dict(zip(questions, found, strict=True))
        return answers

    def _example(self, request: Instance, candidates: tuple[str, ...]) -> EvaluationExample:
        prompt, _, doc_to_visual, number, task, split = request.args
        document = self.task_dict[task][split][number]
        if BENCHMARK in request.metadata:
            return replace(read_example(document), prompt=prompt, candidates=candidates)
        name = f"{task}/{split}/{number}"
        images = tuple(open_image(image, name=name) for image in doc_to_visual(document) or ())
        pixels = b"".join(b"%d %d " % image.size + image.tobytes() for image in images)
        image_id = hashlib.sha256(pixels).hexdigest()
        return EvaluationExample(images, image_id, prompt, (), ENGLISH, AS_IS, name, candidates)


def _generation(arguments: Mapping[str, Any]) -> GenerationSettings:
    """The settings that `generation_kwargs` name. Raises ValueError if they ask for samples."""
    if arguments.get("do_sample") or arguments.get("temperature"):
        raise ValueError(f"Found {dict(arguments)}, but we never sample: --gen_kwargs do_sample=False,temperature=0")
    names = {field.name for field in fields(DEFAULT)}
    return replace(DEFAULT, **{name: arguments[name] for name in names if arguments.get(name) is not None})
