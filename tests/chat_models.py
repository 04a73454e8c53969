"""Chat templates in the manner of published language models, each with a tokenizer that has its special tokens, and
what they write for the question "what is this" with an image and the answer "a red dog".

The tokenizer has one id a byte, so that ids decode to the very text; `<image>` is the first id beyond them.
"""

from dataclasses import dataclass

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from processing_mblip import MBlipImageProcessor, MBlipProcessor

IMAGE_SIZE = 28
NUM_QUERY_TOKENS = 2
PAD = "<pad>"

_CHATML_SYSTEM = (
    "{%- if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nYou help.<|im_end|>\\n' }}{%- endif %}"
)
_CHATML_TURNS = (
    "{%- for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{%- endfor %}"
)
_CHATML_GENERATION = "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{%- endif %}"
_QWEN3 = (
    "{%- for message in messages %}{{ '<|im_start|>' + message.role + '\\n' }}"
    "{%- if message.role == 'assistant' and loop.last %}"
    "{{ '<think>\\n' + message.reasoning_content | default('') + '\\n</think>\\n\\n' }}{%- endif %}"
    "{{ message.content + '<|im_end|>\\n' }}{%- endfor %}" + _CHATML_GENERATION
)
_LLAMA3 = (
    "{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'"
    " + message['content'] | trim + '<|eot_id|>' %}{% if loop.first %}{% set content = bos_token + content %}"
    "{% endif %}{{ content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)
_GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}{% for message in messages %}"
    "{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}"
    "{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)
_MISTRAL = (
    "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}"
)
_VICUNA = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ 'USER: ' + message['content'] + ' ' }}{% else %}{{ 'ASSISTANT: ' + message['content'] + eos_token }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
_HARMONY = (
    "{% for message in messages %}{{ '<|start|>' + message.role }}"
    "{{ '<|channel|>final' if message.role == 'assistant' else '' }}"
    "{{ '<|message|>' + message.content }}"
    "{{ '<|return|>' if loop.last and message.role == 'assistant' else '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}"
)


@dataclass(frozen=True)
class ChatModel:
    """A template with its tokenizer's special tokens, the prompt before and behind the image, and the turn learned.

    `has_sentencepiece_space`: a space is put in front of every text, as tokenizers of Llama 2's time do.
    """

    template: str
    specials: tuple[str, ...]
    eos: str
    before_image: str
    behind_image: str
    learned: str
    bos: str | None = None
    adds_bos: bool = False
    has_sentencepiece_space: bool = False


CHAT_MODELS = {
    "qwen2.5": ChatModel(
        template=_CHATML_SYSTEM + _CHATML_TURNS + _CHATML_GENERATION,
        specials=("<|im_start|>",),
        eos="<|im_end|>",
        before_image="<|im_start|>system\nYou help.<|im_end|>\n<|im_start|>user\n",
        behind_image="what is this<|im_end|>\n<|im_start|>assistant\n",
        learned="a red dog<|im_end|>",
    ),
    "qwen3": ChatModel(
        template=_QWEN3,
        specials=("<|im_start|>",),
        eos="<|im_end|>",
        before_image="<|im_start|>user\n",
        behind_image="what is this<|im_end|>\n<|im_start|>assistant\n",
        learned="<think>\n\n</think>\n\na red dog<|im_end|>",
    ),
    "llama3": ChatModel(
        template=_LLAMA3,
        specials=("<|start_header_id|>", "<|end_header_id|>"),
        bos="<|begin_of_text|>",
        eos="<|eot_id|>",
        adds_bos=True,
        before_image="<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n",
        behind_image="what is this<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        learned="a red dog<|eot_id|>",
    ),
    "gemma": ChatModel(
        template=_GEMMA,
        specials=("<start_of_turn>", "<end_of_turn>"),
        bos="<bos>",
        eos="<eos>",
        adds_bos=True,
        before_image="<bos><start_of_turn>user\n",
        behind_image="what is this<end_of_turn>\n<start_of_turn>model\n",
        learned="a red dog<end_of_turn>\n<eos>",
    ),
    "mistral": ChatModel(
        template=_MISTRAL,
        specials=("[INST]", "[/INST]"),
        bos="<s>",
        eos="</s>",
        adds_bos=True,
        before_image="<s>[INST] ",
        behind_image="what is this [/INST]",
        learned=" a red dog</s>",
    ),
    "vicuna": ChatModel(
        template=_VICUNA,
        specials=(),
        bos="<s>",
        eos="</s>",
        adds_bos=True,
        has_sentencepiece_space=True,
        before_image="<s> USER: ",
        behind_image=" what is this ASSISTANT:",
        learned=" a red dog</s>",
    ),
    "gpt-oss": ChatModel(
        template=_HARMONY,
        specials=("<|start|>", "<|channel|>", "<|message|>", "<|end|>"),
        eos="<|return|>",
        before_image="<|start|>user<|message|>",
        behind_image="what is this<|end|><|start|>assistant",
        learned="<|channel|>final<|message|>a red dog<|return|>",
    ),
}


def chat_tokenizer(chat_model: ChatModel) -> PreTrainedTokenizerFast:
    """A tokenizer of bytes and special tokens, with the template."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if chat_model.has_sentencepiece_space:
        tokenizer.normalizer = normalizers.Prepend(" ")
    specials = [token for token in (PAD, chat_model.bos, chat_model.eos, *chat_model.specials) if token]
    tokenizer.add_special_tokens(specials)
    if chat_model.adds_bos:
        bos = (chat_model.bos, tokenizer.token_to_id(chat_model.bos))
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{chat_model.bos} $A", special_tokens=[bos])
    loaded = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=chat_model.bos,
        eos_token=chat_model.eos,
        padding_side="left",
    )
    loaded.chat_template = chat_model.template
    return loaded


def chat_processor(chat_model: ChatModel) -> MBlipProcessor:
    """A processor of small images and two `<image>` tokens each."""
    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    return MBlipProcessor(
        MBlipImageProcessor(size=size), chat_tokenizer(chat_model), num_query_tokens=NUM_QUERY_TOKENS
    )
