"""Chat templates: turning messages into the prompt that the processor would be called with.

There are three cases. We look at the template to tell them apart, never at the model's name. A template that writes
`<image>` or reads the parts of messages is used unchanged; where it reads nothing but parts, a text becomes one. A
language model's own template knows only text, so it gets messages with `<image>` in their text. Without a template, we
join the messages with line breaks.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jinja2  # comes with torch
from transformers.utils.chat_template_utils import render_jinja_template

from .prompt_encoding import IMAGE_TOKEN


def _rewriting(condition: str, content: str) -> str:
    """The beginning of a template: messages for which `condition` holds get another content."""
    return (
        "{%- set rewritten = namespace(messages=[]) -%}{%- for message in messages -%}"
        f"{{%- if {condition} -%}}{{%- set message = dict(message, content={content}) -%}}{{%- endif -%}}"
        "{%- set rewritten.messages = rewritten.messages + [message] -%}{%- endfor -%}"
        "{%- set messages = rewritten.messages -%}"
    )


# Joins the parts of each message into one text before a language model's own template reads it.
_FLATTEN = (
    "{%- macro joined(parts) -%}{%- for part in parts -%}"
    f"{{{{- '{IMAGE_TOKEN}' if part.type == 'image' else part.text -}}}}"
    "{%- endfor -%}{%- endmacro -%}"
) + _rewriting(
    "message.content is defined and message.content is not string and message.content is iterable",
    "joined(message.content)",
)

PLAIN_TEMPLATE = (
    _FLATTEN + "{%- for message in messages -%}{{ message.content }}{{ '' if loop.last else '\\n' }}{%- endfor -%}"
)
TEXT_AS_PART = "[{'type': 'text', 'text': message.content}]"
PROBE = "mblip-probe"
IMAGE_KEYS = ("image", "url", "path", "base64")
NO_MESSAGE = (str, bytes, int, float, complex, list, tuple, set, frozenset)
EXAMPLE = "{'role': 'user', 'content': 'What is this?'}"


def with_images(template: str | None, variables: Mapping[str, Any]) -> str:
    """A template for messages with images, made from `template`, which may not support images, or from none.

    Args:
        variables: the tokenizer's special tokens, with which the template is rendered.
    """
    if template is None:
        return PLAIN_TEMPLATE
    tokens = tuple((name, value) for name, value in variables.items() if isinstance(value, str))
    if roles := _roles_of_parts_alone(template, tokens):
        return _rewriting(f"message.content is string and message.role in {roles}", TEXT_AS_PART) + template
    return template if IMAGE_TOKEN in template else _FLATTEN + template


@functools.lru_cache(maxsize=16)
def _roles_of_parts_alone(template: str, variables: tuple[tuple[str, str], ...]) -> list[str]:
    """The roles whose messages a template shows if they are a list of parts, but not if they are text."""
    parts = [{"type": "text", "text": PROBE}]
    roles = ("user", "assistant", "system", "tool")
    return [r for r in roles if _shows(template, r, parts, variables) and not _shows(template, r, PROBE, variables)]


def _shows(template: str, role: str, content: Any, variables: tuple[tuple[str, str], ...]) -> bool:
    """Whether a template shows the text of a message with this content, and not a printed list of parts."""
    arguments: dict[str, Any] = {"chat_template": template, **dict(variables)}
    try:
        rendered = render_jinja_template([[{"role": role, "content": content}]], **arguments)[0][0]
    except (jinja2.TemplateError, TypeError):
        return False
    return PROBE in rendered and "'text'" not in rendered


def check_conversation(conversation: Any) -> None:
    """Raise TypeError or ValueError unless this is a list of messages, or a list of such lists."""
    is_batch = _is_list(conversation) and len(conversation) > 0 and _is_list(conversation[0])
    for i, messages in enumerate(conversation if is_batch else [conversation]):
        if hasattr(messages, "messages"):  # an object that transformers takes apart
            continue
        if not _is_list(messages):
            raise TypeError(f"Conversation {i} is {messages!r:.80}, expected a list of messages such as {EXAMPLE}.")
        if not messages:
            raise ValueError(f"Conversation {i} is empty, expected at least one message such as {EXAMPLE}.")
        for j, message in enumerate(messages):
            if message is None or isinstance(message, NO_MESSAGE):
                name = f"Message {j}" + (f" of conversation {i}" if is_batch else "")
                raise TypeError(f"{name} is {message!r:.80}, expected a dict such as {EXAMPLE}.")


def check_messages(messages: list[Any], where: str) -> None:
    """Raise ValueError unless each message of transformers' list has a role, and a content of text and images.

    Args:
        where: the end of a message's name, such as " of conversation 1".
    """
    for i, message in enumerate(messages):
        _check_message(message, f"Message {i}{where}")


def _check_message(message: Mapping[str, Any], name: str) -> None:
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str):
        raise ValueError(f"{name} has the role {role!r:.80}, expected text such as 'user'.")
    if isinstance(content, str) or (content is None and message.get("tool_calls")):
        return
    if not isinstance(content, list):
        raise ValueError(f"{name} has the content {content!r:.80}, expected text or a list of parts.")
    for i, part in enumerate(content):
        kind = part.get("type") if isinstance(part, Mapping) else None
        is_text = kind == "text" and isinstance(part.get("text"), str)
        is_image = kind == "image" and sum(key in part for key in IMAGE_KEYS) <= 1
        if not (is_text or is_image):
            raise ValueError(
                f"Part {i} of {name.lower()} is {part!r:.80}, expected {{'type': 'text', 'text': ...}} or "
                "{'type': 'image', 'image': ...}, with one of image, url, path and base64."
            )


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def map_texts(value: Any, change: Callable[[str], Any]) -> Any:
    """A copy of messages or other arguments of a template, with all texts changed but types and images."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        is_image = value.get("type") == "image"
        return {key: each if is_image or key == "type" else map_texts(each, change) for key, each in value.items()}
    return [map_texts(each, change) for each in value] if _is_list(value) else value
