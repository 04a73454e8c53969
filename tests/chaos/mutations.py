"""Mutations of nested values and of text, for fuzzing what is read from YAML, JSON and parquet."""

import copy
import datetime
from typing import Any

from hypothesis import strategies as st

SCALARS = [
    *(None, True, False, 0, -1, 3, 2**70, 0.5, -2.5, 1e400, float("nan"), "", " ", "x", "no", "<image>", "</s>"),
    *("a\0b", "\ud800", "é" * 100, "null", "NA", "1e-3", "2020-01-01", "/etc/passwd", "../x", "file:///x", b"bytes"),
    *(datetime.date(2020, 1, 1), [], {}, [None], [[]], {"x": 1}, ["x", 2], {"": None}),
]
junk = st.sampled_from(SCALARS)


@st.composite
def mutated(draw: st.DrawFn, value: Any) -> Any:
    """A copy in which one or two values are replaced, removed, renamed or repeated."""
    value = {"": copy.deepcopy(value)}
    for _ in range(draw(st.integers(1, 2))):
        parent, key = value, ""
        while isinstance(parent[key], dict | list) and parent[key] and draw(st.integers(0, 4)):
            parent = parent[key]
            key = draw(st.sampled_from(sorted(parent) if isinstance(parent, dict) else range(len(parent))))
        match draw(st.sampled_from(["replace", "replace", "remove", "rename", "wrap"])):
            case "remove" if key != "":
                del parent[key]
            case "rename" if isinstance(parent, dict) and key != "":
                parent[draw(st.sampled_from([f"{key}x", key[:-1], key.upper()]))] = parent.pop(key)
            case "wrap":
                parent[key] = [parent[key]]
            case _:
                parent[key] = copy.deepcopy(draw(junk))
    return value[""]


@st.composite
def mutated_text(draw: st.DrawFn, text: str) -> str:
    """A text with one or two pieces put in or taken out."""
    pieces = [
        "\t",
        "\n",
        ":",
        "- ",
        "{",
        "]",
        "&a",
        "*a",
        "!!python/object:os.system ",
        "%",
        "\0",
        "'",
        '"',
        "\ufeff",
        "#",
    ]
    pieces += ["  " * 60, "[" * 200, "é", "---\n", "? ", "<<: "]
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.integers(0, len(text)))
        text = text[:place] + draw(st.sampled_from(pieces)) + text[place + draw(st.integers(0, 5)) :]
    return text
