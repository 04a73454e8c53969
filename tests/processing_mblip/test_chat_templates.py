"""Messages give the inputs of the plain call; a language model's own template is kept."""

import pytest
import torch
from tiny_processor import EOS, IMG, make_processor, make_tokenizer

OWN = "{% for message in messages %}<s> {{ message.role }} {{ message['content'] | trim }} {% endfor %}"
MULTIMODAL = (
    "{% for message in messages %}{% for part in message.content %}"
    "{{ '<image>' if part.type == 'image' else part.text + '!' }}{% endfor %}{% endfor %}"
)


def user(*parts) -> list[dict]:
    content = [
        {"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "image": part} for part in parts
    ]
    return [{"role": "user", "content": content}]


def assert_same(left, right):
    assert list(left) == list(right)
    assert all(torch.equal(left[key], right[key]) for key in left)


def chat(processor, messages, **kwargs):
    return processor.apply_chat_template(messages, tokenize=True, return_dict=True, return_tensors="pt", **kwargs)


def test_messages_give_the_inputs_of_the_plain_call(processor, red, blue):
    plain = processor(images=red, text="w1 w2", return_tensors="pt")
    assert_same(chat(processor, user(red, "w1 w2")), plain)
    both = processor(images=[[red], [blue]], text=["w1", "w2"], return_tensors="pt")
    assert_same(chat(processor, [user(red, "w1"), user(blue, "w2")]), both)
    inside = processor(images=red, text="w1 <image>w2", return_tensors="pt")
    assert_same(chat(processor, user("w1 ", red, "w2")), inside)
    assert_same(chat(processor, [{"role": "user", "content": "w1"}]), processor(text="w1", return_tensors="pt"))


def test_one_image_in_two_conversations_is_encoded_once(processor, red):
    inputs = chat(processor, [user(red, "w1"), user(red, "w2")])
    assert inputs["image_indices"].tolist() == [0, 0]
    assert len(inputs["pixel_values"]) == 1


def test_images_come_from_paths_too(processor, red, tmp_path):
    red.save(tmp_path / "red.png")
    messages = [
        {
            "role": "user",
            "content": [{"type": "image", "path": str(tmp_path / "red.png")}, {"type": "text", "text": "w1"}],
        }
    ]
    assert_same(chat(processor, messages), processor(images=red, text="w1", return_tensors="pt"))


def test_turns_without_a_template_are_joined_by_line_breaks(processor):
    messages = [*user("w1"), {"role": "assistant", "content": "w2"}]
    assert processor.apply_chat_template(messages) == "w1\nw2"
    assert processor.chat_template is None


@pytest.mark.parametrize("is_loaded", [False, True])
def test_a_language_models_own_template_is_kept_and_sees_image_marks(red, tmp_path, is_loaded):
    tokenizer = make_tokenizer("llama")
    tokenizer.chat_template = OWN
    processor = make_processor(tokenizer=tokenizer)
    if is_loaded:
        processor.save_pretrained(tmp_path)
        processor = type(processor).from_pretrained(tmp_path)
    messages = [{"role": "user", "content": "w1"}, *user(red, "w2 ")]
    assert processor.apply_chat_template(messages) == "<s> user w1 <s> user <image>w2 "
    assert chat(processor, messages)["input_ids"].tolist() == [[2, 25, 5, 2, 25, IMG, IMG, 6]]
    assert processor.tokenizer.chat_template == OWN
    text_only = [{"role": "user", "content": "w1"}]
    assert processor.apply_chat_template(text_only) == processor.tokenizer.apply_chat_template(
        text_only, tokenize=False
    )


# transformers 5.23 leaves the files of named templates open.
@pytest.mark.filterwarnings("ignore:unclosed file .*jinja:ResourceWarning")
@pytest.mark.parametrize("is_loaded", [False, True])
def test_of_several_templates_each_sees_image_marks(red, tmp_path, is_loaded):
    tokenizer = make_tokenizer("llama")
    tokenizer.chat_template = {"default": OWN, "tool_use": "tools " + OWN}
    processor = make_processor(tokenizer=tokenizer)
    if is_loaded:
        processor.save_pretrained(tmp_path)
        processor = type(processor).from_pretrained(tmp_path)
    assert processor.apply_chat_template(user(red, "w2")) == "<s> user <image>w2 "
    assert processor.apply_chat_template(user(red, "w2"), chat_template="tool_use") == "tools <s> user <image>w2 "


def test_several_templates_without_a_default_want_a_name(red):
    tokenizer = make_tokenizer("llama")
    tokenizer.chat_template = {"rag": OWN, "tool_use": OWN}
    processor = make_processor(tokenizer=tokenizer)
    with pytest.raises(ValueError, match=r"2 chat templates, rag, tool_use, and none is named default"):
        processor.apply_chat_template(user(red, "w2"))
    assert processor.apply_chat_template(user(red, "w2"), chat_template="rag") == "<s> user <image>w2 "


def test_a_text_template_given_with_the_call_sees_image_marks(processor, red):
    assert processor.apply_chat_template(user(red, "w2"), chat_template=OWN) == "<s> user <image>w2 "


@pytest.mark.parametrize("owner", ["processor", "tokenizer", "call"])
def test_a_template_that_writes_image_marks_is_used_as_it_is(red, owner):
    tokenizer = make_tokenizer()
    tokenizer.chat_template = MULTIMODAL if owner == "tokenizer" else None
    processor = make_processor(tokenizer=tokenizer, chat_template=MULTIMODAL if owner == "processor" else None)
    template = MULTIMODAL if owner == "call" else None
    assert processor.apply_chat_template(user(red, "w1"), chat_template=template) == "<image>w1!"


def test_a_template_that_reads_parts_gets_them(processor, red):
    template = "{% for message in messages %}{{ message['content'][0]['text'] + '!' }}{% endfor %}"
    messages = user("w1", red)
    assert processor.apply_chat_template(messages, chat_template=template) == "w1!"
    # It writes no mark, so the image stands in front, as in the plain call.
    assert chat(processor, messages, chat_template=template)["input_ids"].tolist()[0][:2] == [IMG, IMG]


@pytest.mark.parametrize("content", ["what is <image>?", [{"type": "text", "text": "what is <image>?"}]])
def test_a_mark_typed_into_a_message_is_text_and_takes_no_image(processor, red, content):
    messages = [{"role": "user", "content": content}]
    assert processor.apply_chat_template(messages) == r"what is \<image>?"
    assert_same(chat(processor, messages), processor(text=r"what is \<image>?", return_tensors="pt"))
    assert chat(processor, [*messages, *user(red, "w1")])["input_ids"].tolist()[0][3:] == [IMG, IMG, 5, EOS]


TEXT, ANSWER = {"type": "text", "text": "w1"}, {"role": "assistant", "content": "w2"}


@pytest.mark.parametrize("template", [MULTIMODAL, MULTIMODAL.replace("<image>", "")])
def test_a_text_reaches_a_template_that_reads_parts_alone(processor, template):
    messages = [{"role": "user", "content": "w1"}, ANSWER, {"role": "user", "content": [TEXT]}]
    assert processor.apply_chat_template(messages, chat_template=template) == "w1!w2!w1!"


@pytest.mark.parametrize("tokenize", [False, True])
@pytest.mark.parametrize(
    ("conversation", "error", "match"),
    [
        ([], ValueError, "Conversation 0 is empty, expected at least one message"),
        ([[ANSWER], []], ValueError, "Conversation 1 is empty"),
        ([5], TypeError, "Message 0 is 5, expected a dict such as {'role': 'user'"),
        ([[ANSWER], [ANSWER, None]], TypeError, "Message 1 of conversation 1 is None, expected a dict"),
        (
            [{"role": "user", "content": (TEXT,)}],
            ValueError,
            r"Message 0 has the content \(.*, expected text or a list",
        ),
        ("w1", TypeError, "Conversation 0 is 'w1', expected a list of messages"),
        (ANSWER, TypeError, "Conversation 0 is {'role'.*expected a list"),
        ([[ANSWER], "w1"], TypeError, "Conversation 1 is 'w1', expected a list of messages"),
        ([{"content": "w1"}], ValueError, "Message 0 has the role None, expected text such as 'user'"),
        ([ANSWER, {"role": "user"}], ValueError, "Message 1 has the content None, expected text or a list of parts"),
        ([{"role": "user", "content": None}], ValueError, "Message 0 has the content None"),
        ([{"role": "user", "content": 5}], ValueError, "Message 0 has the content 5"),
        ([[ANSWER], [{"role": "user", "content": [TEXT, "w1"]}]], ValueError, "Part 1 of message 0 of conversation 1"),
    ],
)
def test_what_is_no_conversation_is_refused(processor, tokenize, conversation, error, match):
    with pytest.raises(error, match=match):
        processor.apply_chat_template(conversation, tokenize=tokenize)


@pytest.mark.parametrize("tokenize", [False, True])
@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_image", "image_url": "a.png"},
        {"type": "file", "file": {"file_id": "a"}},
        {"type": "audio", "url": "http://127.0.0.1:1/a.wav"},
        {"type": "video", "url": "a.mp4"},
        {"type": "text"},
        {"type": "text", "text": None},
        {"type": "image_url", "image": "a.png"},
        {"type": "text", "text": [TEXT]},
        {"text": "w1"},
        {"type": "image", "image": "a.png", "url": "b.png"},
        {},
        None,
    ],
)
def test_a_part_that_is_neither_text_nor_an_image_is_named(processor, tokenize, part):
    with pytest.raises(ValueError, match=r"Part 1 of message 1 is .*, expected {'type': 'text', 'text': \.\.\.} or"):
        processor.apply_chat_template([ANSWER, {"role": "user", "content": [TEXT, part]}], tokenize=tokenize)


def test_half_a_character_in_a_message_names_the_prompt(processor):
    with pytest.raises(ValueError, match=r"Prompt 1 holds half a character \(a lone surrogate\): 'w2.nw1 .ud800'"):
        chat(processor, [[ANSWER], [ANSWER, {"role": "user", "content": "w1 \ud800"}]])


def test_an_image_part_without_an_image_is_an_error_and_image_url_is_an_image(processor, red, tmp_path):
    with pytest.raises(ValueError, match=r"Prompt 0 says `<image>` 1 time\(s\), but 0 image\(s\) came"):
        chat(processor, [{"role": "user", "content": [TEXT, {"type": "image"}]}])
    red.save(tmp_path / "red.png")
    for url in ({"url": str(tmp_path / "red.png")}, str(tmp_path / "red.png")):
        part = {"type": "image_url", "image_url": url}
        inputs = chat(processor, [{"role": "user", "content": [part, TEXT]}])
        assert_same(inputs, processor(images=red, text="w1", return_tensors="pt"))


def test_a_template_that_refuses_or_has_a_fault_is_a_value_error(processor):
    for template, match in [("{{ raise_exception('no') }}", "refuses the conversation: no"), ("{{", "unexpected")]:
        with pytest.raises(ValueError, match=match):
            processor.apply_chat_template([ANSWER], chat_template=template)


def test_assistant_masks_cover_the_answer_alone(processor, red):
    template = (
        "{% for message in messages %}{% if message.role == 'assistant' %}{% generation %}{{ message.content }}"
        "{% endgeneration %}{% else %}{% for part in message.content %}"
        "{{ '<image>' if part.type == 'image' else part.text }} {% endfor %}{% endif %}{% endfor %}"
    )
    messages = [*user("w1", red, "w2"), {"role": "assistant", "content": "w3 w4"}]
    inputs = chat(processor, messages, chat_template=template, return_assistant_tokens_mask=True)
    assert inputs["input_ids"].tolist() == [[5, IMG, IMG, 6, 7, 8, EOS]]
    assert inputs["assistant_masks"].tolist() == [[0, 0, 0, 0, 1, 1, 0]]


def test_a_padded_batch_of_conversations_has_its_masks_at_the_answers(processor, red, blue):
    """The call of TRL's collator for vision-language models, with 1, 0 and 2 images."""
    template = (
        "{% for message in messages %}{% if message.role == 'assistant' %}{% generation %}"
        "{{ message.content[0].text }}{% endgeneration %}{% else %}{% for part in message.content %}"
        "{{ '<image>' if part.type == 'image' else part.text }} {% endfor %}{% endif %}{% endfor %}"
    )
    questions = [user(red, "w1"), user("w1"), user(blue, red, "w1")]
    answers = [[{"type": "text", "text": text}] for text in ("w2", "w2 w3", "w3")]
    given = [[*q, {"role": "assistant", "content": a}] for q, a in zip(questions, answers, strict=True)]
    padding = {"padding": True, "padding_side": "right", "pad_to_multiple_of": None, "add_special_tokens": False}
    inputs = chat(
        processor,
        given,
        chat_template=template,
        return_assistant_tokens_mask=True,
        processor_kwargs=padding | {"truncation": True, "max_length": 8},
    )
    assert inputs["input_ids"].tolist() == [[IMG, IMG, 5, 6, 0, 0], [5, 6, 7, 0, 0, 0], [IMG, IMG, IMG, IMG, 5, 7]]
    assert inputs["attention_mask"].tolist() == [[1, 1, 1, 1, 0, 0], [1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 1]]
    assert inputs["assistant_masks"].tolist() == [[0, 0, 0, 1, 0, 0], [0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1]]
    assert inputs["image_indices"].tolist() == [0, 1, 0]
