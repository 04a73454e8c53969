"""A model that one release of transformers exports with its code answers the same on another.

    python tests/exchange.py write FOLDER     with one release
    python tests/exchange.py read FOLDER      with another; exit status 0 if all is the same

Reading knows nothing of this project but what lies in the folder.
"""

import os
import sys
from pathlib import Path
from typing import Any

ACTION, FOLDER = sys.argv[1], Path(sys.argv[2])
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": str(FOLDER / "modules")}

import torch  # noqa: E402 (transformers looks for these variables when it is imported)
import transformers  # noqa: E402

FAMILIES = ("mt5", "bart", "bloom", "llama", "gemma2", "mamba")
GENERATIONS = {"greedy": {"num_beams": 1}, "three beams": {"num_beams": 3}}
TOLERANCE = 1e-5


def write(folder: Path) -> None:
    """Export a tiny model and its processor for each family, with its answers."""
    root = Path(__file__).parents[1]
    sys.path[:0] = [str(root), str(root / "tests")]
    from tiny import tiny_model, tiny_processor

    from modeling_mblip import MBlipConfig, MBlipForConditionalGeneration
    from processing_mblip import MBlipProcessor

    MBlipConfig.register_for_auto_class()
    MBlipForConditionalGeneration.register_for_auto_class("AutoModelForImageTextToText")
    MBlipProcessor.register_for_auto_class()
    for family in FAMILIES:
        model, processor = tiny_model(family), tiny_processor(family)
        model.save_pretrained(folder / family)
        processor.save_pretrained(folder / family)
        torch.save(_answers(model, processor), folder / family / "answers.pt")


def read(folder: Path) -> bool:
    """Load what was exported by the Auto classes, print how far it is from what was written, return whether it is
    the same.
    """
    from transformers import AutoModelForImageTextToText, AutoProcessor

    is_same = True
    for family in FAMILIES:
        position = str(folder / family)
        model = AutoModelForImageTextToText.from_pretrained(position, trust_remote_code=True).eval()
        processor = AutoProcessor.from_pretrained(position, trust_remote_code=True)
        for part in (model, processor):
            assert type(part).__module__.startswith("transformers_modules"), type(part).__module__
        written, found = torch.load(folder / family / "answers.pt"), _answers(model, processor)
        difference = (written["logits"] - found["logits"]).abs().max().item()
        others = [name for name in written if name != "logits" and not torch.equal(written[name], found[name])]
        print(f"{family:<8} largest difference of logits {difference:.1e}, others that differ: {others or 'none'}")
        is_same &= difference <= TOLERANCE and not others
    return is_same


@torch.no_grad()
def _answers(model: Any, processor: Any) -> dict[str, torch.Tensor]:
    """What the processor makes of two prompts of one image each, and the model of that."""
    generator = torch.Generator().manual_seed(0)
    images = [torch.randint(0, 256, (3, 40, 30), generator=generator, dtype=torch.uint8) for _ in range(2)]
    texts = ["caption in English a red circle", "question two green squares"]
    # One prompt at a time where there is padding: some language models read it as text.
    batches = [
        processor(images=image, text=text, return_tensors="pt") for image, text in zip(images, texts, strict=True)
    ]
    decoder = {"decoder_input_ids": torch.tensor([[0, 7, 9]])} if model.config.is_encoder_decoder else {}
    answers = {"logits": torch.cat([model(**batch, **decoder).logits.flatten() for batch in batches])}
    for name in ("input_ids", "pixel_values"):
        answers[name] = torch.cat([batch[name].flatten() for batch in batches])
    for name, arguments in GENERATIONS.items():
        ids = [model.generate(**batch, max_new_tokens=8, do_sample=False, **arguments) for batch in batches]
        answers[name] = torch.cat([row.flatten() for row in ids])
    return answers


if __name__ == "__main__":
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    print(f"{ACTION} with transformers {transformers.__version__}")
    if ACTION == "write":
        write(FOLDER)
    elif not read(FOLDER):
        sys.exit(1)
