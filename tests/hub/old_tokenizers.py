"""Tokenizers of the kinds that mT0 and BLOOMZ have, trained in a moment, in the files that transformers of 2023 wrote.

mT5's is a SentencePiece Unigram model with the 256 bytes among its pieces and `<extra_id_99>` ... `<extra_id_0>`
behind them, so its settings say `extra_ids: 0`; its tokenizer.json, like any fast T5 tokenizer's, falls back to no
bytes. BLOOM's is a byte-level BPE whose special tokens come first, padded on the left. Both are trained on captions of
the drawn world, in twelve languages and seven scripts, and on prompts.

The formats are older than the libraries here, so the JSON is written by hand: Metaspace with `add_prefix_space`,
merges as strings.
"""

import base64
import io
import json
import random
import struct
from pathlib import Path
from typing import Any

import sentencepiece
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from scenes.languages import SCENE_LANGUAGES, caption
from scenes.world import sample_training_scene

NUM_SCENES = 30
NUM_EXTRA_IDS = 100
# BLOOM's: words with the space in front of them, punctuation of many scripts apart.
BLOOM_WORDS = " ?[^(\\s|[.,!?…。，、।۔،])]+"
NO_LIMIT = 1000000000000000019884624838656  # what transformers writes for a tokenizer without a maximal length


def training_lines() -> list[str]:
    """Captions in twelve languages and prompts: 372 lines, always the same."""
    rng = random.Random(0)
    scenes = [sample_training_scene(rng) for _ in range(NUM_SCENES)]
    prompts = [
        f"Caption in {language}: " for language in ("English", "German", "Hindi", "Swahili", "Turkish", "Arabic")
    ]
    questions = ["Question: what is above the star? Short answer in English: "] * 6
    return [caption(scene, language) for scene in scenes for language in SCENE_LANGUAGES] + prompts + questions


def save_mt5_tokenizer(folder: Path) -> int:
    """Write spiece.model, tokenizer.json and both settings files.

    Returns:
        The number of its tokens.
    """
    model = _train_sentencepiece() + b"".join(_user_piece(f"▁<extra_id_{i}>") for i in reversed(range(NUM_EXTRA_IDS)))
    (folder / "spiece.model").write_bytes(model)
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
    vocab = [[pieces.id_to_piece(i), pieces.get_score(i)] for i in range(pieces.get_piece_size())]
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    metaspace = {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}
    end, whole = {"SpecialToken": {"id": "</s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
    _write_json(
        folder / "tokenizer.json",
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [_special_token(i, token) for i, token in enumerate(special.values())],
            "normalizer": {"type": "Precompiled", "precompiled_charsmap": _charsmap(model)},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]},
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [whole, end],
                "pair": [whole, end, {"Sequence": {"id": "B", "type_id": 0}}, end],
                "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}},
            },
            "decoder": metaspace,
            "model": {"type": "Unigram", "unk_id": 2, "vocab": vocab},
        },
    )
    settings = {"clean_up_tokenization_spaces": True, "extra_ids": 0, "sp_model_kwargs": {}}
    _write_settings(folder, special, tokenizer_class="T5Tokenizer", **settings)
    return len(vocab)


def save_bloom_tokenizer(folder: Path) -> int:
    """Write tokenizer.json and both settings files.

    Returns:
        The number of its tokens.
    """
    special = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    tokenizer = Tokenizer(models.BPE())
    words = pre_tokenizers.Split(Regex(BLOOM_WORDS), "isolated")
    bytes_of_words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, bytes_of_words])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=list(special.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(training_lines(), trainer)
    content = json.loads(tokenizer.to_str())
    content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
    _write_json(folder / "tokenizer.json", content)
    settings = {"add_prefix_space": False, "clean_up_tokenization_spaces": False, "padding_side": "left"}
    _write_settings(folder, special, tokenizer_class="BloomTokenizerFast", **settings)
    return tokenizer.get_vocab_size()


def _train_sentencepiece() -> bytes:
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(training_lines()),
        model_writer=written,
        model_type="unigram",
        vocab_size=600,
        byte_fallback=True,
        character_coverage=0.99999,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    return written.getvalue()


def _user_piece(piece: str) -> bytes:
    """A user-defined piece to append to a SentencePiece model, whose fields may come in any order."""
    text = piece.encode()
    entry = b"\x0a" + bytes([len(text)]) + text + b"\x15" + struct.pack("<f", 0.0) + b"\x18\x04"
    return b"\x0a" + bytes([len(entry)]) + entry


def _charsmap(model: bytes) -> str:
    """The normalisation rules of a SentencePiece model, as tokenizer.json holds them."""
    normalizer = dict(_fields(dict(_fields(model))[3]))
    return base64.b64encode(normalizer[2]).decode()


def _fields(message: bytes) -> list[tuple[int, Any]]:
    """Number and content of the fields of a protocol buffer."""
    fields, position = [], 0

    def number() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte, position = message[position], position + 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(message):
        field, kind = divmod(number(), 8)
        if kind == 0:
            fields.append((field, number()))
            continue
        size = number() if kind == 2 else {1: 8, 5: 4}[kind]
        fields.append((field, message[position : position + size]))
        position += size
    return fields


def _special_token(token_id: int, content: str) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": token_id, "content": content, **flags, "special": True}


def _write_settings(folder: Path, special: dict[str, str], **settings: Any) -> None:
    common = {
        "additional_special_tokens": None,
        "model_max_length": NO_LIMIT,
        "name_or_path": "published-in-2023",
        "processor_class": "Blip2Processor",
        "special_tokens_map_file": None,
    }
    _write_json(folder / "tokenizer_config.json", common | special | settings)
    _write_json(folder / "special_tokens_map.json", special)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
