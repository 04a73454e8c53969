"""Make the quickstart's translator: `python quickstart/tiny_nllb.py`.

It is a tiny NLLB, which lets you run the translation code on any machine. It has the same model class (M2M100) and the
same kind of tokenizer (`NllbTokenizer`: byte-pair tokens, and one token per language with the same codes). We train it
from scratch. It translates the drawn world's captions, questions and answers from English into its eleven other
languages, and captions and answers back. It knows no other words and turns any other text into the drawn world's
words.

It takes one CPU core. README.md beside the weights has the figures of the committed weights. No training text contains
a held-out composition, so captions of held-out scenes measure translation, not memorisation.
"""

import argparse
import json
import random
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
from torch.nn.utils.rnn import pad_sequence
from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer, PreTrainedTokenizerBase

from component_training import train
from mblip.data.languages import get_language
from mblip.mix.translation.answers import AnswerTranslator
from mblip.mix.translation.nllb import NllbEngine
from mblip.mix.translation.report import TranslationReport
from scenes.languages import SCENE_LANGUAGES, caption, questions
from scenes.world import COLOURS, Scene, sample_held_out_scene, sample_training_scene

SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>")  # ids 0 to 3, as NLLB has them
PAD, END, IGNORED = 1, 2, -100
MAX_VOCABULARY = 1600
NUM_TOKENIZER_PAIRS = 15_000
NUM_SINGLE_STEPS, NUM_STEPS = 600, 2800  # phrases of one group, all
BACK_SHARE = 0.2  # the share of pairs to translate into English
QUESTION_SHARE, ANSWER_SHARE, PHRASE_SHARE = 0.15, 0.08, 0.1  # the rest are whole captions
BATCH_SIZE = 96
BUCKET = 12  # batches are cut from so many batches' worth of pairs, sorted by length


@dataclass(frozen=True)
class Pair:
    """A text and its translation, with the codes of their languages."""

    source: str
    text: str
    target: str
    translation: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "translator")
    parser.add_argument("--steps", type=int, nargs=2, default=(NUM_SINGLE_STEPS, NUM_STEPS), metavar=("SINGLE", "ALL"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    model = build_translator(8 * (len(tokenizer) // 8 + 1)).train()
    num_single_steps, num_steps = arguments.steps
    train(
        "translator",
        batches(tokenizer, num_single_steps),
        lambda batch: translation_loss(model, batch),
        model.parameters(),
        num_steps=num_steps,
        learning_rate=2e-3,
        evaluate=lambda: "",
        eval_steps=400,
    )
    model.half().save_pretrained(arguments.output)  # half the size; the figures are those of what is saved
    tokenizer.save_pretrained(arguments.output)
    print_table(NllbEngine(arguments.output))


def draw_pair(rng: random.Random, *, is_single: bool = False) -> Pair:
    """A pair of the drawn world; `is_single`: phrases of one group, questions and answers only."""
    scene = sample_training_scene(rng)
    language = rng.choice([code for code in SCENE_LANGUAGES if code != "en"])
    source, target = (language, "en") if rng.random() < BACK_SHARE else ("en", language)
    draw = rng.random()
    if draw < QUESTION_SHARE + ANSWER_SHARE and (asked := questions(scene, source)):
        position = rng.randrange(len(asked))
        part = "question" if draw < QUESTION_SHARE else "answer"
        return Pair(source, getattr(asked[position], part), target, getattr(questions(scene, target)[position], part))
    if is_single or draw > 1 - PHRASE_SHARE:
        scene = Scene(rng.choice(scene.groups))
    return Pair(source, caption(scene, source), target, caption(scene, target))


def make_tokenizer() -> NllbTokenizer:
    """An `NllbTokenizer` whose pieces are learned from the drawn world, with the codes of its languages alone."""
    rng = random.Random("translator's tokenizer")
    learned = Tokenizer(models.BPE(unk_token="<unk>"))
    # Han characters stand alone, so that no piece spans two attributes of a scene.
    words = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    learned.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.Split(Regex(r"\p{Han}"), "isolated")])
    trainer = trainers.BpeTrainer(
        vocab_size=MAX_VOCABULARY,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=[*string.ascii_letters, *string.digits, *string.punctuation],
        show_progress=False,
    )
    pairs = [draw_pair(rng) for _ in range(NUM_TOKENIZER_PAIRS)]
    learned.train_from_iterator((text for pair in pairs for text in (pair.text, pair.translation)), trainer)
    codes = [get_language(code).nllb_code for code in SCENE_LANGUAGES]
    pieces = json.loads(learned.to_str())["model"]
    merges = [tuple(merge) for merge in pieces["merges"]]
    return NllbTokenizer(vocab=pieces["vocab"], merges=merges, extra_special_tokens=codes, src_lang="eng_Latn")


def build_translator(vocabulary_size: int) -> M2M100ForConditionalGeneration:
    """NLLB's architecture with random weights, 1.2 million of them."""
    config = M2M100Config(
        vocab_size=vocabulary_size,
        d_model=128,
        encoder_layers=3,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=384,
        decoder_ffn_dim=384,
        max_position_embeddings=256,
        encoder_layerdrop=0.0,
        decoder_layerdrop=0.0,
        dropout=0.0,
        attention_dropout=0.0,
        init_std=0.06,
    )
    return M2M100ForConditionalGeneration(config)


def translation_loss(model: M2M100ForConditionalGeneration, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The mean loss over the translations' tokens; in bfloat16, which is faster on a CPU that has it."""
    with torch.autocast("cpu", torch.bfloat16):
        return model(**batch).loss


def batches(tokenizer: PreTrainedTokenizerBase, num_single_batches: int) -> Iterator[dict[str, torch.Tensor]]:
    """Batches of token ids, never repeating; `num_single_batches` without whole captions come first."""
    rng, num_batches = random.Random("translator"), 0
    while True:
        pairs = [draw_pair(rng, is_single=num_batches < num_single_batches) for _ in range(BATCH_SIZE * BUCKET)]
        encoded = [_encode(tokenizer, pair) for pair in pairs]
        encoded.sort(key=lambda ids: (len(ids[1]), len(ids[0])))
        starts = list(range(0, len(encoded), BATCH_SIZE))
        rng.shuffle(starts)
        for start in starts:
            yield _batch(encoded[start : start + BATCH_SIZE])
        num_batches += len(starts)


def _encode(tokenizer: PreTrainedTokenizerBase, pair: Pair) -> tuple[list[int], list[int]]:
    """Source and target as NLLB has them: `<language> <tokens> </s>`."""
    both = []
    for language, text in ((pair.source, pair.text), (pair.target, pair.translation)):
        code = tokenizer.convert_tokens_to_ids(get_language(language).nllb_code)
        both.append([code, *tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id])
    return both[0], both[1]


def _batch(encoded: Sequence[tuple[list[int], list[int]]]) -> dict[str, torch.Tensor]:
    """Token ids and labels; the token of the target's language is given to a translator, so it is not learned."""
    inputs = pad_sequence([torch.tensor(ids) for ids, _ in encoded], batch_first=True, padding_value=PAD)
    labels = pad_sequence([torch.tensor(ids) for _, ids in encoded], batch_first=True, padding_value=IGNORED)
    decoder_inputs = torch.cat([torch.full((len(encoded), 1), END), labels[:, :-1].clamp(min=PAD)], dim=1)
    labels[:, 0] = IGNORED
    return {
        "input_ids": inputs,
        "attention_mask": (inputs != PAD).long(),
        "decoder_input_ids": decoder_inputs,
        "labels": labels,
    }


def print_table(engine: NllbEngine, num_scenes: int = 100) -> None:
    """Captions of held-out scenes that are translated without a mistake, and answers that come back the same.

    A Markdown table with a line per language.
    """
    rng = random.Random("translator's accuracy")
    scenes = [sample_held_out_scene(rng) for _ in range(num_scenes)]
    answers = AnswerTranslator(engine, (*COLOURS, "one", "two", "three"), TranslationReport())
    print("| language | from English | into English | answers |\n|---|---:|---:|---:|")
    for code in SCENE_LANGUAGES:
        if code != "en":
            shares = [share_right(engine, scenes, source, target) for source, target in (("en", code), (code, "en"))]
            kept = answers.translate(answers.translatable_answers, get_language(code))
            num_kept = sum(translation is not None for translation in kept.values())
            print(f"| {get_language(code).name} | {shares[0]:.2f} | {shares[1]:.2f} | {num_kept} of {len(kept)} |")


def share_right(engine: NllbEngine, scenes: Sequence[Scene], source: str, target: str) -> float:
    """The share of the scenes' captions that are translated exactly as the drawn world words them."""
    texts = [caption(scene, source) for scene in scenes]
    translations = engine.translate(texts, get_language(source), get_language(target))
    wanted = [caption(scene, target) for scene in scenes]
    return sum(found == right for found, right in zip(translations, wanted, strict=True)) / len(scenes)


if __name__ == "__main__":
    main()
