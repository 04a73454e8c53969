"""The language models of the quickstart, trained on texts about the drawn world without any image.

The texts are of a kind that multilingual language models know: translations ("<caption> Say it in Swahili:"), and
questions about a text with their answers. No text contains a held-out composition.

Training begins with phrases of one group and continues with whole captions. In a phrase every word of the translation
comes from one word. What the model learns there ("star" is "nyota") carries over to new combinations.

- `english`: a T5, the language model of the English BLIP-2.
- `multilingual`: an mT5 that has read twelve languages.
- `decoder_only`: a Llama that has read the same.
"""

import random
from collections.abc import Iterator, Sequence

import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MT5Config,
    MT5ForConditionalGeneration,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from mblip.data.languages import get_language
from scenes.languages import caption, questions
from scenes.world import Scene, sample_held_out_scene, sample_training_scene

TRANSLATION_TEMPLATES = (
    "{text} Translate into {language}:",
    "{text} In {language}:",
    "Translate into {language}: {text}",
    "{text} Say it in {language}:",
    "Write in {language}: {text}",
    "{text} The same in {language}:",
)
QUESTION_TEMPLATES = (
    "{text} Question: {question} Short answer in {language}:",
    "{text} {question} Answer in {language}:",
    "{text} Q: {question} A, in {language}:",
)
QUESTION_SHARE = 0.2
SINGLE_SHARE = 0.1  # the share of phrases of one group among the captions
ENGLISH_SHARE = 0.5  # the share of English among the texts to translate
IGNORED = -100
BATCH_SIZE = 96
BUCKET = 12  # batches are cut from so many batches' worth of texts, sorted by length


def draw_text(rng: random.Random, languages: Sequence[str], single_share: float) -> tuple[str, str]:
    """A text with its instruction, and the answer. A share of `single_share` are phrases of one group."""
    scene = sample_training_scene(rng)
    if rng.random() < single_share:
        scene = Scene(rng.choice(scene.groups))
    target = rng.choice(languages)
    source = "en" if rng.random() < ENGLISH_SHARE else rng.choice(languages)
    name, asked = get_language(target).name, questions(scene, target)
    if asked and rng.random() < QUESTION_SHARE:
        drawn = rng.choice(asked)
        template = rng.choice(QUESTION_TEMPLATES)
        return template.format(text=caption(scene, source), question=drawn.question, language=name), drawn.answer
    return rng.choice(TRANSLATION_TEMPLATES).format(text=caption(scene, source), language=name), caption(scene, target)


class Texts(torch.utils.data.IterableDataset):
    """Batches of token ids of (text, answer), never repeating; `num_single_batches` of single groups come first."""

    def __init__(
        self,
        seed: int,
        tokenizer: PreTrainedTokenizerFast,
        languages: Sequence[str],
        num_single_batches: int,
        *,
        is_joined: bool,
    ) -> None:
        self.seed, self.tokenizer, self.languages = seed, tokenizer, languages
        self.num_single_batches, self.is_joined = num_single_batches, is_joined

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        rng, num_batches = random.Random(self.seed), 0
        while True:
            single_share = 1.0 if num_batches < self.num_single_batches else SINGLE_SHARE
            texts = [draw_text(rng, self.languages, single_share) for _ in range(BATCH_SIZE * BUCKET)]
            encoded = [self._encode(column) for column in zip(*texts, strict=True)]
            pairs = sorted(zip(*encoded, strict=True), key=lambda pair: (len(pair[1]), len(pair[0])))
            starts = list(range(0, len(pairs), BATCH_SIZE))
            rng.shuffle(starts)
            for start in starts:
                batch = pairs[start : start + BATCH_SIZE]
                yield self._joined(batch) if self.is_joined else self._separate(batch)
            num_batches += len(starts)

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        return self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]

    def _separate(self, pairs: list[tuple[list[int], list[int]]]) -> dict[str, torch.Tensor]:
        eos = self.tokenizer.eos_token_id
        inputs = pad_sequence([torch.tensor([*text, eos]) for text, _ in pairs], batch_first=True)
        labels = pad_sequence(
            [torch.tensor([*answer, eos]) for _, answer in pairs], batch_first=True, padding_value=IGNORED
        )
        return {"input_ids": inputs, "attention_mask": (inputs != 0).long(), "labels": labels}

    def _joined(self, pairs: list[tuple[list[int], list[int]]]) -> dict[str, torch.Tensor]:
        """Text, answer and end in one sequence. Only the answer has labels."""
        eos = self.tokenizer.eos_token_id
        ids = [torch.tensor([*text, *answer, eos]) for text, answer in pairs]
        labels = [torch.tensor([IGNORED] * len(text) + [*answer, eos]) for text, answer in pairs]
        inputs = pad_sequence(ids, batch_first=True)
        return {
            "input_ids": inputs,
            "attention_mask": (inputs != 0).long(),
            "labels": pad_sequence(labels, batch_first=True, padding_value=IGNORED),
        }


def build_language_model(kind: str, vocabulary_size: int) -> PreTrainedModel:
    """A tiny language model with random weights: `english` (T5), `multilingual` (mT5) or `decoder_only` (Llama)."""
    if kind == "decoder_only":
        return LlamaForCausalLM(
            LlamaConfig(
                vocab_size=vocabulary_size,
                hidden_size=128,
                intermediate_size=320,
                num_hidden_layers=5,
                num_attention_heads=4,
                max_position_embeddings=512,
                tie_word_embeddings=True,
                pad_token_id=0,
                bos_token_id=None,
                eos_token_id=1,
            )
        )
    sizes = {"vocab_size": vocabulary_size, "d_model": 128, "d_kv": 32, "d_ff": 256, "num_heads": 4}
    sizes |= {"dropout_rate": 0.0, "decoder_start_token_id": 0}
    if kind == "english":
        model = T5ForConditionalGeneration(T5Config(**sizes, num_layers=2, num_decoder_layers=2))
    else:
        model = MT5ForConditionalGeneration(MT5Config(**sizes, num_layers=3, num_decoder_layers=3))
    with torch.no_grad():
        model.shared.weight.mul_(0.15 if kind == "multilingual" else 1.0)  # mT5 does not scale its logits by the width
    return model


def text_loss(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The mean loss over the answers' tokens; in bfloat16, which is a third faster on a CPU that has it."""
    with torch.autocast("cpu", torch.bfloat16):
        if model.config.is_encoder_decoder:
            return model(**batch).loss
        labels = batch["labels"][:, 1:]
        hidden = model.model(batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state[:, :-1]
        is_answer = labels != IGNORED
        return cross_entropy(model.lm_head(hidden[is_answer]).float(), labels[is_answer])


def translation_accuracy(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, languages: Sequence[str], num_scenes: int = 24
) -> str:
    """Exact matches of captions of held-out scenes, translated from English."""
    rng = random.Random("translation accuracy")
    scenes = [sample_held_out_scene(rng) for _ in range(num_scenes)]
    model.eval()
    shares = {language: _share_right(model, tokenizer, scenes, language) for language in languages}
    model.train()
    return (
        f"held-out scenes: {sum(shares.values()) / len(shares):.3f}, { ({k: round(v, 2) for k, v in shares.items()}) }"
    )


@torch.no_grad()
def _share_right(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, scenes: Sequence[Scene], language: str
) -> float:
    texts = [f"{caption(scene, 'en')} Translate into {get_language(language).name}:" for scene in scenes]
    is_encoder_decoder = model.config.is_encoder_decoder
    side = "right" if is_encoder_decoder else "left"
    inputs = tokenizer(texts, return_tensors="pt", padding=True, padding_side=side, return_token_type_ids=False)
    ids = model.generate(**inputs, max_new_tokens=40, do_sample=False)
    new_ids = ids if is_encoder_decoder else ids[:, inputs["input_ids"].shape[1] :]
    answers = tokenizer.batch_decode(new_ids, skip_special_tokens=True)
    return sum(
        answer.strip() == caption(scene, language) for answer, scene in zip(answers, scenes, strict=True)
    ) / len(scenes)
