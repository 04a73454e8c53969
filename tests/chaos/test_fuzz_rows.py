"""Mutated rows and tables are taken, or refused by a ValueError or a TypeError."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mblip.data import MBlipCollator, TrainingRows, load_rows, write_rows
from mblip.data.example import rows_to_dataset
from mblip.data.sources.own import own_dataset, own_folder
from mblip.data.sources.own_rows import Columns
from tests.chaos.mutations import mutated
from tests.chaos.outcomes import attempted
from tests.tiny import tiny_config, tiny_processor

COLLATOR = MBlipCollator(tiny_processor(), tiny_config(), prompts_per_image=2)
RED = Image.new("RGB", (40, 32), "red")
ROW = {
    "images": [RED],
    "image_id": "r",
    "prompts": ["what is this", "a red"],
    "targets": ["a red dog", "yes"],
    "languages": ["en", "de"],
    "tasks": ["captioning", "vqa"],
    "sources": ["drawn", "drawn"],
    "ids": ["r0", "r1"],
}
TABLE = [
    {"file_name": f"{i}.png", "text": "ein Hund", "language": "de", "q": "Was ist das?", "key": str(i)}
    for i in range(2)
]
COLUMNS = Columns(target="text", language="language", question="q", id="key")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two images; what `datasets` keeps of thousands of files goes where they go."""
    folder = tmp_path_factory.mktemp("rows")
    for i in range(2):
        RED.save(folder / f"{i}.png")
    datasets.disable_progress_bars()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield folder
    datasets.enable_progress_bars()


@given(row=mutated(ROW), door=st.sampled_from(["collator", "training rows", "file"]))
def test_a_mutated_row_makes_a_batch_or_is_refused(folder: Path, row: Any, door: str) -> None:
    def use() -> None:
        rows = [ROW, row]
        if door == "training rows":
            training_rows = TrainingRows(rows_to_dataset(rows), prompts_per_image=1)
            rows = [training_rows[i] for i in range(len(training_rows))]
        elif door == "file":
            write_rows(rows, folder.parent / "rows.parquet")
            rows = list(load_rows(folder.parent / "rows.parquet"))
        COLLATOR(rows)

    attempted(f"rows, {door}", use)


@given(table=mutated(TABLE), kind=st.sampled_from(["jsonl", "csv"]), source=st.sampled_from([own_folder, own_dataset]))
def test_a_mutated_table_gives_examples_or_is_refused(folder: Path, table: Any, kind: str, source: Any) -> None:
    for old in folder.glob("metadata.*"):
        old.unlink()
    lines = table if isinstance(table, list) else [table]
    with (folder / f"metadata.{kind}").open("w", encoding="utf-8", errors="surrogatepass", newline="") as file:
        if kind == "jsonl":
            file.writelines(f"{json.dumps(line, default=str)}\n" for line in lines)
        else:
            rows = [line if isinstance(line, dict) else {"text": line} for line in lines]
            writer = csv.DictWriter(
                file, {str(name): None for row in rows for name in row} or ["text"], extrasaction="ignore"
            )
            writer.writeheader()
            writer.writerows(rows)
    attempted(f"tables, {source.__name__}, {kind}", lambda: list(source(0, path=folder, task="vqa", columns=COLUMNS)))
