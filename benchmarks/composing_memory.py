"""Peak memory of a composition and of a merge at full shape, with random weights.

    python benchmarks/composing_memory.py [--language-model bloomz-7b1] [--stored-dtype float32] [--steps load compose]

We write a BLIP-2 with the layout of Salesforce/blip2-flan-t5-xl (component_folders.py) and a language model to disk.
Then each step runs in a separate process, watched from outside (watched_command.py): `MBlipForConditionalGeneration
.from_blip2_pretrained`, `mblip compose`, and `mblip merge` of an adapter with the composed model. The bound of
composing is the components and one shard; that of a merge is the model and twice the adapter. The imports, printed
first, come on top. transformers has no such commands to compare with. All files are deleted at the end.
"""

import argparse
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from component_folders import Component, write_adapter, write_blip2, write_language_model
from model_shapes import LANGUAGE_MODELS, Shape, donor_shape, full_shape, toy_shape
from watched_command import Watched, run_watched

from modeling_mblip import MBlipForConditionalGeneration
from modeling_mblip.quantisation import IMAGE_SIDE

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
PARTS_IN_DTYPE = ("vision_model", "language_model")
STEPS = ("load", "compose", "merge")
IMPORTS = ["-c", "import mblip.training.compose, mblip.training.merge"]
LOAD = """
import sys
from modeling_mblip import MBlipForConditionalGeneration
MBlipForConditionalGeneration.from_blip2_pretrained(sys.argv[1], sys.argv[2], dtype=sys.argv[3])
"""


@dataclass(frozen=True)
class Components:
    """A BLIP-2 and a language model on disk, the dtype they are to be composed in, and the bytes of each part then."""

    blip2: Component
    language_model: Component
    dtype: str
    part_bytes: Mapping[str, int]

    @property
    def folders(self) -> list[Path]:
        return [self.blip2.folder, self.language_model.folder]


def main(command_line: Sequence[str] | None = None) -> None:
    arguments = _parse(command_line)
    with tempfile.TemporaryDirectory(dir=arguments.work_folder, prefix="composition-") as name:
        work = Path(name)
        components = write_components(arguments, work)
        _describe(components)
        print(f"{'MB of memory':<32}{'seconds':>9}{'anonymous':>11}{'bound':>9}{'resident':>10}")
        _print_row("the imports alone", run_watched(IMPORTS, []))
        if "load" in arguments.steps:
            measure_load(components)
        if "compose" in arguments.steps:
            measure_compose(components, work / "composed")
        if "merge" in arguments.steps:
            shutil.rmtree(components.language_model.folder)  # composed by now; the merged model needs the disk
            measure_merge(components, work, arguments.shard_size)


def write_components(arguments: argparse.Namespace, work: Path) -> Components:
    """Both components, of the shape that the command line asks for."""
    is_toy, name = arguments.shape == "toy", arguments.language_model
    blip2_shape = toy_shape("mt0-xl") if is_toy else donor_shape()
    shape = toy_shape(name) if is_toy else full_shape(name)
    stored_dtype = DTYPES[arguments.stored_dtype]
    blip2 = write_blip2(work / "blip2", blip2_shape, arguments.blip2_shard_size)
    language_model = write_language_model(work / "language-model", shape, stored_dtype, arguments.shard_size)
    part_bytes = composed_bytes(shape, language_model.num_parameters, DTYPES[arguments.dtype])
    return Components(blip2, language_model, arguments.dtype, part_bytes)


def composed_bytes(shape: Shape, num_language_model_parameters: int, dtype: torch.dtype) -> dict[str, int]:
    """The bytes of each part in memory: ViT and language model in `dtype`, the others in fp32."""
    with torch.device("meta"):
        model = MBlipForConditionalGeneration(shape.ours())
    counts = {name: sum(p.numel() for p in getattr(model, name).parameters()) for name in IMAGE_SIDE}
    counts["language_model"] = num_language_model_parameters
    return {
        name: count * (dtype if name in PARTS_IN_DTYPE else torch.float32).itemsize for name, count in counts.items()
    }


def measure_load(components: Components) -> None:
    watched = run_watched(["-c", LOAD, *map(str, components.folders), components.dtype], components.folders)
    _print_composition("from_blip2_pretrained", watched, components)


def measure_compose(components: Components, composed: Path) -> None:
    command = ["-m", "mblip", "compose", *map(str, components.folders), str(composed), "--dtype", components.dtype]
    _print_composition("mblip compose", run_watched(command, components.folders), components)


def measure_merge(components: Components, work: Path, max_shard_size: str) -> None:
    """Merge an adapter into `work / "composed"`. Its weights are in the model, and as they were read beside it."""
    adapter_bytes = write_adapter(work / "adapter", work / "composed")
    command = ["-m", "mblip", "merge", str(work / "adapter"), str(work / "merged")]
    watched = run_watched([*command, "--max-shard-size", max_shard_size], [])
    shards = [path.stat().st_size for path in sorted((work / "merged").glob("*.safetensors"))]
    _print_row("mblip merge", watched, bound=sum(components.part_bytes.values()) + 2 * adapter_bytes)
    print(f"  an adapter of {_megabytes(adapter_bytes)} MB; merged: {_listed(shards)} MB")


def _describe(components: Components) -> None:
    for name, component in (("BLIP-2", components.blip2), ("language model", components.language_model)):
        on_disk = sum(shard.stat().st_blocks * 512 for shard in component.shards)
        print(
            f"{name}: shards of {_listed(component.shard_bytes.values())} MB, {_megabytes(on_disk)} without the holes"
        )
    parts = components.part_bytes
    listed = ", ".join(f"{name} {_megabytes(size)}" for name, size in parts.items())
    print(f"composed: {listed}, together {_megabytes(sum(parts.values()))} MB")


def _print_composition(what: str, watched: Watched, components: Components) -> None:
    """A row, and which shards of the BLIP-2 were opened and which were not."""
    shards = components.blip2.shard_bytes
    opened = {shard: size for shard, size in shards.items() if shard in watched.opened}
    one_shard = max([*opened.values(), *components.language_model.shard_bytes.values()])
    _print_row(what, watched, bound=sum(components.part_bytes.values()) + one_shard)
    print(f"  of the BLIP-2 opened: {_named(opened)}; never: {_named(shards.keys() - opened.keys())}")


def _print_row(what: str, watched: Watched, bound: int | None = None) -> None:
    anonymous, resident = _megabytes(watched.peak_anonymous_bytes), _megabytes(watched.peak_resident_bytes)
    limit = "" if bound is None else _megabytes(bound)
    print(f"{what:<32}{watched.seconds:>9.1f}{anonymous:>11}{limit:>9}{resident:>10}", flush=True)


def _named(paths: Iterable[Path]) -> str:
    return ", ".join(sorted(path.name for path in paths)) or "none"


def _listed(sizes: Iterable[int]) -> str:
    return " + ".join(map(_megabytes, sizes))


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f}"


def _parse(command_line: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language-model", choices=list(LANGUAGE_MODELS), default="mt0-xl")
    parser.add_argument("--shape", choices=["full", "toy"], default="full")
    parser.add_argument("--dtype", choices=list(DTYPES), default="bfloat16", help="of what is composed")
    parser.add_argument(
        "--stored-dtype", choices=list(DTYPES), default="bfloat16", help="of the language model's files"
    )
    parser.add_argument("--blip2-shard-size", metavar="SIZE", default="10GB", help="default: as published")
    parser.add_argument("--shard-size", metavar="SIZE", default="5GB", help="of the language model and what is merged")
    parser.add_argument("--steps", choices=STEPS, nargs="*", default=STEPS)
    parser.add_argument("--work-folder", type=Path, help="for about 30 GB (default: in the folder of temporary files)")
    arguments = parser.parse_args(command_line)
    if "merge" in arguments.steps and "compose" not in arguments.steps:
        parser.error("--steps merge adds to what --steps compose wrote, which is not among them. Add compose.")
    return arguments


if __name__ == "__main__":
    main()
