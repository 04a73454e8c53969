"""Two processes under torchrun train what one trains."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mblip.training.trainer import RowOrder
from tests.training.test_training_of_towers import write_tower
from tests.training.tiny_run import run_training, torchrun, write_components, write_recipe, write_tiny_rows

NUM_ROWS, FIRST_WITHOUT_IMAGE, BATCH_SIZE, NUM_STEPS, SEED = 24, 12, 4, 20, 7


def steps_with_a_blind_process(seed: int) -> int:
    """Steps of the first epoch in which one of two processes gets rows without images only, and the other an image."""
    order = list(RowOrder(NUM_ROWS, BATCH_SIZE, seed))
    halves = [[row < FIRST_WITHOUT_IMAGE for row in order[start : start + 2]] for start in range(0, len(order), 2)]
    return sum(any(left) != any(right) for left, right in zip(halves[::2], halves[1::2], strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(("accumulation", "tower"), [(1, None), (2, "siglip_vision_model")])
def test_two_processes_give_what_one_gives(tmp_path: Path, accumulation: int, tower: str | None):
    """The biases of attention keys are skipped one by one: no loss depends on them, so their gradients are rounding
    errors, which AdamW makes as large as any."""
    write_components(tmp_path)
    write_tiny_rows(tmp_path / "rows.parquet", NUM_ROWS, FIRST_WITHOUT_IMAGE)
    parts = {"language_model": str(tmp_path / "language_model")}
    if tower is None:
        parts |= {"blip2": str(tmp_path / "blip2")}
    else:
        write_tower(tmp_path, tower)
        parts |= {"vision": str(tmp_path / "tower"), "qformer": str(tmp_path / "blip2")}
    stage = {"max_steps": NUM_STEPS, "batch_size": BATCH_SIZE, "warmup_steps": 2}
    lora = {"r": 2, "lora_dropout": 0}
    recipe = write_recipe(
        tmp_path,
        model=parts,
        data={"rows": {"path": str(tmp_path / "rows.parquet")}},
        stages=[
            stage | {"stage": "warm_up", "learning_rate": 5e-3},
            stage | {"stage": "re_alignment", "learning_rate": 1e-3, "lora": lora},
        ],
        training={"gradient_accumulation_steps": accumulation},
    )
    assert all(steps_with_a_blind_process(SEED + number) for number in range(2))
    one = run_training(
        str(recipe), "--output_dir", str(tmp_path / "one"), "--training.gradient_accumulation_steps", "1"
    )
    two = torchrun(2, str(recipe), "--output_dir", str(tmp_path / "two"))
    for result in (f"0_warm_up/checkpoint-{NUM_STEPS}", f"1_re_alignment/checkpoint-{NUM_STEPS}"):
        files = [tmp_path / name / result / "trained.safetensors" for name in ("one", "two")]
        assert all(file.is_file() for file in files), one.stderr[-2000:] + two.stderr[-2000:]
        ours, theirs = (load_file(file) for file in files)
        assert ours.keys() == theirs.keys()
        assert (
            relative_difference(
                torch.cat([w.flatten() for w in ours.values()]), torch.cat([w.flatten() for w in theirs.values()])
            )
            <= 1e-5
        )
        for name in ours:
            if not name.endswith("key.bias"):
                assert relative_difference(ours[name], theirs[name]) <= 1e-5, name
    assert (tmp_path / "two" / "model" / "model.safetensors").is_file()


def relative_difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return ((ours - theirs).norm() / ours.norm()).item()
