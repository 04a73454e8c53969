"""The cost of one training step and of one batch of generation, from a model on the meta device."""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import Trainer, TrainingArguments
from transformers.modeling_outputs import BaseModelOutput

from mblip.evaluation.generation_settings import GenerationSettings
from mblip.loading import without_adapter
from modeling_mblip import MBlipConfig, MBlipForConditionalGeneration
from modeling_mblip.configuration_mblip import image_size, tower_shape
from modeling_mblip.language_models import CACHE_NAME, cache_of

from .simulation import GRADIENTS, INPUTS, OPTIMIZER, Cost, Counting, Kernels, as_on, make_fake

TOKEN = 5  # an id of any vocabulary
IGNORED = -100
OF_LAYERS = ("every_n_layers", "offload")  # options of checkpointing that are not torch's


@dataclass(frozen=True)
class BatchShape:
    """One batch of a process: images, prompts about them, and the tokens of each prompt and target.

    `text_tokens` counts no `<image>` tokens.
    """

    num_images: int
    num_prompts: int
    text_tokens: int
    target_tokens: int

    def tensors(self, config: MBlipConfig, images_as: str = "pixel_values") -> dict[str, Any]:
        """A batch as the collator makes it, each prompt with one image. `images_as` is an input of the model."""
        num_tokens = config.num_query_tokens + self.text_tokens
        ids = torch.full((self.num_prompts, num_tokens), TOKEN)
        assert config.image_token_id is not None, "set in MBlipConfig.__post_init__"
        ids[:, : config.num_query_tokens] = config.image_token_id
        labels = torch.full((self.num_prompts, self.target_tokens), TOKEN)
        batch = {"labels": labels, "decoder_input_ids": labels}
        if not config.is_encoder_decoder:
            batch = {"labels": torch.cat([torch.full_like(ids, IGNORED), labels], 1)}
            ids = torch.cat([ids, labels], 1)
        shapes = {
            "pixel_values": (3, *image_size(config.vision_config)),
            "vision_features": tower_shape(config.vision_config),
            "query_features": (config.num_query_tokens, config.qformer_config.hidden_size),
        }
        batch[images_as] = torch.zeros(self.num_images, *shapes[images_as])
        indices = torch.arange(self.num_prompts) * self.num_images // self.num_prompts
        return batch | {"input_ids": ids, "attention_mask": torch.ones_like(ids), "image_indices": indices}


def training_step(
    model: nn.Module,
    batch: dict[str, Any],
    device: torch.device,
    args: TrainingArguments,
    *,
    is_autocast: bool,
    num_processes: int = 1,
) -> Cost:
    """The cost of one batch of one process, after the first step. `model` is on the meta device, and becomes fake.

    The optimizer's state exists already, and with gradient accumulation the gradients of the batch before as well.
    Several processes (DistributedDataParallel) hold all gradients a second time, in buckets. The data loader is one
    batch ahead.
    """
    base = without_adapter(model)
    if args.activation_checkpointing:
        given: Any = args.activation_checkpointing_kwargs or {}
        own = {key: value for key, value in given.items() if key in OF_LAYERS}
        # A backward pass leaves the modes of torch functions, so the recomputation enters ours again.
        kwargs = {"use_reentrant": False, "context_fn": lambda: (nullcontext(), Kernels(is_gpu=device.type == "cuda"))}
        base.activation_checkpointing_enable(kwargs, **own)
    fake = make_fake(model)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    counting = Counting(fake)
    autocast = torch.autocast("cpu", torch.bfloat16) if is_autocast else nullcontext()
    with counting.watching(base), as_on(device):
        num_trained = sum(parameter.numel() for parameter in trained)
        held = [_hold(counting, fake, round(num_trained * optimizer_bytes(args)), OPTIMIZER)]
        held += [_hold(counting, fake, sum(value.nbytes for value in batch.values()), INPUTS) for _ in range(2)]
        if num_processes > 1:
            held.append(_hold(counting, fake, 4 * num_trained, GRADIENTS))
        for parameter in trained:
            if args.gradient_accumulation_steps > 1:
                parameter.grad = torch.zeros_like(parameter)
                counting.keep(parameter.grad, GRADIENTS)
            parameter.register_post_accumulate_grad_hook(lambda each: counting.keep(each.grad, GRADIENTS))
        with autocast:
            loss = model(**batch).loss
        loss.backward()
    return counting.cost


def optimizer_bytes(args: TrainingArguments) -> float:
    """Bytes that the optimizer keeps for each number that trains, as it does for a small matrix."""
    optimizer_class, options = Trainer.get_optimizer_cls_and_kwargs(args)
    parameter = nn.Parameter(torch.zeros(256, 256))
    parameter.grad = torch.zeros_like(parameter)
    optimizer = optimizer_class([parameter], **options)
    optimizer.step()
    kept = (value for value in optimizer.state[parameter].values() if isinstance(value, torch.Tensor))
    return sum(value.nbytes for value in kept if value.ndim) / parameter.numel()


def _hold(counting: Counting, fake: Any, num_bytes: int, label: str) -> torch.Tensor:
    with fake:
        held = torch.empty(num_bytes, dtype=torch.uint8)
    counting.keep(held, label)
    return held


def generation(
    model: MBlipForConditionalGeneration,
    batch: BatchShape,
    settings: GenerationSettings,
    device: torch.device,
) -> Cost:
    """The cost of answers to one batch of prompts, all as long as `settings` allow. `model` is on the meta device.

    Memory is that of the images' encoding, of reading the prompts, or of the last step with a full cache, whichever is
    higher. Operations count the images once, the prompts once for each beam as transformers reads them, and a step for
    each new token, as the mean of the first and the last.
    """
    counting = Counting(make_fake(model.eval()))
    inputs = batch.tensors(model.config)
    ids, is_encoder_decoder = inputs["input_ids"], model.config.is_encoder_decoder
    if not is_encoder_decoder:  # in training, the target follows the prompt
        ids = ids[:, : -batch.target_tokens]
    with counting.watching(model), as_on(device), torch.no_grad():
        # 1. Images, and the prompts once for each beam
        features = model.get_image_features(inputs["pixel_values"]).pooler_output
        embeds, _ = model.place_images(ids, image_features=features, image_indices=inputs["image_indices"])
        embeds = embeds if is_encoder_decoder else embeds.repeat_interleave(settings.num_beams, 0)
        rest: dict[str, Any] = {}
        if is_encoder_decoder:
            states = model.get_encoder()(inputs_embeds=embeds, return_dict=True).last_hidden_state
            rest["encoder_outputs"] = BaseModelOutput(states.repeat_interleave(settings.num_beams, 0))
            del states
        num_rows = len(ids) * settings.num_beams
        step = _Decoding(model, settings.num_beams, rest)
        step.run({"decoder_input_ids": _tokens(num_rows, 1)} if is_encoder_decoder else {"inputs_embeds": embeds})
        del embeds
        # 2. Steps with an almost empty and with a full cache. In between it grows as if all tokens came at once
        costs = []
        for num_tokens in (1, settings.max_new_tokens - 3, 1):
            before, memory = counting.cost.flops.copy(), counting.cost.memory
            step.run(
                {"decoder_input_ids" if is_encoder_decoder else "input_ids": _tokens(num_rows, max(1, num_tokens))}
            )
            costs.append(counting.cost.flops - before)
            if num_tokens != 1:
                counting.cost = Cost(before, memory)
    first, _, last = costs
    flops = counting.cost.flops - first - last
    for key in first | last:
        flops[key] += (first[key] + last[key]) * (settings.max_new_tokens - 1) // 2
    return Cost(flops, counting.cost.memory)


class _Decoding:
    """Steps of transformers' `generate` on one cache: the last token's logits, scores in fp32, the cache reordered."""

    def __init__(self, model: MBlipForConditionalGeneration, num_beams: int, rest: dict[str, Any]) -> None:
        self.model, self.num_beams, self.rest = model, num_beams, rest
        self.cache: Any = None

    def run(self, inputs: dict[str, Any]) -> None:
        cache = {} if self.cache is None else {CACHE_NAME: self.cache}
        output = self.model(**inputs, **self.rest, **cache, use_cache=True, logits_to_keep=1)
        self.cache = cache_of(output)
        logits = output.logits[:, -1].to(torch.float32, copy=True)
        if self.num_beams > 1:
            scores = torch.log_softmax(logits, dim=-1) + 0.0
            scores.view(len(scores) // self.num_beams, -1).topk(2 * self.num_beams)
            self.cache.reorder_cache(torch.arange(len(logits)))


def _tokens(num_rows: int, num_tokens: int) -> torch.Tensor:
    return torch.full((num_rows, num_tokens), TOKEN)
