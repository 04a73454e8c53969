"""The plans of mT0-XL and BLOOMZ-7B1 for docs/planning.md, without a network: configurations alone, no weights.

    python benchmarks/plan_table.py FOLDER [--language-model bloomz-7b1]

It writes the configurations of a BLIP-2 and of the language models into FOLDER (model_shapes.py has the shapes), and
runs `mblip plan` of the recipe on a GPU, in bf16, 8 bit and 4 bit. With the Hub at hand,
`mblip plan re_alignment_bloomz_7b1 --device gpu` reads the same configurations from there.
"""

import argparse
import contextlib
import io
import json
from pathlib import Path
from typing import Any

from model_shapes import LANGUAGE_MODELS, donor_shape
from transformers import AutoConfig

from mblip.cli import main as mblip

RECIPES = {"mt0-xl": "re_alignment_mt0_xl", "bloomz-7b1": "re_alignment_bloomz_7b1"}
# mT0's head has weights of its own, as its config.json says
FILES: dict[str, dict[str, Any]] = {"mt0-xl": {"tie_word_embeddings": False}, "bloomz-7b1": {}}


def write_configurations(folder: Path) -> None:
    """The folders `blip2`, `mt0-xl` and `bloomz-7b1`."""
    donor_shape().theirs().save_pretrained(folder / "blip2")
    for name, shape in LANGUAGE_MODELS.items():
        AutoConfig.for_model(**shape).save_pretrained(folder / name)
        file = folder / name / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | FILES[name], indent=2))


def plan(folder: Path, name: str, *options: str) -> dict[str, Any]:
    """The first stage of a plan, as `mblip plan --json` writes it."""
    components = ("--model.name_or_path", "null", "--model.blip2", str(folder / "blip2"))
    arguments = ["plan", RECIPES[name], *components, "--model.language_model", str(folder / name), *options]
    with contextlib.redirect_stdout(io.StringIO()):
        mblip([*arguments, "--device", "gpu", "--json", str(folder / "plan.json")])
    stage: dict[str, Any] = json.loads((folder / "plan.json").read_text())["stages"][0]
    return stage


def main(command_line: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--language-model", choices=tuple(RECIPES), nargs="+", default=list(RECIPES))
    parser.add_argument("--load-in", choices=("null", "8bit", "4bit"), nargs="+", default=["null", "8bit", "4bit"])
    parser.add_argument("--checkpointing", choices=("true", "false"), nargs="+", default=["true"])
    arguments = parser.parse_args(command_line)
    write_configurations(arguments.folder)
    print("| language model | held in | checkpointing | trains | one batch | 16 GB | 24 GB | 80 GB | TFLOP a step |")
    print("|---|---|---|---:|---:|---:|---:|---:|---:|")
    for name in arguments.language_model:
        for load_in in arguments.load_in:
            for checkpointing in arguments.checkpointing:
                options = ["--model.load_in", load_in, "--training.activation_checkpointing", checkpointing]
                stage = plan(arguments.folder, name, "--num_processes", "4", *options)
                fits, batch = stage["largest batch, images by GB"], stage["batch"]
                print(
                    f"| {name} | {'bf16' if load_in == 'null' else load_in} | {checkpointing} "
                    f"| {stage['trained parameters in all']:,} "
                    f"| {batch['num_images']} images: {stage['peak memory, bytes'] / 2**30:.1f} GiB "
                    f"| {fits['16']} | {fits['24']} | {fits['80']} | {stage['FLOP of a step'] / 1e12:,.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
