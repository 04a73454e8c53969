"""Candidates become the tokens that the collator makes labels of, whatever prompt they stand behind."""

from types import SimpleNamespace

import pytest
from chat_models import CHAT_MODELS, chat_processor
from PIL import Image
from tiny import tiny_processor
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from mblip.data.collator import IGNORED, MBlipCollator
from mblip.evaluation.likelihood.candidate_tokens import CandidateTokens
from processing_mblip import MBlipImageProcessor, MBlipProcessor

TYPED = "<eos> </s> <|im_end|> <end_of_turn> [INST]"  # control tokens of some of the tokenizers
PROMPTS = (
    ("what is this", 1),
    ("Question: one two ", 1),
    ("caption", 0),
    ("left <image> right <image> which", 2),
    (f"is this {TYPED} or", 1),
)
CANDIDATES = ("red", "a red dog", "a red dog left", f"a {TYPED} dog")


def labels(processor, prompt, num_images, candidate, *, is_encoder_decoder):
    """What training learns where a candidate is the target."""
    config = SimpleNamespace(is_encoder_decoder=is_encoder_decoder, decoder_start_token_id=0)
    collator = MBlipCollator(processor, config)
    row = {"images": [Image.new("RGB", (28, 28), (i, 0, 0)) for i in range(num_images)], "image_id": "x"}
    lists = {"prompts": prompt, "targets": candidate, "languages": "en", "tasks": "t", "sources": "s", "ids": "i"}
    batch = collator([row | {name: [value] for name, value in lists.items()}])
    return tuple(batch["labels"][batch["labels"] != IGNORED].tolist())


@pytest.mark.parametrize("is_encoder_decoder", [True, False])
def test_candidates_are_the_labels_of_training(is_encoder_decoder):
    processor = tiny_processor("mt5" if is_encoder_decoder else "llama")
    tokens = CandidateTokens(processor, is_encoder_decoder=is_encoder_decoder)
    for prompt, num_images in PROMPTS:
        expected = [
            labels(processor, prompt, num_images, candidate, is_encoder_decoder=is_encoder_decoder)
            for candidate in CANDIDATES
        ]
        assert list(tokens.of(prompt, num_images, CANDIDATES)) == expected


@pytest.mark.parametrize("is_encoder_decoder", [True, False])
@pytest.mark.parametrize("name", CHAT_MODELS)
def test_candidates_are_the_labels_of_training_with_a_chat_template(name, is_encoder_decoder):
    processor = chat_processor(CHAT_MODELS[name])
    tokens = CandidateTokens(processor, is_encoder_decoder=is_encoder_decoder)
    for prompt, num_images in PROMPTS:
        expected = [
            labels(processor, prompt, num_images, candidate, is_encoder_decoder=is_encoder_decoder)
            for candidate in CANDIDATES
        ]
        assert list(tokens.of(prompt, num_images, CANDIDATES)) == expected


def test_a_candidate_with_a_control_token_ends_once_and_one_with_half_a_character_is_refused():
    tokens = CandidateTokens(chat_processor(CHAT_MODELS["qwen2.5"]), is_encoder_decoder=False)
    [ids] = tokens.of("what", 0, [TYPED])
    assert tokens.processor.tokenizer.decode(ids) == TYPED + "<|im_end|>"
    assert ids.count(tokens.processor.tokenizer.eos_token_id) == 1
    with pytest.raises(ValueError, match=r"A candidate for the prompt 'what' holds half a character"):
        tokens.of("what", 0, ["red", "\ud800"])


def test_a_space_parts_a_candidate_from_a_prompt_that_ends_in_none_and_only_there():
    tokens = CandidateTokens(chat_processor(CHAT_MODELS["vicuna"]), is_encoder_decoder=False)
    tokens.uses_chat_template = False
    decode = tokens.processor.tokenizer.decode
    assert decode(tokens.of("what", 0, ["dog"])[0]) == "  dog</s>"  # one of them is this tokenizer's own
    assert decode(tokens.of("what ", 0, ["dog"])[0]) == " dog</s>"


def test_the_template_renders_candidates_once_for_all_prompts_of_one_ending(monkeypatch):
    processor = chat_processor(CHAT_MODELS["qwen3"])
    tokens, calls = CandidateTokens(processor, is_encoder_decoder=False), []
    make = tokens._tokens
    monkeypatch.setattr(
        tokens, "_tokens", lambda *args: calls.extend((args[0], answer) for answer in args[2]) or make(*args)
    )
    for prompt in ("one", "two", "three"):
        tokens.of(prompt, 1, CANDIDATES[:3])
    first, second, third = CANDIDATES[:3]
    assert calls == [
        ("one", first),
        ("one", second),
        ("one", third),
        ("two", first),  # of later prompts only the first candidate, to compare
        ("three", first),
    ]


def test_a_template_that_looks_back_is_followed():
    processor = chat_processor(CHAT_MODELS["qwen2.5"])
    processor.tokenizer.chat_template = processor.tokenizer.chat_template.replace(
        "message['content'] + '<|im_end|>",
        "message['content'] + (messages[0]['content'] | trim if message.role == 'assistant' else '') + '<|im_end|>",
    )
    tokens = CandidateTokens(processor, is_encoder_decoder=False)
    for prompt in ("one", "two"):
        found = [processor.tokenizer.decode(answer) for answer in tokens.of(prompt, 0, ["yes", "no"])]
        assert found == [f"yes{prompt}<|im_end|>", f"no{prompt}<|im_end|>"]


def merging_processor():
    """No special token parts prompt and answer, and `!r` is one token: behind a `!` an answer of r is tokenized by
    itself, with a space in front."""
    letters = {letter: i for i, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(letters | {"!r": len(letters)}, [("!", "r")]))
    tokenizer.normalizer = normalizers.Prepend(" ")
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    loaded = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>")
    loaded.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    return MBlipProcessor(MBlipImageProcessor(), loaded, num_query_tokens=2)


def test_prompts_of_another_ending_have_tokens_of_their_own():
    processor = merging_processor()
    tokens = CandidateTokens(processor, is_encoder_decoder=False)
    for prompt, red in (("what?", "red</s>"), ("what!", " red</s>"), ("what?", "red</s>")):
        found = [processor.tokenizer.decode(answer) for answer in tokens.of(prompt, 0, ["dog", "red"])]
        assert found == ["dog</s>", red]


@pytest.mark.parametrize("candidates", [[], ["red", " "]])
def test_candidates_must_say_something(candidates):
    with pytest.raises(ValueError, match="expected at least one and no blank ones"):
        CandidateTokens(tiny_processor("mt5"), is_encoder_decoder=True).of("caption", 1, candidates)


def test_a_tokenizer_without_an_end_is_an_error():
    processor = tiny_processor("mt5")
    processor.tokenizer.eos_token = None
    with pytest.raises(ValueError, match=r"no eos_token.*Set the eos_token that the model was trained with"):
        CandidateTokens(processor, is_encoder_decoder=True)
