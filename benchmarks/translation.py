"""Translation: transformers against CTranslate2, in float32 and int8, with the same weights.

    python benchmarks/translation.py --beams 1 4

The model is NLLB-200-distilled-600M with random weights, cut to two of its twelve layers and a sixth of its
vocabulary, so that the head keeps its share of the work. Each engine gets the same batches and must write the same
number of tokens. They take turns, and we print CPU seconds. On a busy machine other processes still slow both sides,
so only the ratio is reliable. Nothing is asserted about time.
"""

import argparse
import importlib.metadata
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import ctranslate2
import torch
from transformers import GenerationConfig, M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

from mblip.mix.model_folder import open_model_folder
from mblip.mix.translation.nllb import convert

SOURCE, TARGET = "eng_Latn", "deu_Latn"
LAYERS, FULL_LAYERS, FULL_VOCABULARY = 2, 12, 256_206
TRANSFORMERS = "transformers float32"

Pieces = list[list[str]]


@dataclass(frozen=True)
class Work:
    """What each engine does: translate batches of sources into `num_new_pieces` pieces each."""

    batches: tuple[Pieces, ...]
    num_new_pieces: int
    num_beams: int

    @property
    def num_written(self) -> int:
        """Pieces of translations, one of each text's beams counted."""
        return sum(map(len, self.batches)) * self.num_new_pieces


Engine = Callable[[Work], list[list[str]]]


def main(command_line: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=["nllb", "toy"], default="nllb")
    parser.add_argument("--batches", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--new-pieces", type=int, default=24, help="of every translation")
    parser.add_argument("--beams", type=int, nargs="+", default=[1])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS", "1")))
    arguments = parser.parse_args(command_line)
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        network, tokenizer = make_model(Path(folder) / "nllb", is_toy=arguments.shape == "toy")
        converted = convert(open_model_folder(Path(folder) / "nllb"), Path(folder) / "converted")
        engines: dict[str, Engine] = {TRANSFORMERS: transformers_engine(network, tokenizer)}
        for precision in ("float32", "int8"):
            engines[f"CTranslate2 {precision}"] = ctranslate2_engine(converted, precision, arguments.threads)
        print_heading(network.config, arguments)
        for num_beams in arguments.beams:
            batches = draw_batches(tokenizer, arguments.batches, arguments.batch_size)
            print_rows(engines, Work(batches, arguments.new_pieces, num_beams), arguments.rounds)


def make_model(folder: Path, *, is_toy: bool) -> tuple[M2M100ForConditionalGeneration, NllbTokenizer]:
    """NLLB's shape, cut, with random weights, and a tokenizer of made-up words; saved in `folder`."""
    torch.manual_seed(0)
    width, vocabulary_size = (32, 256) if is_toy else (1024, FULL_VOCABULARY * LAYERS // FULL_LAYERS)
    vocabulary = {piece: number for number, piece in enumerate(("<s>", "<pad>", "</s>", "<unk>"))}
    vocabulary |= {f"▁word{number}": number for number in range(4, vocabulary_size - 3)}
    tokenizer = NllbTokenizer(vocab=vocabulary, merges=[], extra_special_tokens=[SOURCE, TARGET])
    config = M2M100Config(
        vocab_size=len(tokenizer),
        d_model=width,
        encoder_layers=LAYERS,
        decoder_layers=LAYERS,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        encoder_attention_heads=width // (8 if is_toy else 64),
        decoder_attention_heads=width // (8 if is_toy else 64),
    )
    network = M2M100ForConditionalGeneration(config).eval()
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    network.generation_config = GenerationConfig()
    return network, tokenizer


def draw_batches(tokenizer: NllbTokenizer, num_batches: int, batch_size: int) -> tuple[Pieces, ...]:
    """Sources of 9 to 16 words, the lengths of captions; batches as NllbEngine makes them, of nearly equal length."""
    draw = random.Random(0)
    tokens = [piece for piece in tokenizer.get_vocab() if piece.startswith("▁word")]
    return tuple(
        [[SOURCE, *draw.choices(tokens, k=draw.randint(9, 16)), "</s>"] for _ in range(batch_size)]
        for _ in range(num_batches)
    )


def transformers_engine(network: M2M100ForConditionalGeneration, tokenizer: NllbTokenizer) -> Engine:
    target_id = tokenizer.convert_tokens_to_ids(TARGET)

    @torch.inference_mode()
    def run(work: Work) -> list[list[str]]:
        written = []
        for batch in work.batches:
            ids = [{"input_ids": tokenizer.convert_tokens_to_ids(pieces)} for pieces in batch]
            inputs = tokenizer.pad(ids, return_tensors="pt")
            decoding = GenerationConfig(
                num_beams=work.num_beams,
                do_sample=False,
                min_new_tokens=work.num_new_pieces + 1,  # the language's token, and the pieces
                max_new_tokens=work.num_new_pieces + 1,
                forced_bos_token_id=target_id,
                decoder_start_token_id=network.config.decoder_start_token_id,
                eos_token_id=network.config.eos_token_id,
                pad_token_id=network.config.pad_token_id,
            )
            rows = network.generate(**inputs, generation_config=decoding).tolist()
            written += [tokenizer.convert_ids_to_tokens(row[2:]) for row in rows]
        return written

    return run


def ctranslate2_engine(converted: Path, precision: str, num_threads: int) -> Engine:
    translator = ctranslate2.Translator(str(converted), compute_type=precision, intra_threads=num_threads)

    def run(work: Work) -> list[list[str]]:
        written = []
        for batch in work.batches:
            results = translator.translate_batch(
                batch,
                target_prefix=[[TARGET]] * len(batch),
                beam_size=work.num_beams,
                min_decoding_length=work.num_new_pieces + 1,
                max_decoding_length=work.num_new_pieces + 1,
            )
            written += [result.hypotheses[0][1:] for result in results]
        return written

    return run


def print_heading(config: M2M100Config, arguments: argparse.Namespace) -> None:
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("torch", "transformers", "ctranslate2")
    )
    print(
        f"NLLB, width {config.d_model}, {config.encoder_layers} + {config.decoder_layers} layers, "
        f"{config.vocab_size:,} pieces; {arguments.threads} CPU thread(s), {versions}, "
        f"median of {arguments.rounds} rounds"
    )
    print(f"{'':22} {'beams':>5} {'CPU s':>8} {'pieces/s':>9} {'ratio':>6} {'(range)':>13}  equal translations")


def print_rows(engines: dict[str, Engine], work: Work, rounds: int) -> None:
    """One row per engine: the time, and transformers' time over it, round by round."""
    written = {name: run(work) for name, run in engines.items()}  # warms up
    for name, texts in written.items():
        lengths = {len(pieces) for pieces in texts}
        assert lengths == {work.num_new_pieces}, f"{name} wrote {lengths} pieces instead of {work.num_new_pieces}"
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    for number in range(rounds):
        for name in sorted(engines, reverse=number % 2 == 1):
            start = time.process_time()
            engines[name](work)
            seconds[name].append(time.process_time() - start)
    for name, times in seconds.items():
        ratios = [theirs / own for theirs, own in zip(seconds[TRANSFORMERS], times, strict=True)]
        equal = sum(one == other for one, other in zip(written[TRANSFORMERS], written[name], strict=True))
        median = statistics.median(times)
        print(
            f"{name:22} {work.num_beams:5} {median:8.3f} {work.num_written / median:9,.0f} "
            f"{statistics.median(ratios):6.2f} {f'({min(ratios):.2f}-{max(ratios):.2f})':>13}  "
            f"{equal} of {len(written[name])}"
        )


if __name__ == "__main__":
    main()
