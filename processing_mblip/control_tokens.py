"""Text of users as text: a control token such as `</s>` or `<|im_end|>` that somebody typed is read letter by letter.

A chat template joins its own control tokens with a user's text to one string. `escape` therefore marks the user's text
before: it writes an invisible mark behind every letter that may begin a control token. A token without a mark is then
the template's. This also holds for a token that is typed in two parts. transformers' `sanitize_control_tokens` misses
those, and fails where the vocabulary itself holds the token, as SentencePiece's does.

A text without a mark goes through the tokenizer as always. One with marks goes through the tokenizer's own
normalizer, pre-tokenizer and model, one after the other, which know nothing of added tokens.
"""

import re
import sys
import unicodedata
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

MARK = "\U000f0000"  # a character for private use
MARKS = re.compile(f"{MARK}({MARK}?)")  # a mark that somebody typed is written twice
SENTINELS = [f"{space}<extra_id_{i}>" for i in range(100) for space in ("", "▁")]  # T5's; mT5 has them as plain pieces

Token = tuple[int, tuple[int, int]]  # id, and the (start, end) of its characters in the text

_known: weakref.WeakKeyDictionary[Any, dict[Any, "ControlTokens"]] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class ControlTokens:
    """The control tokens of a tokenizer: its special tokens, those of its chat template, and `<|...|>`.

    Args:
        ids: theirs and the image token's, but not the unknown token's, which stands for any strange text.
        unknown: the unknown token.
        pattern: finds them and `<image>` in a text.
        added: splits a text at all added tokens.
        first_letters: of all of them.
    """

    ids: frozenset[int]
    unknown: str | None
    pattern: re.Pattern[str]
    added: re.Pattern[str]
    first_letters: frozenset[str]

    @classmethod
    def of(cls, tokenizer: Any, image_token: str, image_token_id: int, template: str = "") -> "ControlTokens":
        """The control tokens of `tokenizer` and of a chat template. They are kept until the tokenizer changes."""
        special = tuple(tokenizer.all_special_tokens)
        mine, key = _known.setdefault(tokenizer, {}), (special, len(tokenizer), image_token_id, template)
        if key not in mine:
            mine[key] = cls._made(tokenizer, special, image_token, image_token_id, template)
        return mine[key]

    @classmethod
    def _made(
        cls, tokenizer: Any, special: Sequence[str], image_token: str, image_token_id: int, template: str
    ) -> "ControlTokens":
        added = {token.content: token.special for token in tokenizer.added_tokens_decoder.values()}
        control = {*special, *(text for text in added if added[text] or text in template or text[:2] == "<|")}
        unknown = tokenizer.unk_token_id
        ids = dict(zip(SENTINELS, tokenizer.convert_tokens_to_ids(SENTINELS), strict=True))
        control |= {text for text in SENTINELS if ids[text] not in (None, unknown)}
        ids |= {text: tokenizer.convert_tokens_to_ids(text) for text in control}
        written = {text.lstrip("▁") for text in control if text.strip()} | {image_token}
        return cls(
            frozenset(ids[text] for text in control if text.strip()) - {unknown} | {image_token_id},
            tokenizer.unk_token,
            re.compile("|".join(map(re.escape, sorted(written, key=len, reverse=True)))),
            re.compile(f"({'|'.join(map(re.escape, sorted({*added, *special}, key=len, reverse=True))) or '(?!)'})"),
            frozenset(text[0] for text in written),
        )

    def escape(self, texts: Sequence[str]) -> list[str]:
        """The texts of one message or prompt, with marks if they hold a control token or would together form one."""
        return list(map(self.marked, texts)) if self.are_in(texts) else list(texts)

    def are_in(self, texts: Sequence[str]) -> bool:
        """Whether texts hold a control token, `<image>` or a mark, or would form one together."""
        joined = "".join(texts)
        plain = joined if joined.isascii() else unicodedata.normalize("NFKC", joined)
        return bool(self.pattern.search(joined) or self.pattern.search(plain) or MARK in joined)

    def marked(self, text: str) -> str:
        """The text with a mark behind every letter that may begin a control token, and behind every mark."""
        begin = {*self.first_letters, MARK}
        return "".join(
            letter + MARK if unicodedata.normalize("NFKC", letter)[:1] in begin else letter for letter in text
        )

    def tokens(self, tokenizer: Any, escaped: str) -> list[Token]:
        """The tokens of an escaped text, without special tokens around it. Spans count its letters without marks."""
        tokens: list[Token] = []
        position = 0
        for i, piece in enumerate(self.added.split(escaped)):
            text = unescape(piece)
            if i % 2:
                tokens.append((tokenizer.convert_tokens_to_ids(text), (position, position + len(text))))
            elif text:
                read = self._backend_tokens if tokenizer.is_fast else self._python_tokens
                found = read(tokenizer, text, is_start=position == 0)
                tokens += [(token_id, (position + start, position + end)) for token_id, (start, end) in found]
            position += len(text)
        return tokens

    def _backend_tokens(self, tokenizer: Any, text: str, *, is_start: bool) -> list[Token]:
        """The tokens of a text for the steps of the `tokenizers` package, without its added tokens.

        Inside a prompt a letter stands before the text, or some pre-tokenizers would put a space there.
        """
        backend = tokenizer.backend_tokenizer
        package = sys.modules[type(backend).__module__]  # the shipped files import no `tokenizers`
        lead = "" if is_start else "."

        def spell(part: str) -> list[Any]:
            found = backend.model.tokenize(part)
            cut = self._cut(part, ((token.id, token.value) for token in found))
            if not cut:
                return found
            size = len(part[:cut].encode())
            behind = [(token.id, token.value, token.offsets) for token in spell(part[cut:])]
            moved = [package.Token(id, value, (start + size, end + size)) for id, value, (start, end) in behind]
            return spell(part[:cut]) + moved

        steps = package.PreTokenizedString(lead + text)
        if lead:
            steps.split(lambda _, whole: [whole[:1], whole[1:]])
        if backend.normalizer is not None:
            steps.normalize(backend.normalizer.normalize)
        if backend.pre_tokenizer is not None:
            backend.pre_tokenizer.pre_tokenize(steps)
        steps.tokenize(spell)
        encoding = steps.to_encoding(0, None)
        spans = [(start - len(lead), end - len(lead)) for start, end in encoding.offsets]
        return [(id, span) for id, span in zip(encoding.ids, spans, strict=True) if span[0] >= 0]

    def _python_tokens(self, tokenizer: Any, text: str, *, is_start: bool) -> list[Token]:
        """The tokens of a text for a tokenizer written in Python, which gives no spans."""
        ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
        cut = self._cut(text, zip(ids, tokenizer.convert_ids_to_tokens(ids), strict=True))
        if not cut:
            return [(id, (0, 0)) for id in ids]
        before = self._python_tokens(tokenizer, text[:cut], is_start=is_start)
        return before + self._python_tokens(tokenizer, text[cut:], is_start=False)

    def _cut(self, text: str, tokens: Iterable[tuple[int, str]]) -> int:
        """Where to cut a text in two, inside the first of its control tokens; 0: nowhere."""
        for id, token in tokens:
            if id in self.ids or (token == self.unknown and token in text):
                written = token.lstrip("▁")
                return min(max(text.find(written), 0) + max(len(written) // 2, 1), len(text) - 1)
        return 0


def unescape(text: str) -> str:
    """The text that was escaped."""
    return MARKS.sub(r"\1", text) if MARK in text else text
