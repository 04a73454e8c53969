"""Chat templates: messages to the prompt that the plain call would be given.

Three cases, told apart by what is there, never by a model's name: a template that writes `<image>` or reads the parts
of messages is used as it is; a language model's own, which knows text alone, is kept and sees `<image>` in the text of
the messages; without any template, messages are joined by line breaks.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jinja2  # comes with torch
from transformers.utils.chat_template_utils import render_jinja_template

from .prompt_encoding import IMAGE_TOKEN

# Turns the parts of each message into one text before a language model's own template reads it.
_FLATTEN = (
    "{%- set flat = namespace(messages=[]) -%}"
    "{%- for message in messages -%}"
    "{%- if message.content is defined and message.content is not string and message.content is iterable -%}"
    "{%- set flat.text = '' -%}"
    "{%- for part in message.content -%}"
    f"{{%- set flat.text = flat.text ~ ('{IMAGE_TOKEN}' if part.type == 'image' else part.text) -%}}"
    "{%- endfor -%}"
    "{%- set flat.messages = flat.messages + [dict(message, content=flat.text)] -%}"
    "{%- else -%}"
    "{%- set flat.messages = flat.messages + [message] -%}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- set messages = flat.messages -%}"
)

PLAIN_TEMPLATE = (
    _FLATTEN + "{%- for message in messages -%}{{ message.content }}{{ '' if loop.last else '\\n' }}{%- endfor -%}"
)
PROBE = "mblip-probe"


def with_images(template: str | None, variables: Mapping[str, Any]) -> str:
    """The template for messages with images, made from one that may not know of images, or from none.

    Args:
        variables: what the template is rendered with beside the messages: the tokenizer's special tokens.
    """
    if template is None:
        return PLAIN_TEMPLATE
    tokens = tuple((name, value) for name, value in variables.items() if isinstance(value, str))
    return template if IMAGE_TOKEN in template or _reads_parts_alone(template, tokens) else _FLATTEN + template


@functools.lru_cache(maxsize=16)
def _reads_parts_alone(template: str, variables: tuple[tuple[str, str], ...]) -> bool:
    """Whether a template writes the text of a message that is a list of parts, and not of one that is text."""
    return _shows(template, [{"type": "text", "text": PROBE}], variables) and not _shows(template, PROBE, variables)


def _shows(template: str, content: Any, variables: tuple[tuple[str, str], ...]) -> bool:
    """Whether a template writes the text of a user's message of this content, and of a list not its brackets."""
    arguments: dict[str, Any] = {"chat_template": template, **dict(variables)}
    try:
        rendered = render_jinja_template([[{"role": "user", "content": content}]], **arguments)[0][0]
    except (jinja2.TemplateError, TypeError):
        return False
    return PROBE in rendered and "'text'" not in rendered
