"""Chat templates: messages to the prompt that the plain call would be given.

Three cases, told apart by what is there, never by a model's name: a template that writes `<image>` itself is used as
it is; a language model's own, which knows text alone, is kept and sees `<image>` in the text of the messages; without
any template, messages are joined by line breaks.
"""

from .prompt_encoding import IMAGE_MARK

# Turns the parts of each message into one text before a language model's own template reads it.
_FLATTEN = (
    "{%- set flat = namespace(messages=[]) -%}"
    "{%- for message in messages -%}"
    "{%- if message.content is defined and message.content is not string and message.content is iterable -%}"
    "{%- set flat.text = '' -%}"
    "{%- for part in message.content -%}"
    f"{{%- set flat.text = flat.text ~ ('{IMAGE_MARK}' if part.type == 'image' else part.text) -%}}"
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


def with_images(language_model_template: str | None) -> str:
    """The template for messages with images, made from the language model's own, or from none."""
    if language_model_template is None:
        return PLAIN_TEMPLATE
    if IMAGE_MARK in language_model_template:
        return language_model_template
    return _FLATTEN + language_model_template
