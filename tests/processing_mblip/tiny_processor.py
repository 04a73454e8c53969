"""Tiny tokenizers built in memory, small enough to read ids off: `w3` is 7, whatever the kind."""

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from processing_mblip import MBlipImageProcessor, MBlipProcessor

PAD, EOS, BOS, UNK = 0, 1, 2, 3
WORDS = ["<pad>", "</s>", "<s>", "<unk>", *(f"w{i}" for i in range(20)), "a", "user"]
IMG = len(WORDS)  # 26: the first id beyond the tokenizer's
TEMPLATES = {"t5": "$A </s>", "bloom": "$A", "llama": "<s> $A", "bert": "<s> $A </s>"}


def make_tokenizer(kind: str = "t5", **kwargs) -> PreTrainedTokenizerFast:
    """A word tokenizer with the special tokens where that kind of language model has them."""
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=TEMPLATES[kind], special_tokens=[("</s>", EOS), ("<s>", BOS)]
    )
    kwargs = {"pad_token": "<pad>", "eos_token": "</s>", "bos_token": "<s>", "unk_token": "<unk>"} | kwargs
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **kwargs)


def make_processor(kind: str = "t5", **kwargs) -> MBlipProcessor:
    """Two `<image>` tokens per image, images of 4 x 4 pixels."""
    tokenizer = kwargs.pop("tokenizer", None) or make_tokenizer(kind)
    return MBlipProcessor(MBlipImageProcessor(size={"height": 4, "width": 4}), tokenizer, num_query_tokens=2, **kwargs)
