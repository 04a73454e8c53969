"""Reading photos with their ImageNet classes, and the label files of Babel-ImageNet with their languages."""

import difflib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..images.locations import check_inside
from ..languages import LANGUAGES
from .records import check_record, check_value, read_json_lines, read_json_object

NUM_CLASSES = 1000
PHOTO_SUFFIXES = frozenset({".jpeg", ".jpg", ".png"})

# Every code of the published babel_imagenet.json and babel_imagenet-298.json. Of these codes, those outside the 96
# languages are skipped and counted. Any other code is a mistake in the file.
PUBLISHED_CODES = frozenset(
    """
    AB ACW ADY AF AFB AII AK ALS ALT AM AN ANG AR ARC ARY ARZ AS AST AV AY AZ AZB BA BAN BAR BAT_SMG BCL BE
    BE_X_OLD BG BH BHO BJN BM BN BO BR BS BXR CA CCC CDO CE CEB CHR CHY CKB CO CR CRH CS CSB CU CV CY DA DE DIN
    DIQ DLM DNG DSB DV DZ EE EL EML EN ENM EO ES ET EU EXT FA FI FIU_VRO FJ FO FR FRO FRP FRR FUR FY GA GAN GD GL
    GMQ_BOT GN GOT GRC GU GV HA HAK HAW HE HI HR HRX HSB HT HU HY IA ID IG IK ILO INH IO IS IT IU JA JAM JBO JV
    KA KAA KAB KBD KG KHB KI KK KL KM KMR KN KO KOI KRC KS KSH KU KUM KV KW KXD KY LA LAD LB LBE LEZ LG LI LIJ
    LMO LN LO LT LTG LV LZZ MAI MDF MEL MG MHR MI MIC MIN MK ML MN MNC MNW MR MRJ MS MT MWL MY MYV MZN NAH NAP
    NCI NDS NDS_NL NE NEW NL NN NO NOG NON NOV NRM NSO NV NY OC OJ OLO OM OR ORV OS OTA OVD PA PAM PAP PCD PDC
    PDT PL PMS PNB PS PT QU RM RMY RO ROA_RUP RU RUE SA SAH SAT SC SCN SCO SD SE SH SHI SHN SI SIMPLE SK SL SM
    SMJ SMN SMS SN SNE SO SQ SR SRN ST STQ SU SV SVA SW SYC SZL TA TCY TE TG TH TI TK TL TN TO TPI TR TT TYV UDM
    UG UGA UK UR UZ VEC VEP VI VLS VO WA WAR WO WUU XAL XH XMF YI YO YUA ZA ZDJ ZH ZH_CLASSICAL ZH_MIN_NAN ZH_YUE
    ZU
    """.split()  # noqa: SIM905, as a list it would be 300 lines
)
OUR_CODES = {
    "HE": "iw",
    "TL": "fil",
}  # where our code is not theirs in lower case; KU is Northern Kurdish in Latin script, like ours


SYNSET = re.compile(r"n\d{8}")


@dataclass(frozen=True)
class Photo:
    """A photo and the ImageNet class that it shows, 0 to 999."""

    path: Path
    class_index: int

    @property
    def name(self) -> str:
        """The photo's name, whichever folder it is in.

        ImageNet's own names begin with the synset and are unique. Any other name, such as 1.jpg, may occur in the
        folder of every class.
        """
        return self.path.name if SYNSET.match(self.path.name) else f"{self.class_index:03d}/{self.path.name}"

    @property
    def stem(self) -> str:
        """The name without its extension."""
        return self.name.removesuffix(self.path.suffix)


def read_photos(folder: Path) -> tuple[Photo, ...]:
    """The photos of a folder, in order of their names.

    If `images.jsonl` is in the folder or its parent, it lists the photos and classes. The files are in the folder, or
    in its subfolder `images`.

    Otherwise the photos are all image files in the folder and its subfolders. A photo's synset begins its file name,
    or is the name of its folder, as in ImageNet. The class index of a synset comes from `imagenet_classes.json`
    ({synset: class index}) in the folder or its parent. Without that file, the folder must be ImageNet's own, with a
    subfolder for each of its 1,000 synsets; their order gives the class indices.

    Raises:
        ValueError: there are no photos, a listed photo is missing, a synset is unknown, or two photos of a class have
            the same name. The message names file and location.
    """
    listing = _beside(folder, "images.jsonl")
    photos = _listed_photos(folder, listing) if listing else _found_photos(folder)
    if not photos:
        raise ValueError(f"{folder} holds no photos, expected files such as n02101006_Gordon_setter.JPEG.")
    _check_distinct(photos)
    return tuple(sorted(photos, key=lambda photo: photo.name))


def _check_distinct(photos: Sequence[Photo]) -> None:
    seen: dict[str, Photo] = {}
    for photo in photos:
        other = seen.setdefault(photo.stem, photo)
        if other is not photo:
            raise ValueError(
                f"{other.path} and {photo.path} have the same name, expected names unique within the class. "
                "Remove or rename one."
            )


def read_labels(path: Path) -> tuple[dict[str, dict[int, str]], dict[str, int]]:
    """The labels of a file by language and class index, and the number of labels of each code outside the 96
    languages.

    Raises:
        ValueError: the file is not as published. The message names the code and the position in its lists.
    """
    labels: dict[str, dict[int, str]] = {}
    skipped: dict[str, int] = {}
    for code, entry in read_json_object(path).items():
        if code not in PUBLISHED_CODES:
            nearest = difflib.get_close_matches(code.upper(), sorted(PUBLISHED_CODES), n=3, cutoff=0.5)
            raise ValueError(
                f"{path}: found the language code {code!r}, which Babel-ImageNet does not have. "
                f"Codes are in upper case; nearest: {', '.join(nearest) or 'none'}."
            )
        of_language = _labels_of_language(entry, f"{path}, language {code!r}")
        language = OUR_CODES.get(code, code.lower())
        if language in LANGUAGES:
            labels[language] = of_language
        else:
            skipped[code] = len(of_language)
    return labels, skipped


def read_synonyms(folder: Path) -> dict[int, tuple[str, ...]]:
    """The English names of each class in a `words.txt`, in the folder of photos or its parent as
    `imagenet_classes.json` is. Its lines are ImageNet's own: `n01443537<tab>goldfish, Carassius auratus`. Empty
    without these files."""
    words, classes = _beside(folder, "words.txt"), _beside(folder, "imagenet_classes.json")
    if words is None or classes is None:
        return {}
    indices = read_json_object(classes)
    lines = [line.split("\t") for line in words.read_text(encoding="utf-8").splitlines()]
    return {indices[synset]: tuple(names.split(", ")) for synset, names in lines if synset in indices}


def _labels_of_language(entry: Any, location: str) -> dict[int, str]:
    """The labels of one language by class index, from [class indices, labels]."""
    if not isinstance(entry, list) or len(entry) != 2 or not all(isinstance(part, list) for part in entry):
        raise ValueError(f"{location}: expected [class indices, labels], two lists.")
    indices, labels = entry
    if len(indices) != len(labels):
        raise ValueError(
            f"{location}: found {len(indices)} class indices, but {len(labels)} labels. "
            "Each index belongs to the label at its position. Fetch the file again."
        )
    by_index: dict[int, str] = {}
    for position, (index, label) in enumerate(zip(indices, labels, strict=True)):
        if type(index) is not int or not 0 <= index < NUM_CLASSES:
            raise ValueError(
                f"{location}, position {position}: found the class index {index!r}, expected 0 to {NUM_CLASSES - 1}."
            )
        if index in by_index:
            raise ValueError(
                f"{location}, position {position}: the class index {index} is repeated. Fetch the file again."
            )
        if not isinstance(label, str) or not label.strip():
            raise ValueError(
                f"{location}, position {position}: the class index {index} has no label, found {label!r}."
            )
        by_index[index] = label.strip()
    return by_index


def _listed_photos(folder: Path, listing: Path) -> list[Photo]:
    """The photos that `images.jsonl` lists, one JSON object per line with `file` and `class_index`."""
    photos = []
    locations = (folder, folder / "images")
    for location, record in read_json_lines(listing):
        fields = check_record(record, {"file": str, "class_index": int}, location=location)
        paths, class_index = [parent / fields["file"] for parent in locations], fields["class_index"]
        path = next((path for path in paths if os.path.isfile(path)), None)
        if path is None:
            raise ValueError(
                f"{location}: there is no photo {paths[0]}, nor {paths[1]}. Put it there, or remove the line."
            )
        check_inside(path, [folder], row=location)
        if not 0 <= class_index < NUM_CLASSES:
            raise ValueError(f"{location}: found the class index {class_index!r}, expected 0 to {NUM_CLASSES - 1}.")
        photos.append(Photo(path, class_index))
    return photos


def _found_photos(folder: Path) -> list[Photo]:
    """All photos in a folder and its subfolders, with the class of the synset in their names."""
    classes_file = _beside(folder, "imagenet_classes.json")
    classes = _classes_in_order(folder) if classes_file is None else read_json_object(classes_file)
    check_value(classes, dict[str, int], location=str(classes_file or folder), field="classes")
    annotated = _annotated_synsets(folder / "val_annotations.txt")
    photos = []
    for path in folder.rglob("*"):
        if path.suffix.lower() not in PHOTO_SUFFIXES:
            continue
        synset = SYNSET.match(annotated.get(path.name, path.name)) or SYNSET.fullmatch(path.parent.name)
        if synset is None or synset[0] not in classes:
            raise ValueError(
                f"{path}: expected a synset id of {classes_file or folder}, such as n02101006, at the beginning of "
                "the file's name or as the name of its folder."
            )
        check_inside(path, [folder], row=str(folder))
        photos.append(Photo(path, classes[synset[0]]))
    return photos


def _annotated_synsets(file: Path) -> dict[str, str]:
    """File name -> synset of Tiny-ImageNet's validation photos: tab-separated lines, with a box behind."""
    if not file.is_file():
        return {}
    return dict(line.split("\t")[:2] for line in file.read_text(encoding="utf-8").splitlines())


def _classes_in_order(folder: Path) -> dict[str, int]:
    """The classes of ImageNet's folders, all of which must be present."""
    synsets = sorted(path.name for path in folder.glob("n*") if path.is_dir() and SYNSET.fullmatch(path.name))
    if len(synsets) != NUM_CLASSES:
        raise ValueError(
            f"Found neither images.jsonl nor imagenet_classes.json in {folder} or its parent, and {len(synsets)} "
            f"synset folders. Add one of the files, or the folders of all {NUM_CLASSES} classes."
        )
    return {synset: index for index, synset in enumerate(synsets)}


def _beside(folder: Path, name: str) -> Path | None:
    """The file of that name in the folder, or else in its parent."""
    return next((location / name for location in (folder, folder.parent) if (location / name).is_file()), None)
