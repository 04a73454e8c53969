"""Ranking 1,800 answers to a question about an image, against 1,800 forwards of the same model, one per answer.

    python benchmarks/ranking.py [--language-model bloomz-7b1] [--device cuda] [--forwards 180]

The weights are random. We compare the log-likelihood of every answer from both sides. The answers have the lengths
that we assume for a vocabulary like GQA's with a tokenizer of 250,000 tokens: 1.8 tokens and the end, on average. The
bound counts floating-point operations. `batched` is the simplest improvement: it encodes the image once and batches
prompts with their answers, but reads every prompt again for each answer.

The forwards run in parts (`--rounds`); before each part we rank all answers. On a CPU we report the process's CPU
time, because other processes would distort the wall time.
"""

import argparse
import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import torch
import transformers
from flop_counts import count_flops
from model_pair import add_pair_arguments, build_pair, chosen_dtype, chosen_shape
from model_shapes import Shape
from paired_inputs import FIRST_TOKEN
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from mblip.data.collator import IGNORED
from mblip.evaluation.likelihood.ranking import rank
from modeling_mblip import MBlipForConditionalGeneration
from processing_mblip import MBlipImageProcessor, MBlipProcessor

NUM_PROMPT_TOKENS = 16  # "Question: ... Short answer in English:"
ANSWER_LENGTHS, LENGTH_SHARES = (1, 2, 3, 4), (0.45, 0.35, 0.15, 0.05)


@dataclass(frozen=True)
class Asked:
    """An image, a prompt about it, and answers; `joined` holds the inputs of a forward for each answer."""

    pixel_values: torch.Tensor
    prompt: str
    answers: list[str]
    joined: list[dict[str, torch.Tensor]]


def token_processor(shape: Shape) -> MBlipProcessor:
    """A processor whose tokens are `w10`, `w11` ..., by their ids, with the language model's own special tokens."""
    special = {f"{name}_token": f"<{name}>" for name in ("pad", "eos")}
    ids = {f"<{name}>": shape.text[f"{name}_token_id"] for name in ("pad", "eos")}
    ids |= {f"w{i}": i for i in range(FIRST_TOKEN, shape.vocab_size)}
    words = Tokenizer(models.WordLevel(ids, unk_token="<pad>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    size = {"height": shape.vision["image_size"], "width": shape.vision["image_size"]}
    return MBlipProcessor(
        MBlipImageProcessor(size=size),
        PreTrainedTokenizerFast(tokenizer_object=words, **special),
        num_query_tokens=shape.num_query_tokens,
        image_token_id=shape.image_token_id,
    )


def ask(model: MBlipForConditionalGeneration, shape: Shape, num_answers: int) -> Asked:
    """A question with different random answers."""
    rng = random.Random(0)

    def random_tokens(length: int) -> list[int]:
        return [rng.randrange(FIRST_TOKEN, shape.image_token_id) for _ in range(length)]

    prompt = random_tokens(NUM_PROMPT_TOKENS)
    answers: dict[tuple[int, ...], None] = {}
    while len(answers) < num_answers:
        answers[tuple(random_tokens(*rng.choices(ANSWER_LENGTHS, LENGTH_SHARES)))] = None
    size = shape.vision["image_size"]
    pixels = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0)).to(model.device, model.dtype)
    ids = [shape.image_token_id] * shape.num_query_tokens + prompt
    end = shape.text["eos_token_id"]
    return Asked(
        pixel_values=pixels,
        prompt=_text(prompt),
        answers=[_text(answer) for answer in answers],
        joined=[_forward_inputs(model, ids, [*answer, end]) for answer in answers],
    )


def _text(tokens: Sequence[int]) -> str:
    return " ".join(f"w{token}" for token in tokens)


def _forward_inputs(
    model: MBlipForConditionalGeneration, prompt: list[int], answer: list[int]
) -> dict[str, torch.Tensor]:
    """`input_ids` and `labels` of one row."""
    is_joined = not model.config.is_encoder_decoder
    rows = {
        "input_ids": prompt + answer if is_joined else prompt,
        "labels": [IGNORED] * len(prompt) + answer if is_joined else answer,
    }
    return {name: torch.tensor([row], device=model.device) for name, row in rows.items()}


@torch.no_grad()
def by_rank(
    model: MBlipForConditionalGeneration, processor: MBlipProcessor, asked: Asked, batch_size: int
) -> torch.Tensor:
    """Ours: the log-likelihood of every answer."""
    features = model.get_image_features(asked.pixel_values).pooler_output
    ranked = rank(model, processor, [asked.prompt], asked.answers, image_features=features, batch_size=batch_size)
    return ranked[0].log_likelihoods


@torch.no_grad()
def by_forwards(model: MBlipForConditionalGeneration, asked: Asked, chosen: Sequence[int]) -> torch.Tensor:
    """A forward for each of the chosen answers."""
    found = []
    for i in chosen:
        loss = model(pixel_values=asked.pixel_values, **asked.joined[i]).loss
        found.append(-loss.double().cpu() * (asked.joined[i]["labels"] != IGNORED).sum().cpu())
    return torch.stack(found)


@torch.no_grad()
def by_batches(
    model: MBlipForConditionalGeneration, asked: Asked, chosen: Sequence[int], batch_size: int
) -> torch.Tensor:
    """Answers of one length in batches behind one encoding of the image; the sum over all, as `loss` has it."""
    features = model.get_image_features(asked.pixel_values).pooler_output
    by_length: dict[int, list[int]] = {}
    for i in chosen:
        by_length.setdefault(asked.joined[i]["labels"].shape[1], []).append(i)
    total = torch.zeros((), dtype=torch.float64)
    for group in by_length.values():
        for start in range(0, len(group), batch_size):
            rows = [asked.joined[i] for i in group[start : start + batch_size]]
            inputs = {name: torch.cat([row[name] for row in rows]) for name in rows[0]}
            shown = {"image_features": features, "image_indices": torch.zeros(len(rows), dtype=torch.long)}
            loss = model(**inputs, **shown).loss
            total -= loss.double().cpu() * (inputs["labels"] != IGNORED).sum().cpu()
    return total


class Times:
    """Seconds of the sides' runs, and how far their results are apart."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.differences: list[float] = []

    def take(self, side: str, run: Callable[[], torch.Tensor]) -> torch.Tensor:
        """The result of a run, whose time is noted."""
        start = self._now()
        result = run()
        self.seconds[side].append(self._now() - start)
        return result

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            return time.perf_counter()
        return time.process_time()


def build(arguments: argparse.Namespace) -> tuple[MBlipForConditionalGeneration, Asked, MBlipProcessor]:
    """The model, what it is asked, and the processor."""
    shape = chosen_shape(arguments)
    model = build_pair(shape, arguments.device, chosen_dtype(arguments)).ours
    return model, ask(model, shape, arguments.answers), token_processor(shape)


def measure(arguments: argparse.Namespace) -> str:
    """The table."""
    model, asked, processor = build(arguments)
    chosen = range(0, arguments.answers, arguments.answers // arguments.forwards)
    scale = arguments.answers / len(chosen)
    bound = count_flops(lambda: by_forwards(model, asked, chosen[:1])) * arguments.answers
    bound /= count_flops(lambda: by_rank(model, processor, asked, arguments.batch_size))
    times = Times(model.device)
    for start in range(arguments.rounds):
        part = chosen[start :: arguments.rounds]
        ranked = times.take("rank", lambda: by_rank(model, processor, asked, arguments.batch_size))
        forwards = times.take("forwards", lambda part=part: by_forwards(model, asked, part))
        times.take("batched", lambda part=part: by_batches(model, asked, part, arguments.batch_size))
        times.differences.append(float(((ranked[list(part)] - forwards) / forwards).abs().max()))
    ours, theirs = median(times.seconds["rank"]), sum(times.seconds["forwards"]) * scale
    dtype = str(model.dtype).removeprefix("torch.")
    print(f"Ranking: {chosen_shape(arguments).describe()}; {dtype}, {torch.get_num_threads()} CPU threads")
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, batches of {arguments.batch_size}")
    return (
        f"| language model | answers | rank | {arguments.answers:,} forwards ({len(chosen):,} run) | ratio | bound "
        "| batched, prompts read again | largest relative difference |\n"
        "|---|---:|---:|---:|---:|---:|---:|---:|\n"
        f"| {arguments.language_model} | {arguments.answers:,} | {ours:.2f} s | {theirs:.1f} s "
        f"| {theirs / ours:.1f} | {bound:.1f} | {sum(times.seconds['batched']) * scale:.1f} s "
        f"| {max(times.differences):.1e} |"
    )


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_pair_arguments(made)
    made.add_argument("--answers", type=int, default=1800)
    made.add_argument("--forwards", type=int, default=1800, help="so many forwards are run; their time is scaled")
    made.add_argument("--batch-size", type=int, default=64)
    made.set_defaults(rounds=6)
    return made


if __name__ == "__main__":
    print(measure(parser().parse_args()))
