"""Write the benchmarks of a recipe as tasks of lmms-eval, and print their folder.

    mblip lmms-eval RECIPE [--output_dir FOLDER] [--evaluation.KEY VALUE ...]
    python -m lmms_eval --include_path FOLDER/lmms_eval --tasks mblip_xgqa --model qwen2_5_vl ...

A benchmark NAME becomes a group `mblip_NAME` of tasks `mblip_NAME_LANGUAGE`. Prompts, decoding, images and metric are
those of `mblip eval RECIPE`, which has the same options. The folder names image files by their paths.

A task is a YAML file; its documents, JSON lines with the fields of an `EvaluationExample`; and its metric. lmms-eval
scores single documents, but CIDEr-D needs all: `answer` only returns the answer, and `figure` scores all of them.
"""

import hashlib
import json
import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image as PILImage

from mblip.atomic_write import atomic_file, write_text
from mblip.data.images import Image, open_image, store_image
from mblip.evaluation import EvaluationExample, EvaluationTask, MetricRecord, RunSettings
from mblip.evaluation.command_line import parse_command_line
from mblip.evaluation.task import AS_IS

BENCHMARK = "mblip_benchmark"  # in a task's metadata
FIGURE = f"!function {__name__}.figure"
ROWS = "rows"  # in a document: the file of documents, beside which the metric lies
TEXTS, TUPLES = ("prompt", "image_id", "language", "condition", "id"), ("references", "candidates", "images")


def main(arguments: Sequence[str]) -> None:
    if not {"-h", "--help"}.isdisjoint(arguments):
        print(__doc__)
        return
    run = parse_command_line(arguments)
    for task in run.evaluation.build_tasks():
        write_tasks(run.output_dir / "lmms_eval", task, run.evaluation.settings)
    print(run.output_dir / "lmms_eval")


def write_tasks(folder: Path, task: EvaluationTask, settings: RunSettings) -> None:
    """Write a task per language and condition, a group per condition; ValueError if lmms-eval cannot answer so."""
    if task.answering == "constrained" or task.rank_by != "sum":
        found = f"answering: {task.answering}` and `rank_by: {task.rank_by}"
        raise ValueError(f"{task.name}: found `{found}`, which lmms-eval lacks. Generate, or rank by the sum.")
    groups: dict[str, dict[str, list[EvaluationExample]]] = defaultdict(lambda: defaultdict(list))
    for example in task.examples:
        condition = example.condition.removeprefix(AS_IS)
        texts = (f"mblip {task.name} {language} {condition}" for language in ("", example.language))
        group, name = (re.sub(r"\W+", "_", text).strip("_") for text in texts)
        groups[group][name].append(example)
    for group, parts in groups.items():
        for name, examples in parts.items():
            _write_task((folder / f"{name}.jsonl").absolute(), task, examples, settings)
        mean = {"metric": task.metric.main, "aggregation": "mean", "weight_by_size": False}
        content = {"group": group, "task": list(parts), "aggregate_metric_list": [mean]}
        write_text(folder / f"{group}.yaml", json.dumps(content, indent=1))  # JSON is YAML


def _write_task(rows: Path, task: EvaluationTask, examples: list[EvaluationExample], settings: RunSettings) -> None:
    right = [example.references[0] if example.references else "" for example in examples]
    figures = list(task.metric.score(examples, right).figures)  # some are undefined for other answers
    about = {"metric": asdict(MetricRecord.of(task.metric)), "figures": figures, "answering": task.answering}
    write_text(rows.with_suffix(".json"), json.dumps(about))
    documents = [
        {name: getattr(example, name) for name in (*TEXTS, *TUPLES)}
        | {"images": [_location(image, rows.parent, example.id) for image in example.images]}
        | {"facts": json.dumps(dict(example.facts)), ROWS: str(rows)}  # as text: `datasets` unites the keys of all
        for example in examples
    ]
    write_text(rows, "".join(f"{json.dumps(document)}\n" for document in documents))
    better = {task.metric.main: task.metric.greater_is_better}
    metrics = [{"metric": each, "aggregation": FIGURE, "higher_is_better": better.get(each)} for each in figures]
    ranking = {"output_type": "multiple_choice", "doc_to_choice": "candidates", "target_delimiter": ""}
    decoding = settings.generation.applied_to(task.generation).arguments() | {"until": []}
    content = {
        "include": str(Path(__file__).with_name("benchmark.yaml")),
        "task": rows.stem,
        "dataset_kwargs": {"data_files": {"test": str(rows)}},
        "metadata": {BENCHMARK: task.name, "protocol": task.protocol, "changes": task.changes, "marks": task.marks},
        **(ranking if task.answering == "rank" else {"generation_kwargs": decoding}),
        "metric_list": metrics,
    }
    write_text(rows.with_suffix(".yaml"), json.dumps(content, indent=1).replace(f'"{FIGURE}"', FIGURE))


def _location(image: Image, folder: Path, name: str) -> str:
    """The absolute location of an image. One in memory is stored in `folder`."""
    if isinstance(image, str | Path):
        archive, separator, file = str(image).rpartition("::")
        return archive + separator + os.path.abspath(file.removeprefix("file://"))
    encoded = store_image(image, name=name)["bytes"]
    path = folder / "images" / hashlib.sha256(encoded).hexdigest()
    with atomic_file(path) as partial:
        partial.write_bytes(encoded)
    return str(path)


def read_example(document: Mapping[str, Any]) -> EvaluationExample:
    """The example of a document."""
    fields = {name: document[name] for name in TEXTS} | {name: tuple(document[name]) for name in TUPLES}
    return EvaluationExample(**fields, facts=json.loads(document["facts"]))


def images(document: Mapping[str, Any]) -> list[PILImage.Image]:
    """The images of a document, for the models of others. Ours opens them itself."""
    return [open_image(image, name=f"The document {document['id']!r}") for image in document["images"]]


def answer(document: Mapping[str, Any], results: Sequence[Any]) -> dict[str, dict[str, str]]:
    """The answer to a document, under the name of each figure.

    Args:
        results: the text; if answers are ranked, loss and flag of each candidate, which lmms-eval 0.7.3 writes out.
    """
    about, output = _about(document[ROWS]), results[0]
    if about["answering"] == "rank":
        losses = [float(str(pair).strip("()").partition(",")[0]) for pair in results]
        output = document["candidates"][losses.index(min(losses))]
    return {
        name: {ROWS: document[ROWS], "id": document["id"], "output": output, "figure": name}
        for name in about["figures"]
    }


def figure(items: Sequence[Mapping[str, str]]) -> float:
    """A figure of the answers to a task; NaN if it is undefined for them."""
    answers = tuple(sorted((item["id"], item["output"]) for item in items))
    return _figures(items[0][ROWS], answers).get(items[0]["figure"], float("nan"))


@lru_cache(maxsize=1)  # lmms-eval asks for the figures of a task one after another
def _figures(rows: str, answers: tuple[tuple[str, str], ...]) -> Mapping[str, float]:
    with Path(rows).open(encoding="utf-8") as lines:
        examples = {example.id: example for example in map(read_example, map(json.loads, lines))}
    metric = MetricRecord(**_about(rows)["metric"]).build()
    return metric.score([examples[id] for id, _ in answers], [output for _, output in answers]).figures


@lru_cache
def _about(rows: str) -> Any:
    return json.loads(Path(rows).with_suffix(".json").read_text(encoding="utf-8"))
