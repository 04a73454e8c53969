"""A language model's own chat template in training: prompts as in use, answers to their end of turn."""

from dataclasses import replace

import pytest
import torch
from chat_models import CHAT_MODELS, NUM_QUERY_TOKENS, PAD, chat_processor
from tiny_inputs import DECODER_ONLY, ENCODER_DECODER, EOS, WHAT, row, tiny_processor
from tokenizers import processors

from mblip.data.collator import IGNORED, GenerationCollator, MBlipCollator
from mblip.data.token_ids import answer_lead, cut_text

QWEN, GEMMA = CHAT_MODELS["qwen2.5"], CHAT_MODELS["gemma"]
LLAMA3 = CHAT_MODELS["llama3"]
every_model = pytest.mark.parametrize("chat_model", CHAT_MODELS.values(), ids=CHAT_MODELS)


def collator_of(processor, **kwargs):
    return MBlipCollator(processor, DECODER_ONLY, **kwargs)


def split_at_labels(batch, index=0):
    """The prompt's ids, and those learned."""
    ids, labels = batch["input_ids"][index], batch["labels"][index]
    is_prompt = (labels == IGNORED) & batch["attention_mask"][index].bool()
    return ids[is_prompt].tolist(), labels[labels != IGNORED].tolist()


def asked(processor, *content):
    """The ids of a user's message in use."""
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": list(content)}], add_generation_prompt=True, tokenize=True, return_dict=True
    )
    return inputs["input_ids"][0]


def image_of(row):
    return {"type": "image", "image": row["images"][0]}


def text_part(text):
    return {"type": "text", "text": text}


@every_model
def test_the_prompt_is_that_of_use_and_the_answer_is_learned_to_its_end_of_turn(chat_model):
    processor, rows = chat_processor(chat_model), [row()]
    prompt, learned = split_at_labels(collator_of(processor)(rows))
    image_ids = [processor.image_token_id] * NUM_QUERY_TOKENS
    position = prompt.index(processor.image_token_id)
    tokenizer = processor.tokenizer
    assert tokenizer.decode(prompt[:position]) == chat_model.before_image
    assert prompt[position : position + NUM_QUERY_TOKENS] == image_ids
    assert tokenizer.decode(prompt[position + NUM_QUERY_TOKENS :]) == chat_model.behind_image
    assert tokenizer.decode(learned) == chat_model.learned
    assert learned[-1] == tokenizer.eos_token_id
    assert prompt == asked(processor, image_of(rows[0]), text_part("what is this"))
    assert prompt.count(tokenizer.bos_token_id) == (chat_model.bos is not None)


@every_model
def test_prompt_and_answer_are_the_tokens_of_the_whole_conversation(chat_model):
    processor, rows = chat_processor(chat_model), [row()]
    prompt, learned = split_at_labels(collator_of(processor)(rows))
    turns = [
        {"role": "user", "content": [image_of(rows[0]), text_part("what is this")]},
        {"role": "assistant", "content": "a red dog"},
    ]
    whole = processor.apply_chat_template(turns, tokenize=True, return_dict=True)["input_ids"][0]
    together = prompt + learned
    if processor.tokenizer.eos_token not in chat_model.template and "eos_token" not in chat_model.template:
        assert together.pop() == processor.tokenizer.eos_token_id  # added, for the template writes none
    assert whole[: len(together)] == together
    assert processor.tokenizer.decode(whole[len(together) :]).strip() == ""


@every_model
def test_generation_prompts_are_those_of_training_padded_on_the_left(chat_model):
    processor = chat_processor(chat_model)
    rows = [row("one", prompts=("what", "what is this"), targets=("a", "a dog")), row("none", colours=())]
    trained = collator_of(processor)(rows)
    inputs = GenerationCollator(processor, DECODER_ONLY)(rows)
    assert inputs["attention_mask"][0, 0] == 0
    for i in range(3):
        ids = inputs["input_ids"][i][inputs["attention_mask"][i].bool()].tolist()
        assert ids == split_at_labels(trained, i)[0]
    assert inputs["image_indices"].tolist() == trained["image_indices"].tolist() == [0, 0]
    assert torch.equal(inputs["pixel_values"], trained["pixel_values"])


def test_an_image_stands_where_the_prompt_says():
    processor, rows = chat_processor(QWEN), [row(prompts=("is <image> this",))]
    prompt, _ = split_at_labels(collator_of(processor)(rows))
    assert prompt == asked(processor, text_part("is "), image_of(rows[0]), text_part(" this"))


def test_more_image_marks_than_images_is_an_error():
    with pytest.raises(ValueError, match=r"prompt 'r0' has 1 image\(s\), but its prompt holds 2 `<image>`"):
        collator_of(chat_processor(QWEN))([row(prompts=("<image> <image> what",))])


def test_a_template_is_used_when_the_tokenizer_has_one_and_not_when_told_otherwise():
    processor = chat_processor(QWEN)
    decoded = [
        processor.decode(collator_of(processor, use_chat_template=wanted)([row()])["input_ids"][0])
        for wanted in (None, True, False)
    ]
    assert decoded[0] == decoded[1] == QWEN.before_image + QWEN.behind_image + QWEN.learned
    assert decoded[2] == "what is this a red dog<|im_end|>"


@pytest.mark.parametrize("kind", [MBlipCollator, GenerationCollator])
def test_asking_for_a_template_that_is_not_there_is_an_error(kind):
    with pytest.raises(ValueError, match=r"`processor\.tokenizer\.chat_template` is None\. Set it"):
        kind(tiny_processor(is_encoder_decoder=False), DECODER_ONLY, use_chat_template=True)


@pytest.mark.parametrize(
    ("template", "match"),
    [
        (
            QWEN.template.replace("'<|im_start|>assistant\\n'", "'<|im_start|>assistant\\n<think>\\n'"),
            "does not begin",
        ),
        ("{{ raise_exception('Only tools may speak') }}", "refuses .*: Only tools may speak"),
        ("{{ messages[0].content }}", "writes '' after the prompt, expected the answer"),
        ("{{ messages[0].content.text.strip() }}", "refuses .*has no attribute 'text'"),
    ],
)
def test_a_template_that_cannot_be_trained_with_says_so_before_training(template, match):
    processor = chat_processor(replace(QWEN, template=template))
    with pytest.raises(ValueError, match=match + r"[\s\S]*`processor\.tokenizer\.chat_template`.*, or to None"):
        collator_of(processor)


def test_a_template_that_opens_a_thought_can_still_be_asked():
    processor = chat_processor(
        replace(
            QWEN, template=QWEN.template.replace("'<|im_start|>assistant\\n'", "'<|im_start|>assistant\\n<think>'")
        )
    )
    inputs = GenerationCollator(processor, DECODER_ONLY)([row()])
    assert processor.decode(inputs["input_ids"][0]).endswith("assistant\n<think>")
    assert answer_lead(processor) == ""


@pytest.mark.parametrize(
    ("name", "lead"), [("qwen2.5", ""), ("qwen3", "<think>\n\n</think>\n\n"), ("gpt-oss", "final")]
)
def test_the_lead_is_what_a_template_writes_before_the_answer(name, lead):
    assert answer_lead(chat_processor(CHAT_MODELS[name])) == lead


@pytest.mark.parametrize("chat_model", [QWEN, GEMMA, LLAMA3], ids=["qwen2.5", "gemma", "llama3"])
def test_a_long_prompt_loses_the_users_text_and_nothing_else(chat_model):
    processor, rows = chat_processor(chat_model), [row(prompts=("what is this",)), row("two", prompts=("wh",))]
    batch = collator_of(processor, max_text_tokens=4)(rows)
    assert split_at_labels(batch)[0] == asked(processor, image_of(rows[0]), text_part("what"))
    assert split_at_labels(batch, 1)[0] == asked(processor, image_of(rows[1]), text_part("wh"))
    assert processor.tokenizer.decode(split_at_labels(batch)[1]) == chat_model.learned


@pytest.mark.parametrize(
    ("side", "max_tokens", "expected"),
    [
        ("right", 100, "ab<image>cd<image>e"),
        ("right", 3, "ab<image>c<image>"),
        ("right", 0, "<image><image>"),
        ("left", 2, "<image>d<image>e"),
    ],
)
def test_cutting_keeps_image_marks_and_follows_the_tokenizers_side(side, max_tokens, expected):
    tokenizer = chat_processor(QWEN).tokenizer
    tokenizer.truncation_side = side
    assert cut_text(tokenizer, "ab<image>cd<image>e", max_tokens) == expected


def test_a_letter_of_several_tokens_is_not_cut_in_two():
    assert cut_text(chat_processor(QWEN).tokenizer, "aสวัสดี", 6) == "aส"  # three bytes a letter


@every_model
def test_control_tokens_of_prompt_and_answer_are_text(chat_model):
    processor = chat_processor(chat_model)
    typed = "x " + "".join([*chat_model.specials, chat_model.eos, chat_model.bos or "", "</think>", PAD]) + " y"
    shown = [row(prompts=(typed,), targets=(typed,))]
    prompt, learned = split_at_labels(collator_of(processor, max_text_tokens=999, max_target_tokens=999)(shown))
    plain_prompt, plain_learned = split_at_labels(collator_of(processor)([row(prompts=("x",), targets=("y",))]))
    tokenizer = processor.tokenizer
    control = {*tokenizer.all_special_ids, *tokenizer.convert_tokens_to_ids(list(chat_model.specials))}
    assert [i for i in prompt if i in control] == [i for i in plain_prompt if i in control]
    assert [i for i in learned if i in control] == [i for i in plain_learned if i in control]
    assert typed in tokenizer.decode(prompt)
    assert typed in tokenizer.decode(learned)
    asked_ids = processor.apply_chat_template(
        [{"role": "user", "content": [image_of(shown[0]), text_part(typed)]}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        sanitize_control_tokens=True,
    )["input_ids"][0]
    assert prompt == asked_ids
    short, _ = split_at_labels(collator_of(processor, max_text_tokens=4)(shown))
    assert typed[:3] in tokenizer.decode(short)
    assert len(short) <= len(plain_prompt) + 3


def test_an_answer_that_is_cut_does_not_pretend_to_end():
    processor = chat_processor(QWEN)
    _, learned = split_at_labels(collator_of(processor, max_target_tokens=5)([row()]))
    assert processor.tokenizer.decode(learned) == "a red"


def test_an_answer_joined_to_the_prompt_by_the_tokenizer_is_tokenized_by_itself():
    processor = tiny_processor(is_encoder_decoder=False)
    processor.tokenizer.chat_template = (
        "{{ messages[0].content }} answer{% if messages | length > 1 %}{{ messages[1].content }} </s>{% endif %}"
    )
    prompt, learned = split_at_labels(collator_of(processor)([row(colours=(), targets=("dog",))]))
    assert processor.tokenizer.convert_ids_to_tokens(prompt) == ["what", "is", "this", "answer"]
    assert processor.tokenizer.convert_ids_to_tokens(learned) == ["dog", "</s>"]


def test_an_encoder_decoder_reads_the_prompt_and_learns_the_turn():
    processor = tiny_processor(is_encoder_decoder=True)
    processor.tokenizer.chat_template = (
        "a {{ messages[0].content }} answer{% if messages | length > 1 %} {{ messages[1].content }} yes{% endif %}"
    )
    batch = MBlipCollator(processor, ENCODER_DECODER)([row()])
    tokens = processor.tokenizer.convert_ids_to_tokens
    assert batch["input_ids"][0].tolist() == asked(processor, image_of(row()), text_part("what is this"))
    assert tokens(batch["labels"][0].tolist()) == ["a", "red", "dog", "yes", "</s>"]


@pytest.mark.parametrize(("end", "written"), [("</s>", "$A </s>"), ("</s> yes", "$A"), ("", "$A </s> what")])
def test_labels_end_once_whatever_template_and_tokenizer_write_behind_the_answer(end, written):
    """A template may write an end before the tokenizer's own; mBART's tokenizer writes a language behind it."""
    processor = tiny_processor(is_encoder_decoder=True)
    specials = [("</s>", EOS), ("what", WHAT)]
    post_processor = processors.TemplateProcessing(single=written, special_tokens=specials)
    processor.tokenizer.backend_tokenizer.post_processor = post_processor
    if end:
        template = "{% for m in messages %}{{ m.content + ' END ' }}{% endfor %}"
        processor.tokenizer.chat_template = template.replace("END", end)
    batch = MBlipCollator(processor, ENCODER_DECODER)([row(colours=())])
    assert processor.tokenizer.convert_ids_to_tokens(batch["labels"][0].tolist()) == ["a", "red", "dog", "</s>"]
