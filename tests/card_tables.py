"""Reading the committed cards and the Markdown tables in them."""

import re
from pathlib import Path

from huggingface_hub import ModelCard

CARD_FOLDER = Path(__file__).parents[1] / "model_cards"


def read_card(name: str) -> ModelCard:
    return ModelCard.load(CARD_FOLDER / f"{name}.md")


def tables(text: str) -> list[list[list[str]]]:
    """The Markdown tables of a text, as rows of cells, without the line under the headings."""
    blocks = re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE)
    rows = [[[cell.strip() for cell in line[1:-1].split("|")] for line in block.splitlines()] for block in blocks]
    return [[table[0], *table[2:]] for table in rows]
