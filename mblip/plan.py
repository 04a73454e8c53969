"""Plan a training or an evaluation before it starts: parameters, operations, memory, hours, sizes on disk.

    mblip plan RECIPE [--field value ...]                 of `mblip train` or `mblip eval`, with its overrides
    mblip plan RECIPE --device gpu --num_processes 4      for GPUs that this machine does not have
    mblip plan RECIPE --probe                             also runs three steps here, and measures seconds and memory
    mblip plan RECIPE --json plan.json                    writes the figures for scripts, too

No weights are read. Of a model on the Hub, only its configuration is downloaded, and its tokenizer if the data are
here. Without the data, we state what we assume, and `--num_images`, `--text_tokens` and `--target_tokens` change it.
Figures are predicted unless they are marked as measured.
"""

import argparse
import dataclasses
import itertools
import json
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from transformers import TrainerCallback, TrainingArguments

from mblip.atomic_write import write_text
from mblip.data.recipes.yaml_values import read_yaml
from mblip.evaluation.command_line import parse_command_line as parse_evaluation
from mblip.evaluation.progress import duration
from mblip.evaluation.recipe import EvaluationRun
from mblip.loading import DTYPES, compose_processor, without_adapter
from mblip.planning.data import DataPlan, assumed, drawn, why_not_here
from mblip.planning.models import in_stage, meta_model, read_config, read_config_of
from mblip.planning.simulation import GRADIENTS, OPTIMIZER, PARTS, PHASES, QFORMER, TOWER, Cost, part_of
from mblip.planning.steps import BatchShape, generation, optimizer_bytes, training_step
from mblip.recipes import find_recipe
from mblip.training.encoding import input_of_stage, open_features
from mblip.training.options import OWN_FIELDS
from mblip.training.recipe import Recipe
from mblip.training.recipe_reading import parse_command_line
from mblip.training.rows import build_collator, build_rows
from mblip.training.run_folder import Run, StageRun
from mblip.training.starting_model import build_model
from mblip.training.trainable import choose_trainable, learning_rates
from mblip.training.trainer import MBlipTrainer, training_arguments
from modeling_mblip import MBlipConfig
from modeling_mblip.configuration_mblip import tower_shape
from processing_mblip import MBlipProcessor

# Peak dense bf16 TFLOP/s with fp32 accumulation. RTX 3090: NVIDIA's GA102 white paper; A40, A100: their data sheets.
# H100 SXM and L4: their data sheets, halved, as they give figures with sparsity (1,979 and 242).
GPUS = {
    "RTX 3090 (24 GB)": 71.0,
    "L4 (24 GB)": 121.0,
    "A40 (48 GB)": 149.7,
    "A100 (40 or 80 GB)": 312.0,
    "H100 SXM (80 GB)": 989.5,
}
HELD = (OPTIMIZER, GRADIENTS)  # in every batch, beside the weights
MEMORY_SIZES = (16, 24, 40, 80)  # GiB
USABLE = 0.9  # of a device's memory: the rest is for the CUDA context, workspaces and fragmentation
QUIET = {"disable_tqdm": True, "logging_strategy": "no"}
NUM_PROBED_STEPS = 3  # the first one is slower, and not counted
PROMPT_TOKENS, TARGET_TOKENS = 16, 24  # of captioning prompts and targets, as in benchmarks/training_step.py


@dataclasses.dataclass(frozen=True)
class StagePlan:
    """The plan of one stage. Of `training`, operations are of one batch of one process, memory of one process."""

    stage: StageRun
    data: DataPlan
    args: TrainingArguments
    num_processes: int
    is_autocast: bool
    trained: Mapping[str, int]  # parameters by part
    largest: Cost
    typical: Cost
    fits: Mapping[int, int]  # GiB -> images in a batch of one process

    @property
    def num_steps(self) -> int | None:
        """None: unknown, as is the number of images."""
        recipe, num_rows = self.stage.recipe, self.data.num_rows
        if recipe.num_epochs is None or num_rows is None:
            return recipe.max_steps
        return int(recipe.num_epochs * (num_rows // recipe.batch_size))

    @property
    def num_batches(self) -> int:
        """Of an optimizer step, over all processes."""
        return self.args.gradient_accumulation_steps * self.num_processes


def main(arguments: Sequence[str]) -> None:
    options, rest = _parser().parse_known_args(arguments)
    base = _resident_bytes()  # of this process, which has imported what training imports
    if not rest or rest[0].startswith("--"):
        raise ValueError("Found no recipe, expected its path or short name first. `mblip recipes` lists short names.")
    device = torch.device("cuda" if options.device == "gpu" else "cpu")
    is_training = "stages" in read_yaml(find_recipe(rest[0])).value
    if is_training:
        figures = plan_training(parse_command_line(rest), options, device)
    else:
        figures = plan_evaluation(parse_evaluation(rest), options, device)
    if device.type == "cpu":
        figures["process before the model, bytes"] = base
        print(
            f"\nA process on a CPU holds {_bytes(base)} more before it builds a model (measured here). glibc's malloc "
            "may keep freed memory on top."
        )
    if options.json is not None:
        write_text(options.json, json.dumps(figures, indent=2) + "\n")


def plan_training(recipe: Recipe, options: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Print the plan of a training, and return its figures."""
    config, is_head_untied = read_config(recipe.model)
    run = Run(recipe)
    plans = [
        _plan_stage(run, number, config, options, device, is_head_untied=is_head_untied)
        for number in range(len(run.stages))
    ]
    model = meta_model(config, torch.float32, is_head_untied=is_head_untied)
    parameters = _parameters(model)
    print(f"{recipe.output_dir}: predicted from configurations, for a {'GPU' if device.type == 'cuda' else 'CPU'}")
    print(f"{sum(parameters.values()):,} parameters: {_listed(parameters)}")
    found = [_print_stage(plan, options) for plan in plans]
    dtype = _dtype(recipe.model.dtype, device)
    figures = {"parameters": parameters, "stages": found, "on disk": _print_disk(config, parameters, dtype, plans)}
    if options.probe:
        for plan, measured, each in zip(plans, probe(recipe), found, strict=True):
            each["probe"] = measured
            _print_probe(plan, measured)
    return figures


def _plan_stage(
    run: Run,
    number: int,
    config: MBlipConfig,
    options: argparse.Namespace,
    device: torch.device,
    *,
    is_head_untied: bool,
) -> StagePlan:
    recipe, stage = run.recipe, run.stages[number]
    args, is_autocast = _training_arguments(stage, device)
    dtype = _dtype(recipe.model.dtype, device)
    num_rows = _rows_of_a_batch(stage, args, options.num_processes)
    stored = None if recipe.features is None else input_of_stage(run, number)

    def build() -> torch.nn.Module:
        model = meta_model(
            config, dtype, load_in=recipe.model.load_in, is_head_untied=is_head_untied, has_tower=stored is None
        )
        return in_stage(model, stage.recipe)

    def tensors(batch: BatchShape) -> dict[str, Any]:
        return batch.tensors(config) if stored is None else batch.tensors(config, stored)

    def cost(batch: dict[str, Any]) -> Cost:
        return training_step(
            build(), batch, device, args, is_autocast=is_autocast, num_processes=options.num_processes
        )

    model = build()
    data = _data_plan(recipe, stage, model, num_rows, options)
    if stored is not None and data.tensors is not None:  # the collator has decoded the images
        inputs = data.tensors | {stored: tensors(data.largest)[stored]}
        data = dataclasses.replace(data, tensors={name: inputs[name] for name in inputs if name != "pixel_values"})

    # Operations of the mean batch; memory of the largest, and of one with many images
    largest = cost(data.tensors or tensors(data.largest))
    typical = largest if data.typical == data.largest else cost(tensors(data.typical))
    held = sum(size for name, size in largest.memory.items() if name.startswith("weights") or name in HELD)
    more = _resized(data.largest, 4 * data.largest.num_images)
    peaks = {0: held, data.largest.num_images: largest.peak_bytes, more.num_images: cost(tensors(more)).peak_bytes}
    trained = _parameters(model, is_trained=True)
    fits = _fitting(peaks)
    return StagePlan(stage, data, args, options.num_processes, is_autocast, trained, largest, typical, fits)


def _training_arguments(stage: StageRun, device: torch.device) -> tuple[TrainingArguments, bool]:
    """The options of the Trainer that cost memory, and whether it computes in half precision beside fp32 weights."""
    if stage.training.get("fsdp") or stage.training.get("deepspeed"):
        raise ValueError("`mblip plan` knows processes with whole models alone: take `fsdp` or `deepspeed` out.")
    precisions = {"bf16": False, "use_cpu": True, "output_dir": str(stage.folder)}
    own = {name: value for name, value in stage.training.items() if name not in (*OWN_FIELDS, "eval_steps", "fp16")}
    is_autocast = bool(stage.training.get("bf16", device.type == "cuda") or stage.training.get("fp16"))
    return TrainingArguments(**own | precisions), is_autocast


def _rows_of_a_batch(stage: StageRun, args: TrainingArguments, num_processes: int) -> int:
    num_parts = num_processes * args.gradient_accumulation_steps
    num_rows, rest = divmod(stage.recipe.batch_size, num_parts)
    if rest:
        raise ValueError(
            f"`batch_size` is {stage.recipe.batch_size}, but {num_processes} process(es) x "
            f"{args.gradient_accumulation_steps} accumulation step(s) need a multiple of {num_parts}. Give "
            "--num_processes."
        )
    return num_rows


def _data_plan(
    recipe: Recipe, stage: StageRun, model: torch.nn.Module, num_rows: int, options: argparse.Namespace
) -> DataPlan:
    """The data of a stage: drawn, or assumed."""
    why = why_not_here(stage)
    if why is None:
        try:
            data = drawn(stage, _processor(recipe, model), without_adapter(model), num_rows)
        except OSError as error:
            why = f"There is no tokenizer or image processor to read the data with ({error})."
    if why is not None:
        data = assumed(stage, num_rows, options.text_tokens, options.target_tokens, why)
    return data if options.num_images is None else dataclasses.replace(data, num_rows=options.num_images)


def _dtype(name: str, device: torch.device) -> torch.dtype:
    """The precision that a recipe names; "auto" is that of the device."""
    return DTYPES.get(name) or (torch.bfloat16 if device.type == "cuda" else torch.float32)


def _processor(recipe: Recipe, model: torch.nn.Module) -> MBlipProcessor:
    if recipe.model.name_or_path is None:
        return compose_processor(without_adapter(model))
    return MBlipProcessor.from_pretrained(recipe.model.name_or_path)


def _resized(batch: BatchShape, num_images: int) -> BatchShape:
    """The same batch with another number of images, each with as many prompts."""
    num_prompts = -(-batch.num_prompts * num_images // max(1, batch.num_images))
    return dataclasses.replace(batch, num_images=num_images, num_prompts=num_prompts)


def _fitting(peaks: Mapping[int, int]) -> dict[int, int]:
    """The most images in a batch of one process, by GiB of memory.

    Between batches whose peak we know, and above the largest, the peak is taken as linear. It is the maximum of
    linear functions of the batch, so in between it is not above the line.

    Args:
        peaks: bytes by images. Those of no image are what the process always holds.
    """
    points, fits = sorted(peaks.items()), {}
    for size in MEMORY_SIZES:
        room = USABLE * size * 2**30
        fits[size] = 0
        for (few, low), (many, high) in itertools.pairwise(points):
            if low <= room:
                most = few + int((room - low) * (many - few) / (high - low))
                fits[size] = most if many == points[-1][0] else min(most, many)
    return fits


def plan_evaluation(run: EvaluationRun, options: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Print the plan of an evaluation, and return its figures."""
    config, is_head_untied = read_config_of(run.model)
    dtype = _dtype(run.dtype, device)
    tasks = run.evaluation.build_tasks()
    load_in, settings = run.quantisation(tasks), run.evaluation.settings
    figures: dict[str, Any] = {}
    print(f"{run.output_dir}: predicted from configurations, language model in {load_in or 'no quantisation'}")
    for task in tasks:
        if task.answering == "rank":
            print(f"{task.name}: ranked answers are not planned.")
            continue
        shown = {example.image_id: len(example.images) for example in task.examples}
        num_images, num_prompts = sum(shown.values()), len(task.examples)
        changed = settings.generation.applied_to(task.generation)
        batch_size = min(settings.batch_size, num_prompts)
        batch = BatchShape(min(settings.image_batch_size, batch_size, num_images), batch_size, options.text_tokens, 1)
        model = meta_model(config, dtype, load_in=load_in, is_head_untied=is_head_untied)
        cost = generation(model, batch, changed, device)
        images = sum(value for (part, _), value in cost.flops.items() if part in (TOWER, QFORMER)) / batch.num_images
        texts = sum(value for (part, _), value in cost.flops.items() if part not in (TOWER, QFORMER)) / batch_size
        flops = images * num_images + texts * num_prompts
        figures[task.name] = {
            "images": num_images,
            "answers": num_prompts,
            "new tokens at most": num_prompts * changed.max_new_tokens,
            "FLOP": flops,
            "peak memory, bytes": cost.peak_bytes,
            "memory by part, bytes": dict(cost.memory),
            "hours": _hours(flops, options),
        }
        print(
            f"\n{task.name}: {num_images:,} images, {num_prompts:,} answers ({changed}), "
            f"prompts of {options.text_tokens} tokens (assumed; --text_tokens)\n"
            f"  operations        {flops / 1e15:,.3g} PFLOP at most, {images / 1e12:.3g} TFLOP an image and "
            f"{texts / 1e12:.3g} an answer"
        )
        _print_memory(cost, f"{batch_size} prompts, {changed.num_beams} beams, {batch.num_images} images at once")
        _print_hours(figures[task.name]["hours"], options)
    return figures


def probe(recipe: Recipe) -> list[dict[str, float]]:
    """Run a few steps of each stage on this machine, and measure them: seconds of a step, and peak bytes."""
    before = _resident_bytes()
    with tempfile.TemporaryDirectory() as folder:
        short = [
            dataclasses.replace(stage, max_steps=NUM_PROBED_STEPS, num_epochs=None, warmup_steps=0.0)
            for stage in recipe.stages
        ]
        training = {**recipe.training, "eval_steps": None, "keep_best": False, "report_to": [], **QUIET}
        run = Run(
            dataclasses.replace(
                recipe,
                output_dir=Path(folder),
                stages=tuple(short),
                training=type(recipe.training)(training, recipe.training.location),
                evaluation=None,
            )
        )
        model, processor = build_model(recipe.model, recipe.seed, has_tower=recipe.features is None)
        features = open_features(run, model, processor, [])
        measured = []
        for stage, stored in zip(run.stages, features.of_stages, strict=True):
            model = choose_trainable(model, stage)
            trainer = MBlipTrainer(
                model=model,
                args=training_arguments(stage),
                data_collator=build_collator(processor, model, stage, stored),
                train_dataset=build_rows(stage.data, stage.seed),
                rates=learning_rates(stage.recipe),
            )
            timer = StepTimer(before, None if recipe.features is None else recipe.features.path)
            trainer.add_callback(timer)
            trainer.train()
            measured.append({"seconds of a step": mean(timer.seconds[1:]), "peak memory, bytes": timer.peak_bytes})
    return measured


class StepTimer(TrainerCallback):
    """The seconds of each step with its data, and the most bytes above those that were taken before.

    Args:
        before: bytes of the process before it built its model, on a CPU.
        features: a folder whose mapped files do not count: the kernel takes their memory back when it is needed.
    """

    def __init__(self, before: int, features: Path | None) -> None:
        self.before, self.features = before, features
        self.seconds: list[float] = []
        self.peak_bytes = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Start the clock and the measuring of memory."""
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        elif Path("/proc/self/clear_refs").exists():
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        self.last = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Read both."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
            self.peak_bytes = torch.cuda.max_memory_allocated()
        else:
            mapped = 0 if self.features is None else _resident_bytes_of_files(self.features)
            self.peak_bytes = max(self.peak_bytes, _resident_bytes("VmHWM") - mapped - self.before)
        now = time.perf_counter()
        self.seconds.append(now - self.last)
        self.last = now


def _parameters(model: torch.nn.Module, *, is_trained: bool = False) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad or not is_trained:
            counts["LoRA" if "lora_" in name else _fine_part(name)] += parameter.numel()
    return dict(counts)


def _fine_part(name: str) -> str:
    image_side = next((part for part in ("query_tokens", "language_projection") if part in name.split(".")), None)
    return part_of(name) if image_side is None else image_side.replace("_", " ").removeprefix("language ")


def _hours(flops: float, options: argparse.Namespace) -> dict[str, float]:
    rate = options.utilisation * options.num_processes * 3600 * 1e12
    return {name: flops / (peak * rate) for name, peak in GPUS.items()}


def _resident_bytes(field: str = "VmRSS") -> int:
    """Memory of this process, on Linux; 0 elsewhere."""
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="ascii").splitlines() if status.exists() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), 0)


def _resident_bytes_of_files(folder: Path) -> int:
    """Memory of this process that shows mapped files of a folder, on Linux; 0 elsewhere."""
    listing, size, is_inside = Path("/proc/self/smaps"), 0, False
    for line in listing.read_text(encoding="utf-8").splitlines() if listing.exists() else []:
        name, _, value = line.partition(" ")
        if not name.endswith(":"):  # the range of a mapping, and its file
            is_inside = f" {folder.resolve()}/" in value
        elif name == "Rss:" and is_inside:
            size += 1024 * int(value.split()[0])
    return size


def _print_stage(plan: StagePlan, options: argparse.Namespace) -> dict[str, Any]:
    """Print a stage's plan, and return its figures."""
    stage, data, batch = plan.stage, plan.data, plan.data.largest
    num_trained, steps = sum(plan.trained.values()), plan.num_steps
    flops = plan.typical.total_flops * plan.num_batches
    print(f"\n{stage.folder.name}: {num_trained:,} parameters train: {_listed(plan.trained)}")
    for note in data.notes:
        print(f"  {note}")
    usual = data.typical
    print(
        f"  data              {'?' if data.num_rows is None else f'{data.num_rows:,}'} image sets, "
        f"{'? (give --num_images)' if steps is None else f'{steps:,}'} steps of {stage.recipe.batch_size}; a batch: "
        f"{usual.num_images} images, {usual.num_prompts} prompts of {usual.text_tokens} + {usual.target_tokens} tokens"
        + (
            f" (mean, standard error {data.error:.1%}), at most {batch.text_tokens} + {batch.target_tokens}"
            if data.tensors is not None
            else ""
        )
    )
    if data.tokens:
        total = sum(tokens for _, tokens in data.tokens.values())
        shares = ", ".join(f"{name} {tokens:,} ({tokens / total:.1%})" for name, (_, tokens) in data.tokens.items())
        is_part = data.num_rows is None or data.num_read < data.num_rows
        print(f"  tokens            in {'the first ' if is_part else ''}{data.num_read:,} rows: {shares}")
    print(f"  operations        {flops / 1e12:,.4g} TFLOP a step, {plan.num_batches} batch(es) in all:")
    parts = {part: {phase: plan.typical.flops[part, phase] for phase in PHASES} for part in PARTS}
    for part, phases in parts.items():
        in_words = ", ".join(f"{phase} {value * plan.num_batches / 1e12:,.4g}" for phase, value in phases.items())
        print(f"    {part:<16}{in_words}")
    _print_memory(plan.largest, f"{batch.num_images} images, {batch.num_prompts} prompts, of one process")
    fitting = ", ".join(f"{size} GB {most:,}" for size, most in plan.fits.items())
    print(f"  largest batch     of one process, in images, with {1 - USABLE:.0%} of the memory left free: {fitting}")
    hours = None if steps is None else _hours(flops * steps, options)
    if hours is not None:
        _print_hours(hours, options)
    return {
        "stage": stage.recipe.stage,
        "trained parameters": dict(plan.trained),
        "trained parameters in all": num_trained,
        "steps": steps,
        "image sets": data.num_rows,
        "batch": dataclasses.asdict(batch),
        "mean batch": dataclasses.asdict(usual),
        "is assumed": data.tensors is None,
        "tokens by language": {name: tokens for name, (_, tokens) in data.tokens.items()},
        "rows read": data.num_read,
        "FLOP of a step": flops,
        "FLOP of a batch": parts,
        "peak memory, bytes": plan.largest.peak_bytes,
        "memory by part, bytes": {name: size for name, size in plan.largest.memory.items() if size},
        "largest batch, images by GB": plan.fits,
        "hours": hours,
    }


def _print_memory(cost: Cost, what: str) -> None:
    print(f"  peak memory       {_bytes(cost.peak_bytes)}, {what}:")
    for name, size in cost.memory.most_common():
        if size > cost.peak_bytes / 1000:
            print(f"    {name:<32}{_bytes(size):>10}")


def _print_hours(hours: Mapping[str, float], options: argparse.Namespace) -> None:
    in_words = ", ".join(f"{name} {duration(3600 * value)}" for name, value in hours.items())
    print(
        f"  hours             predicted, {options.num_processes} GPU(s) at {options.utilisation:.0%} of peak bf16 "
        f"(--utilisation): {in_words}"
    )


def _print_disk(
    config: MBlipConfig, parameters: Mapping[str, int], dtype: torch.dtype, plans: Sequence[StagePlan]
) -> dict[str, int]:
    """Print the sizes of what the run reads and writes, and return them."""
    num_patches, width = tower_shape(config.vision_config)
    query_size = 2 if plans[0].is_autocast else 4
    found = {
        "features of the image encoder, an image": num_patches * width * dtype.itemsize,
        "features of the Q-Former, an image": config.num_query_tokens * config.qformer_config.hidden_size * query_size,
        "finished model": sum(parameters.values()) * dtype.itemsize,
    }
    for plan in plans:
        found[f"checkpoint of {plan.stage.folder.name}"] = round(
            sum(plan.trained.values()) * (4 + optimizer_bytes(plan.args))
        )
        if plan.data.num_bytes is not None:
            found[f"rows of {plan.stage.folder.name}"] = plan.data.num_bytes
    print("\nOn disk: " + "; ".join(f"{name} {_bytes(value)}" for name, value in found.items()))
    return found


def _print_probe(plan: StagePlan, measured: Mapping[str, float]) -> None:
    seconds, steps = measured["seconds of a step"], plan.num_steps
    whole = "" if steps is None else f", the stage {duration(seconds * steps)}"
    epoch = plan.data.num_rows and seconds * (plan.data.num_rows // plan.stage.recipe.batch_size)
    print(
        f"\n{plan.stage.folder.name}, measured here: {seconds:.3g} s a step"
        f"{f', {duration(epoch)} an epoch' if epoch else ''}{whole}; peak memory "
        f"{_bytes(measured['peak memory, bytes'])} ({_bytes(plan.largest.peak_bytes)} predicted"
        f"{'' if torch.cuda.is_available() else '; both without the process before the model'})"
    )


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _bytes(size: float) -> str:
    return (
        f"{size / 1e9:,.2f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.1f} kB"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mblip plan",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    default = "gpu" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cpu", "gpu"), default=default, help="default here: %(default)s")
    parser.add_argument("--num_processes", type=int, default=1, help="GPUs; default: %(default)s")
    parser.add_argument("--num_images", type=int, help="image sets, if the data are not here")
    parser.add_argument("--text_tokens", type=int, default=PROMPT_TOKENS, help="of a prompt; default: %(default)s")
    parser.add_argument("--target_tokens", type=int, default=TARGET_TOKENS, help="of a target; default: %(default)s")
    parser.add_argument("--utilisation", type=float, default=0.35, help="share of peak; default: %(default)s")
    parser.add_argument("--probe", action="store_true", help="run three steps of each stage here, and measure them")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures, too")
    return parser
