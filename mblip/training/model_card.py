"""Model cards: the README.md of a trained model, with the Hub's metadata, from what the run wrote.

    python -m mblip.training.model_card outputs/quickstart
    python -m mblip.training.model_card outputs/quickstart --results outputs/eval_quickstart/results.json
    python -m mblip.training.model_card quickstart/results/quickstart.json --output model_cards/mblip-quickstart.md

train.py writes the card when a run ends. The command writes it again, with more evaluations, or with what only its
author knows. What the card is written from stands in the run's `card.json`; given in place of a run's folder, that
file alone gives the same card. What nobody said is left as a TODO.
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard

from mblip.data.whole_files import write_text
from mblip.evaluation.code_version import code_commit

from .card_metadata import card_metadata
from .card_text import USE, card_text
from .recipe_reading import read_recipe
from .run_folder import RECIPE_FILE, Run
from .run_record import RECORD_FILE, RunRecord, read_evaluation, record_run

__all__ = ["USE", "build_card", "main", "write_card"]


def write_card(run: Run, table: str) -> str:
    """The card of a run that ends, as Markdown with the Hub's metadata; its record is written into the run's folder.

    Args:
        table: the results; empty where nothing was evaluated.
    """
    record = record_run(run, code_commit())
    assert [evaluation.table for evaluation in record.evaluations] == ([table.strip()] if table else [])
    record.write(run.folder / RECORD_FILE)
    return build_card(record)


def build_card(record: RunRecord) -> str:
    """The card that a record gives, and nothing else goes into."""
    return str(ModelCard(f"---\n{card_metadata(record).to_yaml()}\n---\n\n{card_text(record)}"))


def main(arguments: Sequence[str]) -> None:
    """The command; a user's errors end it with their message."""
    parser = argparse.ArgumentParser(prog="mblip.training.model_card", description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="the output folder of a finished run, or a card.json")
    parser.add_argument("--results", type=Path, nargs="+", help="each a results.json of eval.py, table.md beside it")
    parser.add_argument("--name", help="the model's name; else the folder's")
    parser.add_argument("--license", help="of the weights, by the Hub's identifier")
    parser.add_argument("--datasets", nargs="+", help="names on the Hub of what it was trained on")
    parser.add_argument("--output", type=Path, help="where the card goes; else the run's model/README.md")
    given = parser.parse_args(arguments)
    try:
        print(_write_again(given))
    except (ValueError, OSError) as error:
        sys.exit(f"No card written. {error}")


def _write_again(given: argparse.Namespace) -> Path:
    is_record = given.run.suffix == ".json"
    record = RunRecord.read(given.run) if is_record else _find_record(given.run)
    record = _with_changes(record, given)
    if is_record and given.output is None:
        raise ValueError(f"{given.run} is a record without its run. Say with --output where the card goes.")
    if given.output is None:
        _check_finished(given.run)
    path = given.output or given.run / "model" / "README.md"
    write_text(path, build_card(record))
    record.write(given.run if is_record else given.run / RECORD_FILE)
    return path


def _find_record(folder: Path) -> RunRecord:
    """The record of a finished run; of one without, a new one, which cannot know the commit."""
    if (folder / RECORD_FILE).is_file():
        return RunRecord.read(folder / RECORD_FILE)
    run = Run(dataclasses.replace(read_recipe(folder / RECIPE_FILE), output_dir=folder))
    _check_finished(folder)
    return record_run(run, commit=None)


def _check_finished(folder: Path) -> None:
    """Raise unless the model is there: a folder made for its card alone would make train.py take it for finished."""
    if not (folder / "model").is_dir():
        raise ValueError(f"{folder} has no `model/`, which appears when a run is finished. Start train.py again.")


def _with_changes(record: RunRecord, given: argparse.Namespace) -> RunRecord:
    changes: dict[str, Any] = {
        name: getattr(given, name) for name in ("name", "license") if getattr(given, name) is not None
    }
    if given.datasets is not None:
        changes["datasets"] = tuple(given.datasets)
    if given.results is not None:
        own = (evaluation for evaluation in record.evaluations if evaluation.is_of_run)
        changes["evaluations"] = (*own, *(read_evaluation(path.parent, is_of_run=False) for path in given.results))
    return dataclasses.replace(record, **changes)


if __name__ == "__main__":
    main(sys.argv[1:])
