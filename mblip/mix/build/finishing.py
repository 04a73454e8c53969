"""The last step of a build: count all shards, write the dataset card and chart, and upload to the Hub.

The card holds the Hub's metadata, counts by language and task, sources with their licences, what was skipped, how it
was translated, and the recipe. It holds no date and no path, so equal builds have equal cards.
"""

from collections.abc import Sequence

from huggingface_hub import DatasetCardData, HfApi

from mblip.atomic_write import atomic_file, write_text
from mblip.data.recipes.yaml_values import read_yaml, to_plain_values, without_folder, without_folders, write_yaml
from mblip.data.skipped import SkipReport

from ..allocation import allocation_table, write_chart
from ..translation.engines import OwnEngine
from .folder import BuildFolder, Counts, ShardReport, SourceReport, add_skipped
from .reading import read_report
from .recipe import MixRecipe

CARD, CHART = "README.md", "languages.png"
TASK_CATEGORIES = ["image-to-text", "visual-question-answering", "image-text-to-text"]
NLLB_LICENCE = " (NLLB: CC BY-NC 4.0)"
HUB_LANGUAGES = {"iw": "he"}  # where the Hub's code differs from languages.tsv

USE = """```python
from datasets import load_dataset
from mblip.data import TrainingRows, load_rows

rows = load_dataset("NAME", split="train", streaming=True)  # to look at it
rows = TrainingRows(load_rows("NAME", revision="COMMIT"))  # to train on it, or, built here, load_rows("FOLDER/data")
```"""
COLUMNS = """One row holds all prompts about one set of images, so that an image is stored and encoded once: `images`,
`image_id`, and the lists `prompts`, `targets`, `languages`, `tasks`, `sources`, `ids` and `provenance` (JSON: who
translated what), an entry for each prompt."""


def plan(recipe: MixRecipe, folder: BuildFolder) -> str:
    """What the mix will hold by allotted language, as a table, and as a chart in the work folder.

    It is known once all sources are read, before anything is translated.
    """
    counts: Counts = Counts()
    for report in _source_reports(recipe, folder):
        counts += report.counts
    chart = folder.work / f"planned_{CHART}"
    with atomic_file(chart) as partial:
        write_chart(counts, partial)
    return (
        f"{sum(counts.values()):,} examples by language and task, before translation:\n\n{allocation_table(counts)}\n"
        f"As a chart: {chart}"
    )


def finish(recipe: MixRecipe, folder: BuildFolder, number: int = 0) -> None:
    """Write the card and the chart. This is one task, number 0.

    Raises:
        ValueError: a shard is missing, or every example is skipped.
    """
    missing = [number for number in range(recipe.num_shards) if not folder.is_built(number, recipe.num_shards)]
    if missing:
        raise ValueError(f"{len(missing)} of {recipe.num_shards} shards are not built. Run the same command again.")
    total = ShardReport()
    for number in range(recipe.num_shards):
        total.add(ShardReport.read(folder.shard_report(number)))
    if not total.counts:
        skipped = _skipped(_source_reports(recipe, folder), total)
        raise ValueError(f"Every example is skipped, expected some that can be trained on.\n{skipped}")
    with atomic_file(folder.root / CHART) as partial:
        write_chart(total.counts, partial)
    recipe_text = write_yaml(without_folders(to_plain_values(read_yaml(folder.recipe))))
    write_text(folder.root / CARD, _card(recipe, _source_reports(recipe, folder), total, recipe_text))


def push(folder: BuildFolder, repository: str, *, is_private: bool) -> str:
    """Upload data, card and chart in one commit. If it fails, a second call sends what is missing.

    Returns:
        The repository and commit.
    Raises:
        ValueError: the mix is to be private, but the repository exists and is public.
    """
    api = HfApi()
    api.create_repo(repository, repo_type="dataset", private=is_private or None, exist_ok=True)
    if is_private and not api.dataset_info(repository).private:
        raise ValueError(f"{repository} is already public. Make it private on the Hub, or remove --private.")
    done = api.upload_folder(
        repo_id=repository,
        repo_type="dataset",
        folder_path=folder.root,
        allow_patterns=["data/*.parquet", CARD, CHART],
        delete_patterns=["data/*.parquet"],
        commit_message="The mix",
    )
    return f"{repository}, commit {done.oid}"


def _source_reports(recipe: MixRecipe, folder: BuildFolder) -> list[SourceReport]:
    return [read_report(number, folder) for number in range(len(recipe.sources))]


def _card(recipe: MixRecipe, sources: Sequence[SourceReport], total: ShardReport, recipe_text: str) -> str:
    """The card's text, with its metadata."""
    sections = {
        "Use": f"{USE}\n\n{COLUMNS}",
        "Languages and tasks": f"![examples by language](languages.png)\n\n{allocation_table(total.counts)}",
        "Sources": _sources(recipe, sources),
        "Translation": _translation(recipe, total),
        "Skipped": _skipped(sources, total),
        "Recipe": f"```yaml\n{recipe_text}```",
    }
    texts = "\n\n".join(f"## {heading}\n\n{text.strip()}" for heading, text in sections.items() if text)
    return f"---\n{_metadata(recipe, total)}\n---\n\n# {recipe.name}\n\n{_introduction(total)}\n\n{texts}\n"


def _metadata(recipe: MixRecipe, total: ShardReport) -> str:
    languages = sorted({HUB_LANGUAGES.get(code, code) for code, _ in total.counts})
    data = DatasetCardData(
        pretty_name=recipe.name,
        language=languages,
        license="other",
        license_name="of-each-source",
        task_categories=TASK_CATEGORIES,
        size_categories=[_size_category(total.num_rows)],
        tags=["mblip", "multilingual"],
        configs=[{"config_name": "default", "data_files": [{"split": "train", "path": "data/*.parquet"}]}],
    )
    return str(data.to_yaml())


def _size_category(num_rows: int) -> str:
    """The Hub's name for a number of rows."""
    bounds = [(10**3, "1K"), (10**4, "10K"), (10**5, "100K"), (10**6, "1M"), (10**7, "10M"), (10**8, "100M")]
    below = "n<"
    for bound, name in bounds:
        if num_rows < bound:
            return f"{below}{name}" if below == "n<" else f"{below}n<{name}"
        below = f"{name}<"
    return "n>100M"


def _introduction(total: ShardReport) -> str:
    num_examples = sum(total.counts.values())
    num_languages = len({language for language, _ in total.counts})
    return (
        f"A mix of image-text tasks for mBLIP: {num_examples:,} prompts in {num_languages} languages about "
        f"{total.num_rows:,} sets of images ({total.num_images:,} images, {total.num_bytes / 1e6:,.1f} MB)."
    )


def _sources(recipe: MixRecipe, sources: Sequence[SourceReport]) -> str:
    lines = ["| source | what | from | licence | examples read |", "| --- | --- | --- | --- | ---: |"]
    for source, report in zip(recipe.sources, sources, strict=True):
        cells = (
            f"`{source.source}`",
            source.stated.what,
            source.origin or source.stated.publisher,
            source.license or source.stated.license,
            f"{sum(report.counts.values()):,}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _translation(recipe: MixRecipe, total: ShardReport) -> str:
    if recipe.translation is None:
        return "Nothing is translated."
    settings = recipe.translation
    if isinstance(settings, OwnEngine):
        return f"By `{settings.name}` ({settings.model}).\n\n{total.translation.table()}"
    revision = "" if settings.revision is None else f", revision `{settings.revision}`"
    licence = NLLB_LICENCE if "nllb" in settings.model.lower() else ""
    return (
        f"By `{without_folder(settings.model)}`{revision} ({settings.engine}), whose licence holds for what it wrote, "
        f"too{licence}.\n\n{total.translation.table()}"
    )


def _skipped(sources: Sequence[SourceReport], total: ShardReport) -> str:
    skipped = SkipReport()
    for report in sources:
        add_skipped(skipped, report.skipped)
    add_skipped(skipped, total.skipped)
    return skipped.table() if skipped.counts else "Nothing."
