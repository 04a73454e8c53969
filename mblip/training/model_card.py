"""Model cards: the README.md of a trained model, with the Hub's metadata.

    mblip card outputs/quickstart
    mblip card outputs/quickstart --results outputs/eval_quickstart/results.json
    mblip card quickstart/results/quickstart.json --output model_cards/mblip-quickstart.md

`mblip train` writes the card at the end of a run. Use this command to write it again, with more evaluations or with
facts that only you know. All content of the card is in the run's `card.json`. You can give that file instead of the
run's folder, and get the same card. Facts that are missing appear as TODO.
"""

import argparse
import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from mblip.atomic_write import write_text
from mblip.evaluation.environment import code_commit
from mblip.evaluation.language_groups import ALL
from mblip.evaluation.languages import evaluation_language

from .run_folder import Run
from .run_record import CHECKPOINT, RECORD_FILE, Evaluation, RunRecord, StageRecord, read_evaluation, record_run

PIPELINE_TAG = "image-text-to-text"
HUB_LANGUAGES = {"iw": "he"}  # codes of languages.tsv for which the Hub has another
CONTROLS = ("shuffled",)  # conditions that show what a model does without the right image

NEEDS = "Install `transformers>=5.23,<5.25`, and `mblip` with `pip install -e .` in a checkout of its repository."
REGISTERS = "import mblip  # registers mBLIP with transformers\n"
USE = f"""{NEEDS}

```python
{REGISTERS}from transformers import AutoModelForImageTextToText, AutoProcessor

model = AutoModelForImageTextToText.from_pretrained("FOLDER").eval()
processor = AutoProcessor.from_pretrained("FOLDER")
inputs = processor(images="image.png", text="Caption in German: ", return_tensors="pt")
ids = model.generate(**inputs, max_new_tokens=50)
print(processor.batch_decode(ids, skip_special_tokens=True)[0])
```"""
NEEDS_WITH_CODE = "Install `transformers>=5.23,<5.25`, torch and Pillow. The code is in the repository: read it first."

NUMBERS = {2: "two", 3: "three"}
PROJECTIONS = {"random": "random projection", "blip2": "BLIP-2's projection"}
GENERAL_LIMITS = """\
- Answers can be wrong or invented, more often in languages the language model has seen little of.
- We took no measures against harmful or biased output. The components' cards and licences apply to this model, too."""
NOT_MEASURED = "- We measured only what the tables above show."
OPEN_LIMIT = "- TODO: what this model is and is not meant for."


def write_card(run: Run, table: str) -> str:
    """Write the record of a run into its folder, and return the card as Markdown with the Hub's metadata.

    Args:
        table: the results; empty if nothing was evaluated.
    """
    record = record_run(run, code_commit())
    assert [evaluation.table for evaluation in record.evaluations] == ([table.strip()] if table else [])
    record.write(run.folder / RECORD_FILE)
    return build_card(record)


def build_card(record: RunRecord) -> str:
    """The card made from a record, and from nothing else."""
    return str(ModelCard(f"---\n{card_metadata(record).to_yaml()}\n---\n\n{card_text(record)}"))


def card_metadata(record: RunRecord) -> ModelCardData:
    """Languages, licence, base models, datasets, task, library, tags, and a summary of the scores."""
    facts = [stage.facts for stage in record.stages]
    languages = sorted({hub_language(code) for fact in facts for code in fact.num_prompts or {}})
    base_models = [component.name for component in record.parents if component.is_on_hub]
    results = [result for evaluation in record.evaluations for result in eval_results(evaluation)]
    return ModelCardData(
        language=languages or None,
        license=record.license,
        library_name="transformers",
        pipeline_tag=PIPELINE_TAG,
        base_model=base_models or None,
        datasets=list(record.datasets) or None,
        tags=["mblip", "multilingual"],
        model_name=record.name if results else None,
        eval_results=results or None,
    )


def use_in(repo: str, text: str, *, with_code: bool) -> str:
    """A card's text for a repository: the lines of use load from it, with its code if it holds any."""
    if with_code:
        text = text.replace(NEEDS, NEEDS_WITH_CODE).replace(REGISTERS, "")
    return text.replace('("FOLDER")', f'("{repo}"{", trust_remote_code=True" if with_code else ""})')


def hub_language(code: str) -> str:
    """The Hub's code for a language of the mix."""
    return HUB_LANGUAGES.get(code, code)


def eval_results(evaluation: Evaluation) -> list[EvalResult]:
    """Summarise the model's scores, times 100 as in the card's tables, which also show each language.

    For every task and condition: the unweighted mean over languages, and the lowest score. Controls, scores on
    stand-ins for images, and scores of other models appear only in the tables.
    """
    return [
        summary
        for name, result in evaluation.results.items()
        if name == result["task"] and not result.get("has_stand_ins", False)
        for condition in dict.fromkeys(score["condition"] for score in result["scores"])
        if condition not in CONTROLS
        for summary in _summaries(result, condition)
    ]


def _summaries(result: Mapping[str, Any], condition: str) -> list[EvalResult]:
    """The mean and the lowest score under a condition, or the only score if there is one language."""
    scores = {score["language"]: score["value"] for score in result["scores"] if score["condition"] == condition}
    lowest = min(scores, key=scores.__getitem__)
    if len(scores) == 1:
        summary = {evaluation_language(lowest).name: scores[lowest]}
    else:
        ends = [
            f" [{100 * mean['interval']['low']:.1f}, {100 * mean['interval']['high']:.1f}]"
            for mean in result.get("means", ())
            if (mean["condition"], mean["languages"]) == (condition, ALL)
        ]
        summary = {
            f"mean of {len(scores)} languages{''.join(ends)}": statistics.mean(scores.values()),
            f"lowest of {len(scores)} languages ({evaluation_language(lowest).name})": scores[lowest],
        }
    marks = "; ".join(result.get("marks", ()))  # what the benchmark lacks of the published one
    arguments = {"prompt": next(iter(result["prompts"][condition].values())), "protocol": result["protocol"]}
    if changes := result.get("changes"):
        arguments["changed"] = "; ".join(changes)
    return [
        EvalResult(
            task_type=PIPELINE_TAG,
            dataset_type=result["task"],
            dataset_name=f"{result['task']}{marks and f' ({marks})'}, {condition}",
            dataset_split=condition,
            metric_type=result["metric"],
            metric_name=f"{result['description']}, {what}",
            metric_value=round(100 * value, 1),
            metric_args=arguments,
        )
        for what, value in summary.items()
    ]


def card_text(record: RunRecord) -> str:
    """The card's Markdown, without its metadata."""
    sections = {
        "Use": USE,
        "Results": "\n\n".join(_results(evaluation) for evaluation in record.evaluations) or "TODO: not evaluated.",
        "What trained": "\n\n".join([_stage_table(record), _circumstances(record)]),
        "Data": "\n".join(_data(stage) for stage in record.stages),
        "Parts and licences": _parts(record),
        "Limits": f"{GENERAL_LIMITS}\n{_own_limits(record)}",
        "Recipe": f"```yaml\n{record.recipe}```",
    }
    texts = [f"## {heading}\n\n{text}" for heading, text in sections.items()]
    return "\n\n".join([f"# {record.name}\n\n{_introduction(record)}", *texts]) + "\n"


def _introduction(record: RunRecord) -> str:
    if record.parents[0].part == CHECKPOINT:
        return f"An mBLIP model, trained further from `{record.parents[0].name}`."
    components = "; ".join(f"{component.part}: `{component.name}`" for component in record.parents)
    if record.has_random_weights:
        return f"A baseline without components: the same architecture ({components}), trained from random weights."
    new = {"a new Q-Former": not any("Q-Former" in component.part for component in record.parents)}
    new |= {f"a {PROJECTIONS[record.projection]}": True}
    return (
        f"An mBLIP model composed from {NUMBERS[len(record.parents)]} components ({components}), with "
        f"{' and '.join(name for name, is_in in new.items() if is_in)}. The image encoder is unchanged. LoRA, if "
        "trained, is merged into the language model, which is otherwise unchanged."
    )


def _results(evaluation: Evaluation) -> str:
    """The tables, with headings one level lower, and the first prompt of each condition."""
    lines = [f"#{line}" if line.startswith("## ") else line for line in evaluation.table.splitlines()]
    asked = {
        f"{condition} (`{code}`): `{prompt.strip()}`": None
        for name, result in evaluation.results.items()
        if name == result["task"]
        for condition, prompts in result["prompts"].items()
        for code, prompt in [next(iter(prompts.items()))]
    }
    return "\n".join([*lines, "", f"The first prompts: {'; '.join(asked)}."] if asked else lines)


def _stage_table(record: RunRecord) -> str:
    lines = [
        "| stage | trained parameters | steps | images per step | peak learning rate | minutes |",
        "| --- | --- | ---: | ---: | --- | ---: |",
    ]
    for stage in record.stages:
        trained = ", ".join(f"{kind} {count:,}" for kind, count in stage.facts.num_trained.items())
        rates = "; ".join(f"{what} {rate:g}".strip() for what, rate in stage.learning_rates.items())
        lines.append(
            f"| {stage.stage} | {sum(stage.facts.num_trained.values()):,} ({trained}) "
            f"| {stage.num_steps:,} | {stage.batch_size} | {rates} | {stage.minutes:.1f} |"
        )
    return "\n".join(lines)


def _circumstances(record: RunRecord) -> str:
    facts = record.stages[-1].facts
    versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    precision = "bfloat16 mixed precision" if facts.is_bf16 else "float32"
    commit = "not recorded" if record.commit is None else f"`{record.commit}`"
    return f"{facts.hardware}, {facts.num_processes} process(es), {precision}. {versions}. Commit: {commit}."


def _data(stage: StageRecord) -> str:
    name = f"- {stage.stage}: {', '.join(f'`{source}`' for source in stage.sources)}"
    facts = stage.facts
    if facts.num_prompts is None:
        return f"{name}, streamed. TODO: languages."
    counts = ", ".join(f"{code} {count:,}" for code, count in facts.num_prompts.items())
    num_prompts = sum(facts.num_prompts.values())
    return f"{name}: {facts.num_images:,} images, {num_prompts:,} prompts. By language: {counts}."


def _parts(record: RunRecord) -> str:
    lines = ["| part | from | licence in its own card |", "| --- | --- | --- |"]
    lines += [
        f"| {component.part} | `{component.name}` | {component.license or 'not stated or not available'} |"
        for component in record.parents
    ]
    return "\n".join([*lines, "", f"These weights: {record.license or 'TODO: licence.'}"])


def _own_limits(record: RunRecord) -> str:
    if record.limits is None:
        return f"{NOT_MEASURED}\n{OPEN_LIMIT}"
    return f"- {record.limits}\n{NOT_MEASURED}"


def main(arguments: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="mblip card", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="the output folder of a finished run, or a card.json")
    parser.add_argument("--results", type=Path, nargs="+", help="results.json of `mblip eval`, each beside a table.md")
    parser.add_argument("--name", help="the model's name; default: the folder's")
    parser.add_argument("--license", help="the licence of the weights, by the Hub's identifier")
    parser.add_argument("--datasets", nargs="+", help="the training data, by names on the Hub")
    parser.add_argument("--output", type=Path, help="where to write the card; default: the run's model/README.md")
    given = parser.parse_args(arguments)
    print(_write_again(given))


def _write_again(given: argparse.Namespace) -> Path:
    is_record = given.run.suffix == ".json"
    record = RunRecord.read(given.run) if is_record else _find_record(given.run)
    record = _with_changes(record, given)
    if is_record and given.output is None:
        raise ValueError(f"{given.run} is a record without its run. Give --output, where to write the card.")
    if given.output is None:
        _check_finished(given.run)
    path = given.output or given.run / "model" / "README.md"
    write_text(path, build_card(record))
    record.write(given.run if is_record else given.run / RECORD_FILE)
    return path


def _find_record(folder: Path) -> RunRecord:
    """The record of a finished run."""
    if not (folder / RECORD_FILE).is_file():
        raise ValueError(
            f"{folder} holds no {RECORD_FILE}, which `mblip train` writes at the end. Run it again to finish."
        )
    return RunRecord.read(folder / RECORD_FILE)


def _check_finished(folder: Path) -> None:
    """Raise ValueError unless the run has a `model/`. The card must not create it: it marks a finished run."""
    if not (folder / "model").is_dir():
        raise ValueError(f"{folder} has no `model/`, so the run is not finished. Run `mblip train` again.")


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
