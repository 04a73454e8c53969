"""Make the quickstart's components: `python quickstart/make_components.py english|multilingual|decoder_only`.

Each command trains one component from scratch on the drawn world and saves it in 16 bit with `save_pretrained`.
README.md in this folder has the figures of the committed components. Each takes one CPU core. Different machines give
slightly different weights.
"""

import argparse
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader, IterableDataset
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    Blip2Processor,
    BlipImageProcessorPil,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from component_training import train, train_tokenizer
from english_blip2 import (
    NUM_QUERY_TOKENS,
    AttributeHeads,
    Captions,
    Lessons,
    attribute_accuracy,
    attribute_loss,
    build_english_blip2,
    caption_accuracy,
    pixel_values,
)
from mblip.data.prompts import TASKS
from scenes.drawing import IMAGE_SIZE
from scenes.languages import SCENE_LANGUAGES
from text_components import Texts, build_language_model, draw_text, text_loss, translation_accuracy

# The tasks whose templates trained the committed tokenizer. Other tasks would give another tokenizer.
TOKENIZER_TASKS = ("captioning", "vqa", "question_generation", "image_naming", "image_deciding", "matching")
NUM_TOKENIZER_TEXTS = 30_000
TEXT_STEPS = {"english": (500, 3000), "multilingual": (1200, 7000), "decoder_only": (1200, 4500)}  # single groups, all
# Rounds of attributes: share of things in the world, steps, learning rate; things outside the world come first.
ATTRIBUTE_STEPS = ((0.0, 1500, 1.5e-3), (0.6, 2500, 1.5e-3), (0.8, 2000, 1e-3))
CAPTION_STEPS = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("component", choices=["english", "multilingual", "decoder_only"])
    parser.add_argument("--output", type=Path, help="folder to write; by default the one beside this file")
    parser.add_argument("--work", type=Path, default=Path("outputs/components"), help="folder for the finished parts")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = arguments.output or Path(__file__).parent / f"{arguments.component}_component"
    arguments.work.mkdir(parents=True, exist_ok=True)
    model, tokenizer = train_text_component(arguments.component, arguments.work / f"{arguments.component}_texts")
    if arguments.component == "english":
        seeing = train_seeing(arguments.work / "english_attributes.safetensors")
        model = train_captions(model, tokenizer, seeing)
        image_processor = BlipImageProcessorPil(size={"height": IMAGE_SIZE, "width": IMAGE_SIZE})
        Blip2Processor(image_processor, tokenizer, num_query_tokens=NUM_QUERY_TOKENS).save_pretrained(folder)
    model.to(torch.float16).save_pretrained(folder)  # half the size; README.md's figures are those of what is saved
    tokenizer.save_pretrained(folder)


def train_text_component(kind: str, finished: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """A language model of the drawn world, and its tokenizer. Loaded from `finished` if it exists."""
    auto_class = AutoModelForCausalLM if kind == "decoder_only" else AutoModelForSeq2SeqLM
    if finished.exists():
        return auto_class.from_pretrained(finished), AutoTokenizer.from_pretrained(finished)
    torch.manual_seed(0)
    languages = ("en",) if kind == "english" else SCENE_LANGUAGES
    num_single_steps, num_steps = TEXT_STEPS[kind]
    tokenizer = train_tokenizer(tokenizer_texts(languages), appends_eos=kind != "decoder_only")
    model = build_language_model(kind, vocabulary_size=8 * (len(tokenizer) // 8 + 1)).train()
    texts = Texts(1, tokenizer, languages, num_single_steps, is_joined=kind == "decoder_only")
    train(
        f"{kind} texts",
        batches(texts),
        lambda batch: text_loss(model, batch),
        model.parameters(),
        num_steps=num_steps,
        learning_rate=8e-4,
        evaluate=lambda: translation_accuracy(model, tokenizer, languages),
    )
    model.save_pretrained(finished)
    tokenizer.save_pretrained(finished)
    return model, tokenizer


def train_seeing(finished: Path) -> dict[str, torch.Tensor]:
    """Weights of ViT, Q-Former and query tokens after the attributes. Loaded from `finished` if it exists."""
    if finished.exists():
        return load_file(finished)
    torch.manual_seed(0)
    model, heads = build_english_blip2(build_language_model("english", vocabulary_size=8), 0), AttributeHeads()
    seeing = [*model.vision_model.parameters(), *model.qformer.parameters(), model.query_tokens]
    for seed, (named_share, num_steps, learning_rate) in enumerate(ATTRIBUTE_STEPS):
        train(
            f"attributes, {named_share:.0%} of the world",
            batches(Lessons(seed, named_share)),
            lambda batch: attribute_loss(model, heads, batch),
            [*seeing, *heads.parameters()],
            num_steps=num_steps,
            learning_rate=learning_rate,
            evaluate=lambda: attribute_accuracy(model, heads),
        )
    state = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("language_")}
    save_file(state, finished)
    return state


def train_captions(
    language_model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, seeing: dict[str, torch.Tensor]
) -> PreTrainedModel:
    """Train the English BLIP-2 on captions, with a frozen ViT and a frozen language model."""
    torch.manual_seed(0)
    model = build_english_blip2(language_model, image_token_id=len(tokenizer))
    unexpected = model.load_state_dict(seeing, strict=False).unexpected_keys
    assert not unexpected, unexpected
    for frozen in (model.vision_model, model.language_model):
        frozen.requires_grad_(False)
    train(
        "captions",
        batches(Captions(10, tokenizer, len(tokenizer))),
        lambda batch: model(pixel_values=pixel_values(batch.pop("images")), **batch).loss,
        [parameter for parameter in model.parameters() if parameter.requires_grad],
        num_steps=CAPTION_STEPS,
        learning_rate=1e-3,
        evaluate=lambda: caption_accuracy(model, tokenizer),
    )
    return model


def tokenizer_texts(languages: Sequence[str]) -> Iterator[str]:
    """The texts that train the tokenizer: those of the drawn world, and the prompt templates."""
    rng = random.Random("tokenizer")
    for _ in range(NUM_TOKENIZER_TEXTS):
        yield from draw_text(rng, languages, single_share=0.2)
    for name in TOKENIZER_TASKS:
        task = TASKS[name]
        yield from [template.text.replace("{", " ").replace("}", " ") for template in task.templates] * 50


def batches(dataset: IterableDataset) -> Iterator[dict[str, torch.Tensor]]:
    """The batches of `dataset`, made in a second process."""
    return iter(DataLoader(dataset, batch_size=None, num_workers=1, prefetch_factor=4))


if __name__ == "__main__":
    main()
