"""What the sources for training draw is the same in every process, whatever Python's hash seed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from mblip.data.sources.babel_imagenet import BabelImageNet, HoldOut
from mblip.data.sources.vqav2 import vqav2
from mblip.mix.filters.negatives import Negative
from mblip.mix.sources.matching import read_matching
from tests.data.sources import test_babel_imagenet, test_vqav2
from tests.mix.sources import test_matching

ROOT = Path(__file__).parents[3]
PRINT = """
import json
from pathlib import Path
from tests.mix.sources.test_training_sources import drawn
"""


def drawn(folder):
    """Everything that a draw decides, of sources that draw."""
    photos = folder / "photos"
    photos.mkdir()
    for synset, index in test_babel_imagenet.SYNSETS.items():
        for number in range(5):
            Image.new("RGB", (8, 8), (index, number, 0)).save(photos / f"{synset}_{number}.JPEG")
    (folder / "imagenet_classes.json").write_text(json.dumps(test_babel_imagenet.SYNSETS))
    labels = test_babel_imagenet.write_labels(folder, test_babel_imagenet.LABELS)
    sources = (
        BabelImageNet.read(photos, labels).examples("train", hold_out=HoldOut(0.3), rounds=2),
        read_matching(test_matching.captions, lambda caption: Negative("a zebra")),
        vqav2(
            0,
            **test_vqav2.many(folder, 50),
            images=test_vqav2.URL,
            as_released=True,
        ),
    )
    return [[example.id, dict(example.inputs), example.target] for source in sources for example in source]


@pytest.mark.slow
def test_two_processes_with_two_hash_seeds_draw_the_same(tmp_path):
    outputs = []
    for seed in ("0", "1"):
        (tmp_path / seed).mkdir()
        command = [sys.executable, "-c", f"{PRINT}\nprint(json.dumps(drawn(Path({str(tmp_path / seed)!r}))))"]
        environment = os.environ | {"PYTHONHASHSEED": seed}
        outputs.append(subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True).stdout)
    assert outputs[0] == outputs[1]
    assert len(json.loads(outputs[0])) > 300
