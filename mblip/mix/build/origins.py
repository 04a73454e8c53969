"""Where the sources of a recipe come from, and under which licence, for the dataset's card.

The licences are those that the publishers state, of the texts; photos have their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Origin:
    """A published source: what it holds, where it is from, its licence."""

    what: str
    origin: str
    license: str


NOT_STATED = Origin("own data", "not stated", "not stated")

ORIGINS: Mapping[str, Origin] = MappingProxyType(
    {
        "scenes": Origin("drawn pictures with captions and questions", "this package", "MIT"),
        "babel_imagenet": Origin(
            "ImageNet photos with their names",
            "gregor-ge/Babel-ImageNet, ImageNet",
            "labels: BabelNet Non-Commercial License; photos: ImageNet's terms, non-commercial research and education",
        ),
        "gqa": Origin("questions about photos of Visual Genome", "GQA, in LXMERT's layout", "GQA's terms"),
        "xgqa": Origin("GQA's questions in eight languages", "Adapter-Hub/xGQA", "CC BY 4.0"),
        "snli_ve": Origin("entailment between photos and sentences", "necla-ml/SNLI-VE", "SNLI's text CC BY-SA 4.0"),
        "xvnli": Origin("SNLI-VE in five languages", "e-bug/iglue, XVNLI", "SNLI's text CC BY-SA 4.0"),
        "nlvr2": Origin("statements about two photos", "lil-lab/nlvr", "texts CC BY 4.0"),
        "marvl": Origin("statements about two photos, five languages", "marvl-challenge/marvl-code", "CC BY 4.0"),
        "flickr30k": Origin("captions of photos", "Flickr30k", "Flickr30k's terms, research only"),
        "xflickrco": Origin("captions in eight languages", "e-bug/iglue, xFlickrCO", "Flickr30k's terms; MIT"),
        "capfilt": Origin("web captions", "salesforce/BLIP, CapFilt", "repository BSD 3-Clause; images: their sites'"),
        "coco_captions": Origin("captions of photos", "COCO", "CC BY 4.0; photos: their Flickr licences"),
        "karpathy_captions": Origin("captions of photos", "COCO, Karpathy's split", "CC BY 4.0; photos: Flickr's"),
        "vqav2": Origin("questions about photos of COCO", "visualqa.org", "CC BY 4.0"),
        "aokvqa": Origin("questions that need knowledge, with reasons", "allenai/aokvqa", "Apache 2.0"),
        "llava_conversations": Origin(
            "dialogues by GPT-4 about photos of COCO", "liuhaotian/LLaVA-Instruct-150K", "CC BY-NC 4.0"
        ),
        "llava_details": Origin(
            "descriptions by GPT-4 of photos of COCO", "liuhaotian/LLaVA-Instruct-150K", "CC BY-NC 4.0"
        ),
        "matching": Origin("does a caption describe an image?", "made of the captions that it names", "theirs"),
        "released_json": Origin("the mix as released", "Gregor/mblip-train", "that of each source in it"),
        "own_folder": NOT_STATED,
        "own_dataset": NOT_STATED,
    }
)
