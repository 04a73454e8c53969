"""Chat templates: turning messages into the prompt that the processor would be called with.

There are three cases. We look at the template to tell them apart, never at the model's name. A template that writes
`<image>` or reads the parts of messages is used unchanged. A language model's own template knows only text, so it gets
messages with `<image>` in their text. Without a template, we join the messages with line breaks.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jinja2  # comes with torch
from transformers.utils.chat_template_utils import render_jinja_template

from .prompt_encoding import IMAGE_TOKEN

# Joins the parts of each message into one text before a language model's own template reads it.
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
    """A template for messages with images, made from `template`, which may not support images, or from none.

    Args:
        variables: the tokenizer's special tokens, with which the template is rendered.
    """
    if template is None:
        return PLAIN_TEMPLATE
    tokens = tuple((name, value) for name, value in variables.items() if isinstance(value, str))
    return template if IMAGE_TOKEN in template or _reads_parts_alone(template, tokens) else _FLATTEN + template


@functools.lru_cache(maxsize=16)
def _reads_parts_alone(template: str, variables: tuple[tuple[str, str], ...]) -> bool:
    """Whether a template shows messages that are a list of parts, but not messages that are text."""
    return _shows(template, [{"type": "text", "text": PROBE}], variables) and not _shows(template, PROBE, variables)


def _shows(template: str, content: Any, variables: tuple[tuple[str, str], ...]) -> bool:
    """Whether a template shows the text of a user message with this content, and not a printed list of parts."""
    arguments: dict[str, Any] = {"chat_template": template, **dict(variables)}
    try:
        rendered = render_jinja_template([[{"role": "user", "content": content}]], **arguments)[0][0]
    except (jinja2.TemplateError, TypeError):
        return False
    return PROBE in rendered and "'text'" not in rendered
