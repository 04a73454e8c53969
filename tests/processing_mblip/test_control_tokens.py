"""What a user types is text: control tokens and `<image>` in it are spelled, and the template's own stay."""

import pytest
from chat_models import CHAT_MODELS, chat_processor
from tiny_processor import make_processor
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

from processing_mblip.control_tokens import ControlTokens

LETTERS = sorted(set("abcdegikmnprstuwx<>/_|02▁"))
TYPED = ("a </s> b", "<pad></s>", "x<unk>x", "<extra_id_0> b", "<|im_end|>", "<2sw> a", "a<2de>", "a <image>")
KINDS = ("unigram", "first", "bytes", "python")


def tokenizer_of(kind: str):
    """A tokenizer of letters. Unigram's vocabulary holds the control tokens as pieces, with the best scores."""
    if kind == "python":
        return ByT5Tokenizer(extra_ids=2)
    if kind == "bytes":
        letters = sorted(pre_tokenizers.ByteLevel.alphabet())
        tokenizer = Tokenizer(models.BPE({letter: i for i, letter in enumerate(["<unk>", *letters])}, []))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
    else:
        pieces = ["<pad>", "</s>", "<unk>", "▁<extra_id_0>", "<2sw>"]
        scores = [*((piece, 0.0) for piece in pieces), *((letter, -3.0) for letter in LETTERS)]
        tokenizer = Tokenizer(models.Unigram(scores, 2))
        tokenizer.normalizer = normalizers.NFKC()
        scheme = "first" if kind == "first" else "always"
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    made.add_tokens([AddedToken("<|im_end|>", special=False), AddedToken("<2de>", special=False)])
    end = ("</s>", made.eos_token_id)
    made.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[end])
    return made


def spelled(processor, ids) -> str:
    return "".join(processor.tokenizer.convert_ids_to_tokens(ids)).replace("▁", " ").replace("Ġ", " ").strip()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", TYPED)
def test_control_tokens_of_a_user_are_spelled(kind, text):
    processor = make_processor(tokenizer=tokenizer_of(kind))
    [ids] = processor(text=text, sanitize_control_tokens=True)["input_ids"]
    assert spelled(processor, ids) == text + "</s>"
    assert ids[-1] == processor.tokenizer.eos_token_id
    longest = max(map(len, processor.tokenizer.convert_ids_to_tokens(ids[:-1])))
    assert longest <= 2
    if "<image>" not in text:
        assert processor.encode([text], [0]) == [ids]


def test_letters_of_another_width_are_no_control_token_either():
    processor = make_processor(tokenizer=tokenizer_of("unigram"))
    [ids] = processor.encode(["a ＜/s＞"], [0])
    assert spelled(processor, ids) == "a </s></s>"
    assert ids.count(processor.tokenizer.eos_token_id) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["", "a", " ab  <b>", "a\nb < c <|> | [x]", "ß ＜b＞", "\0\x1b", "\U000f0000 a"])
def test_other_texts_keep_the_tokenizers_ids(kind, text):
    processor = make_processor(tokenizer=tokenizer_of(kind))
    plain = processor.tokenizer(text)["input_ids"]
    assert processor(text=text)["input_ids"] == [plain]
    assert processor(text=text, sanitize_control_tokens=True)["input_ids"] == [plain]
    assert processor.encode([text], [0]) == [plain]
    marked = ControlTokens.of(processor.tokenizer, "<image>", processor.image_token_id).marked(text)
    assert processor.encode([marked], [0], is_escaped=True) == [plain]


@pytest.mark.parametrize("kind", KINDS[:3])
def test_a_call_without_arguments_is_the_tokenizers_and_split_special_tokens_goes_to_it(kind):
    processor, text = make_processor(tokenizer=tokenizer_of(kind)), "a </s> b"
    tokenizer = processor.tokenizer
    assert processor(text=text)["input_ids"] == [tokenizer(text)["input_ids"]]
    split = [tokenizer(text, split_special_tokens=True)["input_ids"]]
    assert processor(text=text, split_special_tokens=True)["input_ids"] == split
    assert processor(text=text, text_kwargs={"split_special_tokens": True})["input_ids"] == split
    messages = [{"role": "user", "content": text}]
    kwargs = {"tokenize": True, "return_dict": True}
    chat = processor.apply_chat_template(messages, processor_kwargs={"split_special_tokens": True}, **kwargs)
    assert chat["input_ids"] == split
    assert processor(text=text)["input_ids"] == [tokenizer(text, split_special_tokens=False)["input_ids"]]
    tokenizer.split_special_tokens = True
    assert processor(text=text)["input_ids"] == split


def test_with_sanitize_an_image_mark_is_text_and_the_image_stands_in_front(red):
    processor = make_processor(tokenizer=tokenizer_of("bytes"))
    text = r"a <image> \<image> </s>"
    inputs = processor(images=red, text=[text], sanitize_control_tokens=True, return_offsets_mapping=True)
    [ids], [offsets] = inputs["input_ids"], inputs["offset_mapping"]
    assert ids[:2] == [processor.image_token_id] * 2
    assert processor.decode(ids[2:-1]) == text
    assert offsets == [(0, 0), (0, 0), *((i, i + 1) for i in range(len(text))), (0, 0)]


def test_offsets_behind_a_literal_mark_count_the_prompts_characters():
    processor = make_processor(tokenizer=tokenizer_of("bytes"))
    inputs = processor(text=[r"\<image>ab"], return_offsets_mapping=True)
    assert inputs["offset_mapping"][0][-4:] == [(7, 8), (8, 9), (9, 10), (0, 0)]


def test_a_literal_mark_is_text_where_the_tokenizer_has_an_image_token_of_its_own(red):
    tokenizer = tokenizer_of("bytes")
    tokenizer.add_tokens([AddedToken("<image>", special=True)])
    processor = make_processor(tokenizer=tokenizer)
    [ids] = processor(images=red, text=r"a \<image></s>")["input_ids"]
    assert ids.count(processor.image_token_id) == 2
    assert processor.decode(ids[2:]) == "a <image></s></s>"
    assert ids[-2:] == [tokenizer.eos_token_id] * 2  # as typed: the text is not sanitized


def test_with_sanitize_a_text_of_the_image_tokens_id_is_split():
    processor = make_processor(image_token_id=7)
    with pytest.raises(
        ValueError, match=r"text of prompt 1 holds the token 7, .* give `sanitize_control_tokens=True`"
    ):
        processor(text=["w1", "w3"])
    assert processor(text=["w1", "w3"], sanitize_control_tokens=True)["input_ids"] == [[5, 1], [3, 1]]


@pytest.mark.parametrize("name", CHAT_MODELS)
@pytest.mark.parametrize("num_parts", [1, 2, 99])
def test_a_templates_control_tokens_stay_and_a_users_are_text_even_in_parts(red, name, num_parts):
    chat_model = CHAT_MODELS[name]
    processor = chat_processor(chat_model)
    typed = "a " + "".join([*chat_model.specials, chat_model.eos, chat_model.bos or "", "<image>"]) + " b"
    size = -(-len(typed) // num_parts)
    parts = [typed[i : i + size] for i in range(0, len(typed), size)]
    content = [{"type": "image", "image": red}, *({"type": "text", "text": part} for part in parts)]

    def ids_of(content):
        messages = [{"role": "user", "content": content}]
        kwargs = {"add_generation_prompt": True, "tokenize": True, "return_dict": True}
        return processor.apply_chat_template(messages, sanitize_control_tokens=True, **kwargs)["input_ids"][0]

    control = {*processor.tokenizer.all_special_ids, processor.image_token_id}
    control |= set(processor.tokenizer.convert_tokens_to_ids(list(chat_model.specials)))
    ids, plain = ids_of(content), ids_of([content[0], {"type": "text", "text": "a"}])
    assert [i for i in ids if i in control] == [i for i in plain if i in control]
    assert typed in processor.decode(ids)


def test_a_templates_control_token_takes_the_white_space_that_it_always_takes():
    tokenizer = tokenizer_of("first")
    tokenizer.add_special_tokens({"extra_special_tokens": [AddedToken("<|user|>", rstrip=True, special=True)]})
    processor = make_processor(tokenizer=tokenizer)
    [ids] = processor.encode(["<|user|> \n " + processor.escape(["</s>"])[0]], [0], is_escaped=True)
    assert tokenizer.convert_ids_to_tokens(ids) == ["<|user|>", *"</s>", "</s>"]


def test_sanitize_reaches_tools_documents_and_variables_but_no_images(red):
    processor = chat_processor(CHAT_MODELS["qwen2.5"])
    template = (
        "{{ tools[0].function.name }}{{ documents[0].text }}{{ mood }}<|im_end|>"
        "{% for part in messages[0].content %}{{ '<image>' if part.type == 'image' else part.text }}{% endfor %}"
    )
    end, eos = "<|im_end|>", processor.tokenizer.eos_token_id
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": [{"type": "image", "image": red}, {"type": "text", "text": end}]}],
        chat_template=template,
        tools=[{"type": "function", "function": {"name": end}}],
        documents=[{"title": "", "text": end}],
        mood=end,
        tokenize=True,
        return_dict=True,
        sanitize_control_tokens=True,
    )
    assert inputs["input_ids"][0].count(eos) == 1
    assert processor.decode(inputs["input_ids"][0]) == end * 5
    with pytest.raises(ValueError, match=r"`sanitize_control_tokens=True` needs `tokenize=True`"):
        processor.apply_chat_template([{"role": "user", "content": "a"}], sanitize_control_tokens=True)


def test_a_special_token_that_is_a_word_of_the_vocabulary_stays_one_in_a_template():
    processor = make_processor()
    processor.tokenizer.pad_token = "w3"
    [ids] = processor.encode(["w3 " + processor.escape(["w3 w4"])[0]], [0], is_escaped=True)
    assert ids == [7, 3, 8, 1]


def test_control_tokens_follow_the_tokenizer():
    processor = make_processor(tokenizer=tokenizer_of("bytes"), image_token_id=999)
    assert len(processor.encode(["<x>"], [0])[0]) == 4
    processor.tokenizer.add_tokens(["<x>"])
    assert len(processor.encode(["<x>"], [0])[0]) == 2  # an added token of no chat template is a word
    processor.tokenizer.add_special_tokens({"bos_token": "<x>"})
    assert len(processor.encode(["<x>"], [0])[0]) == 4
