"""Write a model in the layout of another program.

    mblip export --to blip2 MODEL FOLDER [--images-first] [--max-shard-size 5GB]

`blip2` is transformers' own `Blip2ForConditionalGeneration`, which vLLM serves as well:

    vllm serve FOLDER

MODEL is an mBLIP model with a decoder-only language model. An adapter is merged into its base on the way. FOLDER is
written atomically: weights in their dtype, tokenizer, image processor, chat template and a model card. Both programs
show one image per prompt and put it in front of the whole prompt.
"""

import argparse
import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import ModelCard, ModelCardData
from torch import nn
from transformers import (
    AddedToken,
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    Blip2VisionConfig,
    BlipImageProcessorPil,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
)

from mblip.atomic_write import atomic_folder
from mblip.loading import Precision, base_of_adapter, load_checkpoint
from mblip.training.divergence import check_finite
from modeling_mblip.checkpoint_reading import check_location, find_file
from modeling_mblip.configuration_mblip import IMAGE_TOKEN, MBlipConfig
from modeling_mblip.modeling_mblip import MBlipForConditionalGeneration
from processing_mblip import MBlipImageProcessor, MBlipProcessor
from processing_mblip.prompt_encoding import special_tokens_around

CARD_FILE, SOURCE_CARD_FILE = "README.md", "MODEL_CARD.md"
# The language models of which tests/test_vllm.py has compared the answers in vLLM 0.32 with ours.
LANGUAGE_MODELS = ["cohere", "cohere2", "gemma", "gemma2", "gemma3_text", "granite"]
LANGUAGE_MODELS += ["llama", "mistral", "opt", "phi3", "qwen2", "qwen3"]
# For a tokenizer without a chat template, this joins messages as MBlipProcessor does. vLLM would otherwise write
# "Question: ... Answer:". The comment holds `<image>`, so MBlipProcessor does not write it into the text.
CHAT_TEMPLATE = (
    "{#- <image> tokens stand in front of the whole prompt, so the template does not write them. -#}FRONT"
    "{%- for message in messages -%}"
    "{%- if message.content is string -%}{{ message.content }}"
    "{%- else -%}{%- for part in message.content -%}{{ part.text if part.type == 'text' else '' }}{%- endfor -%}"
    "{%- endif -%}{{ '' if loop.last else '\\n' }}{%- endfor -%}BACK"
)
CARD = """
# {name}, in BLIP-2's layout

This is `{name}`, written by `mblip export --to blip2`: a ViT and a Q-Former in front of a language model of type
`{model_type}`, {parameters:,} parameters, the language model in {dtype}. vLLM and transformers'
`Blip2ForConditionalGeneration` read it without the package `mblip`. For training, evaluation and several images per
prompt, use the original.

```bash
vllm serve . --dtype {dtype}
```

```python
from transformers import AutoProcessor, Blip2ForConditionalGeneration

processor = AutoProcessor.from_pretrained(".")
model = Blip2ForConditionalGeneration.from_pretrained(".")
inputs = processor(images=image, text="Describe the image in German.", return_tensors="pt")
answer = model.generate(**inputs, max_new_tokens=32)
```

- Each prompt shows one image, whose {num_query_tokens} `<image>` tokens stand in front of everything else.
- `<image>` is token {image_token_id} of the tokenizer, and the embeddings have {num_rows} rows. If they grew for it,
  the new rows are the mean of the others. The logit of `<image>` is then the mean logit, which is never the largest.
"""
MOVED = """- The chat template is the language model's own. The original shows the image in the user's turn, this model
  in front of the whole prompt, so its answers differ from the original's: evaluate it.
"""


def main(arguments: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="mblip export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--to", choices=("blip2",), required=True, help="the layout")
    parser.add_argument("model", metavar="MODEL", help="a model or an adapter: a folder, or its name on the Hub")
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="where to write; empty, or not there yet")
    parser.add_argument(
        "--images-first",
        action="store_true",
        help="export a model with a chat template, although images move from the user's turn to the front",
    )
    parser.add_argument("--max-shard-size", metavar="SIZE", default="5GB", help="of one file (default: %(default)s)")
    given = vars(parser.parse_args(arguments))
    given.pop("to")
    print(export_to_blip2(**given))


def export_to_blip2(model: str, folder: Path, *, images_first: bool = False, max_shard_size: str | int = "5GB") -> str:
    """Write a model in BLIP-2's layout.

    Args:
        model: an mBLIP model, a checkpoint in BLIP-2's layout or an adapter: a folder or repository.
        folder: where to write; its parent folder must be writable.
        images_first: also export a model whose tokenizer has a chat template.
        max_shard_size: of one file, as in `save_pretrained`.

    Returns:
        A report of what was written.

    Raises:
        ValueError: BLIP-2's layout, or vLLM, cannot hold this model; or its weights are not finite.
        OSError: the model cannot be read, or the folder holds files.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise FileExistsError(f"{folder} already exists and is not empty. Delete it, or give another folder.")
    check_location(model)
    base = base_of_adapter(model) or model
    kind = PreTrainedConfig.get_config_dict(base)[0].get("model_type")
    if kind not in (MBlipConfig.model_type, Blip2Config.model_type):
        raise ValueError(f"{base} is a checkpoint of type {kind!r}, expected 'mblip' or 'blip-2'. Give such a model.")
    check_exportable(MBlipConfig.from_pretrained(base), model)
    ours, processor = load_checkpoint(model, Precision("auto"))
    check_exportable(ours.config, model)  # a composition says only now whether its language model is quantised
    if processor.tokenizer.chat_template is not None and not images_first:
        raise ValueError(
            f"The tokenizer of {model} has a chat template: images stand in the user's turn, as in training. BLIP-2's "
            "layout puts them in front of the whole prompt, so answers would differ. Use `mblip serve`, or give "
            "--images-first, after which you should evaluate the exported model."
        )
    check_finite(ours.named_parameters(), model, "The checkpoint is broken: give another one.")
    theirs = to_blip2_processor(processor)
    blip2 = to_blip2(ours, theirs.tokenizer)
    with atomic_folder(folder) as partial:
        dtype = blip2.config.dtype
        blip2.save_pretrained(partial, max_shard_size=max_shard_size)
        blip2.config.dtype = dtype  # saving takes that of the query tokens, which are in float32
        blip2.config.save_pretrained(partial)
        theirs.save_pretrained(partial)
        _write_card(model, ours, "" if processor.tokenizer.chat_template is None else MOVED, partial)
    return (
        f"{model} is exported in BLIP-2's layout: language model {ours.config.text_config.model_type}, "
        f"{blip2.num_parameters():,} parameters.\n{folder}: {ours.config.num_query_tokens} `{IMAGE_TOKEN}` tokens "
        f"(id {ours.config.image_token_id}) in front of each prompt. README.md there says how to use it."
    )


def check_exportable(config: MBlipConfig, name: str) -> None:
    """Raise ValueError for a model that BLIP-2's layout cannot hold or vLLM cannot run, with the reason."""
    text_config = config.text_config
    kind, width = text_config.model_type, text_config.get_text_config().hidden_size
    if config.is_encoder_decoder:
        reason = f"its language model is an encoder-decoder ({kind}), which vLLM does not run as part of a BLIP-2"
    elif kind not in LANGUAGE_MODELS:
        reason = (
            f"its language model is of type {kind}, expected one of {', '.join(LANGUAGE_MODELS)}. vLLM's BLIP-2 needs "
            "a class with an attribute `model`, which BLOOM and GPT-2 do not have; others were not tried"
        )
    elif not isinstance(config.vision_config, Blip2VisionConfig):
        reason = f"its image encoder is of type {config.vision_config.model_type}, expected BLIP-2's ViT"
    elif hasattr(config, "quantization_config"):
        reason = "it is quantised, expected 16 or 32 bits. Export what it was made from"
    elif getattr(text_config, "word_embed_proj_dim", width) != width:
        reason = f"its embeddings are projected to the hidden size, {width}, where BLIP-2 puts images"
    else:
        return
    raise ValueError(f"{name} cannot be exported: {reason}. `mblip serve` runs it.")


def to_blip2_processor(processor: MBlipProcessor) -> Blip2Processor:
    """A `Blip2Processor` with the same settings. The tokenizer is a copy to which `<image>` is added.

    If the tokenizer has no chat template, it gets one that joins messages as ours are.
    """
    tokenizer = copy.deepcopy(processor.tokenizer)
    if tokenizer.chat_template is None:
        around = ["".join(tokenizer.convert_ids_to_tokens(ids)) for ids in special_tokens_around(tokenizer, [])]
        front, back = (f"{{{{- {tokens!r} -}}}}" for tokens in around)
        tokenizer.chat_template = CHAT_TEMPLATE.replace("FRONT", front).replace("BACK", back)
    tokenizer.add_tokens([AddedToken(IMAGE_TOKEN, normalized=False, special=True)], special_tokens=True)
    tokenizer.model_input_names = ["input_ids", "attention_mask"]  # BLIP-2's `forward` passes all others on
    image_processor = processor.image_processor
    if isinstance(image_processor, MBlipImageProcessor):  # the same settings under transformers' name
        image_processor = BlipImageProcessorPil.from_dict(image_processor.to_dict())
    return Blip2Processor(image_processor, tokenizer, num_query_tokens=processor.num_query_tokens)


def to_blip2(
    model: MBlipForConditionalGeneration, tokenizer: PreTrainedTokenizerBase
) -> Blip2ForConditionalGeneration:
    """The same modules as a `Blip2ForConditionalGeneration`. Changes `model`.

    transformers looks up an embedding for `<image>` before it places the image, so the table must hold its id. A table
    without that row grows; see `_fill`.

    Args:
        tokenizer: with `<image>`.
    """
    image_token_id, old_size = tokenizer.get_vocab()[IMAGE_TOKEN], model.vocab_size
    embeddings, head = model.language_model.get_input_embeddings(), model.language_model.get_output_embeddings()
    is_tied = head.weight is embeddings.weight
    if image_token_id >= old_size:
        model.config.image_token_id = image_token_id + 1  # ours keeps its own id outside the table
        model.resize_token_embeddings(image_token_id + 1, mean_resizing=False)
        for module in (model.language_model.get_input_embeddings(), model.language_model.get_output_embeddings()):
            _fill(module, old_size)
    model.config.image_token_id = image_token_id
    text_config = copy.deepcopy(model.config.text_config)
    text_config.architectures = [type(model.language_model).__name__]  # vLLM builds this class
    # BLIP-2 generates by the language model's configuration.
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        if (token_id := getattr(model.generation_config, name)) is not None:
            setattr(text_config, name, token_id)
    settings: dict[str, Any] = {
        "vision_config": model.config.vision_config.to_dict(),
        "qformer_config": model.config.qformer_config.to_dict() | {"use_qformer_text_input": False},  # never reached
        "text_config": text_config.to_dict() | {"tie_word_embeddings": is_tied},
        "tie_word_embeddings": is_tied,  # vLLM ties by this one
        "num_query_tokens": model.config.num_query_tokens,
        "image_token_index": image_token_id,
        "dtype": model.config.dtype,
    }
    with torch.device("meta"):
        blip2 = Blip2ForConditionalGeneration(Blip2Config(**settings))
    for name in ("vision_model", "language_projection", "language_model"):
        setattr(blip2, name, getattr(model, name))
    weights = model.qformer.state_dict()
    blip2.qformer.load_state_dict({name: weights[name] for name in blip2.qformer.state_dict()}, assign=True)
    blip2.query_tokens = nn.Parameter(model.query_tokens.weight.detach())
    blip2.all_tied_weights_keys = blip2.get_expanded_tied_weights_keys(all_submodels=True)
    blip2.generation_config = copy.deepcopy(model.generation_config)
    return blip2.eval()


@torch.no_grad()
def _fill(module: nn.Module, old_size: int) -> None:
    """Give the rows beyond `old_size` the mean of the others.

    In the head, the logit of such a row is the mean of all logits, so it is never the largest. Zeros would be the
    largest where all logits are negative.
    """
    for parameter in module.parameters():
        parameter[old_size:] = parameter[:old_size].mean(dim=0, dtype=torch.float32).to(parameter.dtype)


def _write_card(source: str, model: MBlipForConditionalGeneration, notes: str, folder: Path) -> None:
    """Write the card, with the metadata of the source's own card (licence, languages), and that card beside it."""
    metadata = {}
    if (own := find_file(source, CARD_FILE)) is not None:
        card = ModelCard.load(own, ignore_metadata_errors=True)
        metadata = card.data.to_dict() | {"model-index": None}  # its results are the original's
        (folder / SOURCE_CARD_FILE).write_text(card.content, encoding="utf-8")
    data = ModelCardData(**(metadata | {"library_name": "transformers", "pipeline_tag": "image-text-to-text"}))
    text = CARD.format(
        name=Path(source).resolve().name if Path(source).is_dir() else source,
        model_type=model.config.text_config.model_type,
        parameters=model.num_parameters(),
        dtype=str(model.language_model.dtype).removeprefix("torch."),
        num_query_tokens=model.config.num_query_tokens,
        image_token_id=model.config.image_token_id,
        num_rows=model.vocab_size,
    )
    (folder / CARD_FILE).write_text(f"---\n{data.to_yaml()}\n---\n{text}{notes}", encoding="utf-8")
