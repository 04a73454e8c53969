"""Draws stand-ins for missing images, so that you can try an evaluation from its published files.

    PYTHONPATH=quickstart python benchmarks/stand_ins.py quickstart/eval_sample_stand_ins.yaml

draws an image of the drawn world at the path of every missing image of a recipe's benchmarks. Scores on stand-ins say
nothing about the benchmark. STAND_INS.txt in each folder marks them: tables then print a warning, and cards omit such
scores from their metadata. Delete the file when you have added the photos. Folders that already hold images but not
this file are an error.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from mblip.atomic_write import atomic_file, write_text
from mblip.data.stable_random import stable_random
from mblip.evaluation.benchmark import STAND_INS_FILE
from mblip.evaluation.recipe import EvaluationRecipe, read_evaluation_run
from mblip.evaluation.task import EvaluationTask
from scenes.drawing import draw_scene
from scenes.world import sample_training_scene

NOTE = "Drawn stand-ins for photos that were not at hand. Scores on them mean nothing.\n"
FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}


def main(arguments: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("recipes", nargs="+", type=Path, help="recipes of `mblip eval`")
    for path in parser.parse_args(arguments).recipes:
        print(f"{path}: {draw_stand_ins(unchecked_tasks(read_evaluation_run(path).evaluation))} images drawn.")


def unchecked_tasks(recipe: EvaluationRecipe) -> list[EvaluationTask]:
    """The tasks of a recipe, whether their images are there or not."""
    return replace(recipe, setup=replace(recipe.setup, missing_images="unchecked")).build_tasks()


def draw_stand_ins(tasks: Iterable[EvaluationTask]) -> int:
    """Draw what is missing of the tasks' images; the same image for the same file name.

    Returns:
        How many were drawn.

    Raises:
        ValueError: a folder holds images of its own, or a path is no file of a format that is drawn.
    """
    locations = {
        image
        for task in tasks
        for example in task.examples
        for image in example.images
        if isinstance(image, Path) and not image.is_file()
    }
    for folder in {location.parent for location in locations}:
        _claim(folder)
    for location in sorted(locations):
        _draw(location)
    return len(locations)


def _claim(folder: Path) -> None:
    """Take a folder for stand-ins: one without images, or one that stand-ins were drawn into."""
    if (folder / STAND_INS_FILE).is_file():
        return
    held = [path.name for path in sorted(folder.glob("*")) if path.suffix.lower() in FORMATS]
    if held:
        raise ValueError(
            f"{folder} holds {len(held)} images, such as {held[0]}, which are no stand-ins. Set "
            "`missing_images: skip` to go without the others, or name another folder in the recipe."
        )
    write_text(folder / STAND_INS_FILE, NOTE)


def _draw(location: Path) -> None:
    if location.suffix.lower() not in FORMATS:
        raise ValueError(f"{location}: found the suffix {location.suffix!r}, expected one of {', '.join(FORMATS)}.")
    rng = stable_random(0, "stand-in", location.name)
    image = draw_scene(sample_training_scene(rng), rng)
    with atomic_file(location) as partial:
        image.save(partial, format=FORMATS[location.suffix.lower()])


if __name__ == "__main__":
    main(sys.argv[1:])
