"""The draft of a model card: what was married, what trained on what, how long, with what result, and the limits.

Everything in it is read from the run; what only its author knows is left as a TODO.
"""

from huggingface_hub import ModelCard, ModelCardData

from .recipe import Recipe
from .recipe_reading import to_yaml
from .run_folder import Run, StageRun
from .stage_facts import StageFacts, read_facts
from .training_log import read_log

HUB_LANGUAGES = {"iw": "he"}  # where the Hub writes another code than languages.tsv


def write_card(run: Run, table: str) -> str:
    """The card of the run's model as Markdown with the Hub's metadata.

    Args:
        table: the results; empty where nothing was evaluated.
    """
    facts = [read_facts(stage.folder) for stage in run.stages]
    sections = [
        f"# {run.folder.name}\n\n{_introduction(run.recipe)}",
        f"## Use\n\n{USE}",
        f"## Results\n\n{table or 'TODO: not evaluated.'}",
        f"## What trained\n\n{_stage_table(run, facts)}\n\n{_hardware(facts[-1])}",
        f"## Data\n\n{_data(run, facts)}",
        f"## Limits\n\n{LIMITS}",
        f"## Recipe\n\n```yaml\n{to_yaml(run.recipe)}```",
    ]
    text = "\n\n".join(sections)
    return str(ModelCard(f"---\n{_metadata(run.recipe, facts).to_yaml()}\n---\n\n{text}\n"))


USE = """```python
from modeling_mblip import MBlipForConditionalGeneration
from processing_mblip import MBlipProcessor

model = MBlipForConditionalGeneration.from_pretrained("FOLDER").eval()
processor = MBlipProcessor.from_pretrained("FOLDER")
inputs = processor(images="picture.png", text="Caption in German: ", return_tensors="pt")
print(processor.batch_decode(model.generate(**inputs, max_new_tokens=50), skip_special_tokens=True)[0])
```"""

LIMITS = """- Answers can be wrong or invented; expect worse ones in languages the language model has read little of.
- Nothing was done against harmful or biased output; the parents' own cards and licences hold for this model too.
- TODO: what this model is and is not meant for."""


def _introduction(recipe: Recipe) -> str:
    model = recipe.model
    if model.name_or_path is not None:
        return f"An mBLIP model, trained further from `{model.name_or_path}`."
    parents = f"image encoder and Q-Former of `{model.blip2}`, language model `{model.language_model}`"
    if model.random_weights:
        return f"A baseline without parents: their shapes ({parents}), trained from random weights."
    return (
        f"An mBLIP model: {parents}, {model.projection} projection. The image encoder is as it was; LoRA, where it "
        "trained, is merged into the language model, which is otherwise as it was."
    )


def _metadata(recipe: Recipe, facts: list[StageFacts]) -> ModelCardData:
    model = recipe.model
    parents = [model.name_or_path] if model.name_or_path is not None else [model.blip2, model.language_model]
    languages = sorted({HUB_LANGUAGES.get(code, code) for fact in facts for code in fact.num_prompts or {}})
    return ModelCardData(
        language=languages or None,
        license=recipe.license,
        library_name="transformers",
        pipeline_tag="image-text-to-text",
        base_model=[parent for parent in parents if parent is not None],
        tags=["mblip", "multilingual"],
    )


def _stage_table(run: Run, facts: list[StageFacts]) -> str:
    lines = [
        "| stage | trained parameters | steps | images a step | peak learning rate | minutes |",
        "| --- | --- | ---: | ---: | --- | ---: |",
    ]
    for stage, fact in zip(run.stages, facts, strict=True):
        entries = [entry for entry in read_log(run) if entry["stage"] == stage.folder.name]
        trained = ", ".join(f"{kind} {count:,}" for kind, count in fact.num_trained.items())
        steps, minutes = entries[-1]["step"], entries[-1]["seconds"] / 60
        lines.append(
            f"| {stage.recipe.stage} | {sum(fact.num_trained.values()):,} ({trained}) "
            f"| {steps:,} | {stage.recipe.batch_size} | {_rates(stage)} | {minutes:.1f} |"
        )
    return "\n".join(lines)


def _rates(stage: StageRun) -> str:
    lora = "" if stage.recipe.lora is None else f"; LoRA {stage.recipe.lora.learning_rate:g}"
    return f"{stage.recipe.learning_rate:g}{lora}"


def _hardware(facts: StageFacts) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    precision = "bfloat16 mixed precision" if facts.is_bf16 else "float32"
    return f"{facts.hardware}, {facts.num_processes} process(es), {precision}. {versions}."


def _data(run: Run, facts: list[StageFacts]) -> str:
    parts = []
    for stage, fact in zip(run.stages, facts, strict=True):
        rows = stage.data.rows
        sources = [source.source for source in stage.data.sources] if rows is None else [rows.path.as_posix()]
        name = f"{stage.recipe.stage}: {', '.join(f'`{source}`' for source in sources)}"
        if fact.num_prompts is None:
            parts.append(f"- {name}, streamed. TODO: languages.")
            continue
        counts = ", ".join(f"{code} {count:,}" for code, count in fact.num_prompts.items())
        num_prompts = sum(fact.num_prompts.values())
        parts.append(f"- {name}: {fact.num_images:,} images, {num_prompts:,} prompts. By language: {counts}.")
    return "\n".join(parts)
