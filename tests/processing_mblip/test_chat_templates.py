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
