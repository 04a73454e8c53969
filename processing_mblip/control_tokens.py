"""Text of users as text: a control token such as `</s>` or `<|im_end|>` that somebody typed is read letter by letter.

A chat template joins its own control tokens with a user's text to one string. `escape` therefore marks the user's text
before: it writes an invisible mark behind every letter that may begin a control token. A token without a mark is then
the template's. This also holds for a token that is typed in two parts. transformers' `sanitize_control_tokens` misses
those, and fails where the vocabulary itself holds the token, as SentencePiece's does.

A text without a mark goes through the tokenizer as always. One with marks goes through a copy of it that knows added
tokens under other names alone.
"""

import functools
import json
import re
import secrets
import unicodedata
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, Tokenizer, models

MARK = "\U000f0000"  # a character for private use
MARKS = re.compile(f"{MARK}({MARK}?)")  # a mark that somebody typed is written twice
SECRET = MARK + secrets.token_hex(8)  # begins the other names, so that nobody can type them
FORMS = (
    r"<\|[^|<>]+\|>|<extra_id_\d+>|<2\w+>"  # chat models', T5's and MADLAD's, even as plain pieces of the vocabulary
)

Token = tuple[int, tuple[int, int]]  # id, and the (start, end) of its characters in the text

_known: weakref.WeakKeyDictionary[Any, dict[Any, "ControlTokens"]] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class ControlTokens:
    """The control tokens of a tokenizer: its special tokens, those of its chat template, and those of `FORMS`.

    Args:
        pattern: finds them and `<image>` in a text.
        first_letters: of all of them, and the mark.
        added: the ids of all added tokens.
        backend: the tokenizer of the `tokenizers` package; None for one written in Python.
    """

    pattern: re.Pattern[str]
    first_letters: frozenset[str]
    added: dict[str, int]
    backend: Any

    @classmethod
    def of(cls, tokenizer: Any, image_token: str, image_token_id: int, template: str = "") -> "ControlTokens":
        """The control tokens of `tokenizer` and of a chat template. They are kept until the tokenizer changes."""
        special = tokenizer.all_special_tokens
        mine, key = _known.setdefault(tokenizer, {}), (*special, len(tokenizer), image_token_id, template)
        if key not in mine:
            added = tokenizer.added_tokens_decoder
            written = {*special, image_token}
            written |= {token.content for token in added.values() if token.special or token.content in template}
            if image_token_id < len(tokenizer):
                written.add(tokenizer.convert_ids_to_tokens(image_token_id))
            written = {bare for text in written if (bare := text.lstrip("▁")).strip()}
            ids = dict(zip(special, tokenizer.convert_tokens_to_ids(special), strict=True))
            mine[key] = cls(
                re.compile(f"{_any_of(written)}|{FORMS}"),
                frozenset({MARK, "<", *(text[0] for text in written)}),
                {token.content: id for id, token in added.items()} | ids,
                tokenizer.backend_tokenizer if tokenizer.is_fast else None,
            )
        return mine[key]

    @functools.cached_property
    def copy(self) -> Tokenizer:
        """The tokenizer with added tokens renamed, also in a vocabulary that holds them as plain pieces.

        BPE keeps its vocabulary: no merges make a control token.
        """
        model = self.backend.model
        if not isinstance(model, models.BPE):
            state, model = json.loads(model.__getstate__()), type(model)()
            pieces, unknown = state["vocab"], state.get("unk_token")
            if isinstance(pieces, dict):
                state["vocab"] = {p if p == unknown else self._renamed(p): id for p, id in pieces.items()}
            else:
                state["vocab"] = [[self._renamed(piece), score] for piece, score in pieces]
            model.__setstate__(json.dumps(state).encode())
        copy = Tokenizer(model)
        copy.normalizer, copy.pre_tokenizer = self.backend.normalizer, self.backend.pre_tokenizer
        settings = {token.content: token for token in self.backend.get_added_tokens_decoder().values()}
        for text in self.added:
            strips = settings.get(text, AddedToken(text))
            renamed = AddedToken(SECRET + text, lstrip=strips.lstrip, rstrip=strips.rstrip, normalized=False)
            copy.add_tokens([renamed])
        return copy

    def _renamed(self, piece: str) -> str:
        return SECRET + piece if self.pattern.fullmatch(piece.lstrip("▁")) else piece

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
        return "".join(
            letter + MARK if unicodedata.normalize("NFKC", letter)[:1] in self.first_letters else letter
            for letter in text
        )

    def tokens(self, tokenizer: Any, escaped: str) -> list[Token]:
        """The tokens of an escaped text, without special tokens around it. Spans count its letters without marks."""
        split = re.split(f"({_any_of(self.added)})", escaped)
        pieces = [piece if i % 2 else unescape(piece) for i, piece in enumerate(split)]
        if self.backend is None:  # such a tokenizer gives no spans
            settings = {"add_special_tokens": False, "split_special_tokens": True, "verbose": False}
            read = [tokenizer(piece, **settings)["input_ids"] for piece in pieces[::2]]
            for i, piece in enumerate(pieces[1::2]):
                read[i].append(self.added[piece])
            return [(id, (0, 0)) for ids in read for id in ids]
        encoding = self.copy.encode("".join(SECRET * (i % 2) + piece for i, piece in enumerate(pieces)))
        tokens, shift = [], 0
        for id, token, (start, end) in zip(encoding.ids, encoding.tokens, encoding.offsets, strict=True):
            start -= shift
            if SECRET in token:  # with the white space that the token takes
                name = str(self.copy.id_to_token(id))
                id, shift = self.added[name.removeprefix(SECRET)], shift + len(SECRET)
            tokens.append((id, (start, end - shift)))
        return tokens


def _any_of(texts: Iterable[str]) -> str:
    """A pattern of texts, the longest first."""
    return "|".join(map(re.escape, sorted(texts, key=len, reverse=True))) or "(?!)"


def unescape(text: str) -> str:
    """The text that was escaped."""
    return MARKS.sub(r"\1", text) if MARK in text else text
