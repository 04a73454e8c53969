"""The language models of the photos recipe: `python quickstart/photos/language_models.py english|multilingual`.

Each is trained from scratch on text alone and sees no image. A text is what the re-alignment will show the model, with
names where the image will stand: one to three names of a class in any languages, sometimes in a sentence, and a prompt
that asks for the name in one language. The answer is that name. The model thereby learns the names, translates each
into each other, and reads the class from several hints at once.

- `multilingual`: an mT5 that reads Babel-ImageNet's names of all 1,000 classes in 93 languages. Half of the texts are
  about the 200 classes of Tiny-ImageNet.
- `english`: a T5 that reads the English names.
"""

import argparse
import json
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    MT5Config,
    MT5ForConditionalGeneration,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

sys.path.insert(0, str(Path(__file__).parents[1]))
from class_names import photo_classes, prompts, read_names
from component_training import EOS, PAD, SPACE, UNK, train

PHOTO_CLASS_SHARE = 0.8  # of the texts; the other classes have no photos
ENGLISH_SHARE = 0.4  # of the names in a text
SENTENCE_SHARE = 0.1  # of the texts: the first name stands in a sentence of its language
NUM_NAMES = (1, 1, 2)
NUM_SAMPLED = 1536  # tokens without a label in the batch that the loss counts
IGNORED = -100
BATCH_SIZE, BUCKET = 256, 128  # batches are cut from so many batches' worth of texts, sorted by length
SIZES = {
    "english": {"vocabulary": 3_000, "d_model": 192, "layers": 2, "steps": 400},
    "multilingual": {"vocabulary": 32_000, "d_model": 256, "layers": 2, "steps": 4_400},
}


@dataclass(frozen=True)
class World:
    """Names by class and language, the classes that have photos, and sentences by language."""

    names: dict[int, dict[str, str]]
    with_photos: list[int]
    sentences: dict[str, list[str]]

    @classmethod
    def read(cls, data: Path, languages: Sequence[str] | None) -> "World":
        """From a folder with `babel_imagenet`, `imagenet` and `tiny_imagenet`. `languages`: None takes all."""
        names = read_names(data / "babel_imagenet" / "babel_imagenet.json")
        if languages is not None:
            names = {index: {language: labels[language] for language in languages} for index, labels in names.items()}
        published = json.loads((data / "babel_imagenet" / "nllb_dist13b_prompts.json").read_text(encoding="utf-8"))
        codes = {"HE": "iw", "TL": "fil"}
        sentences = {codes.get(code, code.lower()): texts for code, texts in published.items()}
        sentences["en"] = ["a photo of a {}.", "a blurry photo of the {}.", "this is a {}", "a {} in a picture"]
        archive = data / "tiny_imagenet" / "tiny-imagenet-200.zip"
        classes = photo_classes(archive, data / "imagenet" / "imagenet_classes.json")
        return cls(names, classes, sentences)

    def draw(self, rng: random.Random) -> tuple[tuple[str, ...], str, str]:
        """The parts of a text (names or a sentence), the prompt, and the answer."""
        index = rng.choice(self.with_photos) if rng.random() < PHOTO_CLASS_SHARE else rng.choice(list(self.names))
        names = self.names[index]
        languages = list(names)
        target = rng.choice(languages)
        read = ["en" if rng.random() < ENGLISH_SHARE else rng.choice(languages) for _ in range(rng.choice(NUM_NAMES))]
        parts = [names[language] for language in read]
        if read[0] in self.sentences and rng.random() < SENTENCE_SHARE:
            parts[0] = rng.choice(self.sentences[read[0]]).replace("{}", parts[0]).strip()
        return tuple(parts), rng.choice(prompts(target)), names[target]


def train_tokenizer(world: World, vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-pair tokenizer whose tokens may span spaces, so that frequent names and prompts are single tokens."""
    texts = []
    for index, names in world.names.items():
        texts += list(names.values()) * (5 if index in set(world.with_photos) else 1)
    languages = sorted({language for names in world.names.values() for language in names})
    texts += [prompt for language in languages for prompt in prompts(language)] * 20
    texts += [
        text.replace("{}", "").strip() for language in sorted(languages) for text in world.sentences.get(language, ())
    ]
    tokenizer = Tokenizer(models.BPE(unk_token=UNK, byte_fallback=True))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always", split=False)
    # The decoder of Metaspace would remove every space of a first token.
    spaced = [decoders.Replace(SPACE, " "), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse(), *spaced])
    byte_pieces = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=[PAD, EOS, UNK, *byte_pieces], show_progress=False, max_token_length=48
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {EOS}", special_tokens=[(EOS, 1)])
    description = json.loads(tokenizer.to_str())  # special tokens would not appear in decoded text
    description["added_tokens"] = [
        token for token in description["added_tokens"] if token["content"] not in byte_pieces
    ]
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(description)), pad_token=PAD, eos_token=EOS, unk_token=UNK
    )


def build(kind: str, num_tokens: int) -> PreTrainedModel:
    """A T5 (`english`) or an mT5 (`multilingual`) with random weights."""
    size = SIZES[kind]
    width = {"d_model": size["d_model"], "d_kv": 32, "d_ff": 2 * size["d_model"], "num_heads": size["d_model"] // 32}
    depth = {"num_layers": size["layers"], "num_decoder_layers": size["layers"]}
    common = {"vocab_size": num_tokens, "feed_forward_proj": "relu", "dropout_rate": 0.0, "decoder_start_token_id": 0}
    if kind == "english":
        return T5ForConditionalGeneration(T5Config(**common, **width, **depth))
    model = MT5ForConditionalGeneration(MT5Config(**common, **width, **depth))
    with torch.no_grad():
        model.shared.weight.mul_(0.1)  # mT5 does not scale its logits by the width
    return model


def batches(world: World, tokenizer: PreTrainedTokenizerFast, seed: int) -> Iterator[dict[str, torch.Tensor]]:
    """Batches of texts without end."""
    rng, known = random.Random(seed), {}

    def ids(text: str) -> list[int]:
        if text not in known:
            known[text] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return known[text]

    while True:
        texts = [world.draw(rng) for _ in range(BATCH_SIZE * BUCKET)]
        pairs = [
            ([id for part in (*parts, prompt) for id in ids(part)], ids(answer)) for parts, prompt, answer in texts
        ]
        pairs.sort(key=lambda pair: (len(pair[0]) // 2, len(pair[1])))
        starts = list(range(0, len(pairs), BATCH_SIZE))
        rng.shuffle(starts)
        for start in starts:
            batch = pairs[start : start + BATCH_SIZE]
            inputs = pad_sequence([torch.tensor([*text, tokenizer.eos_token_id]) for text, _ in batch], True)
            labels = [torch.tensor([*answer, tokenizer.eos_token_id]) for _, answer in batch]
            labels = pad_sequence(labels, batch_first=True, padding_value=IGNORED)
            yield {"input_ids": inputs, "attention_mask": (inputs != tokenizer.pad_token_id).long(), "labels": labels}


def text_loss(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The mean loss over the answers' tokens, among the tokens of the batch's answers and a sample of the others: the
    whole vocabulary would take three times as long."""
    labels = batch["labels"]
    encoded = model.encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
    decoded = model.decoder(
        input_ids=model._shift_right(labels),
        encoder_hidden_states=encoded,
        encoder_attention_mask=batch["attention_mask"],
        use_cache=False,
    ).last_hidden_state
    is_label = labels != IGNORED
    sample = torch.randint(model.config.vocab_size, (NUM_SAMPLED,))
    counted, positions = torch.unique(torch.cat([labels[is_label], sample]), return_inverse=True)
    return cross_entropy(decoded[is_label] @ model.shared.weight[counted].T, positions[: int(is_label.sum())])


@torch.no_grad()
def accuracy(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, world: World, num_pairs: int = 600) -> str:
    """Names of photo classes written to the letter, asked with an English name (or with two others)."""
    rng, model = random.Random("accuracy"), model.eval()
    shares = []
    for is_english in (True, False):
        asked, names = [], []
        for _ in range(num_pairs):
            labels = world.names[rng.choice(world.with_photos)]
            target = rng.choice(list(labels))
            given = ["en"] if is_english else rng.choices(list(labels), k=2)
            ids = tokenizer([labels[language] for language in given], add_special_tokens=False)["input_ids"]
            asked.append([*chain(*ids), *tokenizer(prompts(target)[0])["input_ids"]])
            names.append(labels[target])
        inputs = pad_sequence([torch.tensor(ids) for ids in asked], batch_first=True)
        said = model.generate(
            input_ids=inputs, attention_mask=(inputs != 0).long(), max_new_tokens=24, do_sample=False
        )
        said = tokenizer.batch_decode(said, skip_special_tokens=True)
        shares.append(sum(a.strip() == b for a, b in zip(said, names, strict=True)) / num_pairs)
    model.train()
    return f"named to the letter from English {shares[0]:.3f}, from two names in any language {shares[1]:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=sorted(SIZES))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, help="folder to write; by default outputs/photos/KIND")
    parser.add_argument("--steps", type=int, help="0: random weights, for a baseline")
    arguments = parser.parse_args()
    size = SIZES[arguments.kind]
    torch.set_num_threads(1)
    torch.manual_seed(0)
    world = World.read(arguments.data, ["en"] if arguments.kind == "english" else None)
    tokenizer = train_tokenizer(world, size["vocabulary"])
    model = build(arguments.kind, 8 * (len(tokenizer) // 8 + 1)).train()
    print(f"{arguments.kind}: {model.num_parameters():,} parameters, {len(tokenizer):,} tokens", flush=True)
    folder = arguments.output or Path("outputs/photos") / arguments.kind
    folder.mkdir(parents=True, exist_ok=True)
    num_steps = size["steps"] if arguments.steps is None else arguments.steps
    if num_steps:
        train(
            arguments.kind,
            batches(world, tokenizer, seed=1),
            lambda batch: text_loss(model, batch),
            model.parameters(),
            num_steps=num_steps,
            learning_rate=2e-3,
            evaluate=lambda: accuracy(model, tokenizer, world),
            eval_steps=200,
            checkpoint=folder / "training.pt",
        )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main()
