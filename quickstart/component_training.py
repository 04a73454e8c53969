"""The training loop, tokenizer and saving, which all components share."""

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import nn
from transformers import PreTrainedTokenizerFast

PAD, EOS, UNK, BOS = "<pad>", "</s>", "<unk>", "<s>"  # ids 0 to 3
MAX_VOCABULARY = 2400
SPACE = "▁"


def train_tokenizer(texts: Iterable[str], *, appends_eos: bool) -> PreTrainedTokenizerFast:
    """A byte-pair tokenizer with a token for each frequent word of `texts`; other text becomes bytes.

    Han characters and punctuation are separate tokens, so that no token spans two attributes of a scene. If "red
    circle" were one token, a held-out combination would be a token without training.
    """
    tokenizer = Tokenizer(models.BPE(unk_token=UNK, byte_fallback=True))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always"),
            pre_tokenizers.Split(Regex(r"[\p{Han}\p{P}]"), "isolated"),
        ]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.ByteFallback(),
            decoders.Metaspace(replacement=SPACE, prepend_scheme="always"),
        ]
    )
    byte_pieces = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=MAX_VOCABULARY, special_tokens=[PAD, EOS, UNK, BOS, *byte_pieces], show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    if appends_eos:
        tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {EOS}", special_tokens=[(EOS, 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=_without_added(tokenizer, byte_pieces),
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNK,
        padding_side="right" if appends_eos else "left",
    )


def _without_added(tokenizer: Tokenizer, pieces: list[str]) -> Tokenizer:
    """Make `pieces` ordinary tokens, because special tokens do not appear in decoded text."""
    description = json.loads(tokenizer.to_str())
    description["added_tokens"] = [token for token in description["added_tokens"] if token["content"] not in pieces]
    return Tokenizer.from_str(json.dumps(description))


def train(
    name: str,
    batches: Iterator[dict[str, torch.Tensor]],
    step_loss: Callable[[dict[str, torch.Tensor]], torch.Tensor],
    parameters: Iterable[nn.Parameter],
    *,
    num_steps: int,
    learning_rate: float,
    evaluate: Callable[[], str],
    eval_steps: int = 500,
    checkpoint: Path | None = None,
) -> None:
    """AdamW with 200 steps of warm-up and cosine decay; prints the mean loss and `evaluate()` every `eval_steps`.

    With `checkpoint`, that file is then written as well, and read at the start if it exists. `batches` begins anew.
    """
    parameters = list(parameters)
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1.0, (step + 1) / 200) * (0.01 + 0.99 * (1 + math.cos(math.pi * step / num_steps)) / 2),
    )
    start, losses, num_done = time.monotonic(), [], 0
    if checkpoint is not None and checkpoint.exists():
        state = torch.load(checkpoint)
        num_done, start = state["step"], start - state["seconds"]
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        for parameter, saved in zip(parameters, state["parameters"], strict=True):
            parameter.data.copy_(saved)
    for step in range(num_done + 1, num_steps + 1):
        loss = step_loss(next(batches))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % eval_steps == 0 or step == num_steps:
            seconds = time.monotonic() - start
            print(
                f"{name} step {step}: {seconds:.0f} s, loss {sum(losses) / len(losses):.4f}, {evaluate()}", flush=True
            )
            losses.clear()
            if checkpoint is not None:
                state = {"step": step, "seconds": seconds, "parameters": [p.data for p in parameters]}
                state |= {"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
                torch.save(state, checkpoint)
