"""The text of a model card: use, results, training, data, parts and licences, limits, recipe."""

from .run_record import CHECKPOINT, Evaluation, RunRecord, StageRecord

USE = """```python
import modeling_mblip, processing_mblip  # of this package; they tell transformers what an mBLIP is
from transformers import AutoModelForImageTextToText, AutoProcessor

model = AutoModelForImageTextToText.from_pretrained("FOLDER").eval()
processor = AutoProcessor.from_pretrained("FOLDER")
inputs = processor(images="picture.png", text="Caption in German: ", return_tensors="pt")
ids = model.generate(**inputs, max_new_tokens=50)
print(processor.batch_decode(ids, skip_special_tokens=True)[0])
```"""

PROJECTIONS = {"random": "random projection", "blip2": "projection of the first"}
GENERAL_LIMITS = """- Answers can be wrong or invented, more so in languages the language model has read little of.
- Nothing was done against harmful or biased output; the parents' own cards and licences hold for this model too."""
DRAWN_WORLD_LIMIT = """- It knows a drawn world of coloured shapes and no photos: it is for watching re-alignment work.
- What is not in the tables above was not measured."""
OPEN_LIMIT = """- What is not in the tables above was not measured.
- TODO: what this model is and is not meant for."""


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
    parents = "; ".join(f"{parent.part}: `{parent.name}`" for parent in record.parents)
    if record.has_random_weights:
        return f"A baseline without parents: their shapes ({parents}), trained from random weights."
    return (
        f"An mBLIP model composed from two parents ({parents}), with a {PROJECTIONS[record.projection]}. The image "
        "encoder is as it was; LoRA, where it trained, is merged into the language model, otherwise as it was."
    )


def _results(evaluation: Evaluation) -> str:
    """The tables, whose headings go one level down, and in which words each condition was asked."""
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
        "| stage | trained parameters | steps | images a step | peak learning rate | minutes |",
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
        f"| {parent.part} | `{parent.name}` | {parent.license or 'not stated, or not in reach'} |"
        for parent in record.parents
    ]
    return "\n".join([*lines, "", f"These weights: {record.license or 'TODO: licence.'}"])


def _own_limits(record: RunRecord) -> str:
    sources = {source for stage in record.stages for source in stage.sources}
    return DRAWN_WORLD_LIMIT if sources == {"scenes"} else OPEN_LIMIT
