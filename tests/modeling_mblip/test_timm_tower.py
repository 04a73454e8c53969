"""timm's image encoders, through transformers' wrapper. Needs timm, which needs torchvision."""

import pytest
import torch
from PIL import Image
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoProcessor

from modeling_mblip import MBlipForConditionalGeneration
from processing_mblip import MBlipProcessor
from tests.tiny import tiny_batch, tiny_model, tiny_tokenizer

pytest.importorskip("timm", reason="timm is not installed (`pip install timm`)")
ARCHITECTURES = ("test_vit", "test_resnet", "test_convnext")  # timm's own, made for tests


def written(architecture: str, folder, **changes):
    """The wrapper's folder, of random weights."""
    tower = AutoModel.from_config(AutoConfig.for_model("timm_wrapper", architecture=architecture, **changes))
    tower.save_pretrained(folder)
    return tower.eval()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_features_are_timms_own_and_the_same_after_saving(architecture, tmp_path):
    tower, pixel_values = written(architecture, tmp_path / "tower"), torch.randn(3, 3, 224, 224)
    model = tiny_model("mt5", vision_config=AutoConfig.from_pretrained(tmp_path / "tower"))
    model.vision_model.load_state_dict(tower.state_dict())
    with torch.no_grad():
        own = model.vision_model.timm_model.forward_features(pixel_values)
        own = own.flatten(2).mT if own.ndim == 4 else own
        assert torch.equal(model.encode_vision(pixel_values), own)
    batch = tiny_batch("mt5") | {"pixel_values": pixel_values}
    model(**batch).loss.backward()
    model.save_pretrained(tmp_path / "model")
    again = MBlipForConditionalGeneration.from_pretrained(tmp_path / "model")
    with torch.no_grad():
        assert torch.equal(again(**batch).logits, model(**batch).logits)


def test_the_processor_is_timms_own_and_the_same_after_saving(tmp_path):
    written("test_vit", tmp_path / "tower", pretrained_cfg={"input_size": [3, 160, 160], "crop_pct": 0.95})
    own = AutoImageProcessor.from_pretrained(tmp_path / "tower")
    processor = MBlipProcessor(own, tiny_tokenizer(), num_query_tokens=4, image_token_id=128)
    processor.save_pretrained(tmp_path / "processor")
    image = Image.linear_gradient("L").convert("RGB").resize((300, 200))
    wanted = own([image])["pixel_values"]
    assert wanted.shape == (1, 3, 160, 160)
    for each in (processor, AutoProcessor.from_pretrained(tmp_path / "processor")):
        assert torch.equal(each(images=image, text="a", return_tensors="pt")["pixel_values"], wanted)
