"""Make native wordings of the English ones by a translation engine.

    python -m mblip.mix.translate_prompts fi,ta,zu --model facebook/nllb-200-distilled-1.3B --output wordings

writes wordings/fi.yaml and so on, each with its origin and with everything that was refused in its head. Read them,
mend or delete lines. `prompts: {native_share: 0.3, native_folder: wordings}` in the recipe of a mix then draws from
them, too; a file that all should have goes to mblip/data/prompts.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_type_hints

from mblip.data.command import run_command
from mblip.data.languages import get_language
from mblip.data.prompt_files import wordings_yaml
from mblip.data.whole_files import write_text

from .translation.engines.engine import CAREFUL, TranslationEngine
from .translation.engines.opening import open_engine
from .translation.report import TRANSLATED, TranslationReport
from .translation.settings import TranslationSettings
from .translation.wordings import MadeWordings, translate_wordings

MODEL = "facebook/nllb-200-distilled-1.3B"


def main(arguments: Sequence[str]) -> None:
    """The command: translate, write the files, and print what became of the wordings."""
    given = _parser().parse_args(arguments)
    paths = {code: given.output / f"{get_language(code).code}.yaml" for code in given.languages.split(",")}
    there = sorted(str(path) for path in paths.values() if path.exists())
    if there:
        raise ValueError(f"Found {', '.join(there)}, which may have been mended by hand. Give another --output.")
    settings = TranslationSettings(given.model, given.engine, given.revision, given.num_beams)
    engine = open_engine(settings, converted=given.output / ".ctranslate2")
    report = TranslationReport()
    for language, path in paths.items():
        made = translate_wordings(language, engine, retry_engine=engine.with_search(CAREFUL))
        _count(language, made, report)
        write_text(path, _file(language, made, engine))
        print(f"{path}: {made.num_wordings} wordings, {len(made.refused)} refused")
    print(report.table())


def _file(language: str, made: MadeWordings, engine: TranslationEngine) -> str:
    """A file of wordings, its head included."""
    head = [
        f"{get_language(language).name} wordings, translated from the English ones and read by nobody yet.",
        f"Engine: {engine.name}. Model: {engine.model}, revision {engine.revision}.",
        f"{made.num_wordings} wordings; refused: {len(made.refused)}.",
        *(f"- {refused}" for refused in made.refused),
    ]
    return "".join(f"# {line}\n" for line in head) + "\n" + wordings_yaml(made.wordings)


def _count(language: str, made: MadeWordings, report: TranslationReport) -> None:
    for _ in range(made.num_wordings):
        report.add(language, TRANSLATED)
    for refused in made.refused:
        report.add_failure(language, refused.failure, source_text=refused.source_text, translation=refused.text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mblip.mix.translate_prompts", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("languages", help="codes of mblip/data/languages.tsv, with commas between them")
    parser.add_argument("--output", type=Path, required=True, help="the folder of the files")
    parser.add_argument("--model", default=MODEL, help="an NLLB, by name or folder; default: %(default)s")
    parser.add_argument("--revision", help="which commit of a model on the Hub")
    engines = get_type_hints(TranslationSettings)["engine"].__args__
    parser.add_argument("--engine", choices=engines, default=engines[0], help="default: %(default)s")
    parser.add_argument("--num_beams", type=int, default=4, help="default: %(default)s")
    return parser


if __name__ == "__main__":
    run_command(main)
