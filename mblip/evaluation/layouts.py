"""Other layouts of the benchmarks' records, which tasks read like the published ones.

PangeaBench's copies on the Hub (neulab/PangeaBench-xm100, -xgqa, -maxm, -marvl; their columns are those that
tasks/*/utils.py of neulab/Pangea reads): a split for each language, `split: "{language}"`. XM100 is 100 photos of
XM3600 with one caption per language. MaRVL's rows hold both photos as one image; its split `en` is NLVR2's dev.

The original's own inputs (Gregor/mblip-train, written by data/* of gregor-ge/mBLIP): JSON arrays of {"context",
"label": "", "image_id", "text_label"}. `context` is the question or statement; MaXM's is the whole prompt. VQAv2's
has neither ids nor types of questions and is not read. Captions are in COCO's layout (tasks/coco_captions.py).
"""

import re
from typing import Any

from mblip.data.languages import ENGLISH

GOLD_LABELS = {"yes": "entailment", "maybe": "neutral", "no": "contradiction"}  # of XVNLI
MAXM_PROMPT = re.compile(r"Question: (.*) Short answer in [^:]*:", re.DOTALL)
PANGEA_STATEMENT = re.compile(r".*? Text: (.*?)\s*Options: \(a\) false \(b\) true.*", re.DOTALL)


def as_published(record: Any, number: int, language: str | None) -> Any:
    """The record in its published layout. A question or statement without an id gets its number.

    Args:
        number: of the record in its file or split.
        language: of the file or split, if it has one.
    """
    match record:
        case {"conversations": [{"value": str(asked)}, {"value": str(answer)}, *_]} if (
            statement := PANGEA_STATEMENT.fullmatch(asked)
        ) and ("true" in answer) is not ("false" in answer):  # MaRVL, NLVR2
            text, is_true = statement[1], "true" in answer
            if language == ENGLISH:
                return {**record, "identifier": f"dev-{number}-0-0", "sentence": text, "label": str(is_true)}
            names = {"concept": "pangea", "left_img": f"{number}.jpg", "right_img": f"{number}.jpg"}
            id = f"{language}-{number}"
            return {**record, **names, "id": id, "language": language, "caption": text, "label": is_true}
        case {"caption": str(caption), "image_id": str(key), "image": image} if language is not None:  # XM100
            return {"image/key": key, "image": image, language: {"caption": [caption]}}
        case {"question": str(), "answers": list(answers), "image_id": str()}:  # MaXM
            return {"question_id": str(number), "processed_answers": answers, **record}
        case {"question": str(), "answer": str(), "image_id": str(image)}:  # xGQA
            return {"question_id": number, "imageId": image, **record}
        case {"context": str(text), "left_image": str(left), "right_image": str(right), "text_label": str(label)}:
            if "concept" not in record:  # NLVR2
                pair = left.removesuffix("-img0.png")
                return {"identifier": f"{pair}-{number}", "sentence": text, "label": label}
            names = {side: path.rpartition("/")[2] for side, path in (("left_img", left), ("right_img", right))}
            return record | names | {"id": f"{language}-{number}", "caption": text, "label": label == "True"}
        case {"context": str(text), "image_id": str(image), "pair_id": pair, "text_label": str(label)}:  # XVNLI
            found = {"sentence2": text, "Flikr30kID": image, "pairID": pair}
            return {**found, "gold_label": GOLD_LABELS.get(label, label)}
        case {"context": str(text), "image_id": str(image), "text_label": list(labels)}:  # MaXM and CHAIR
            prompt, key = MAXM_PROMPT.fullmatch(text), image.removesuffix(".jpg")
            known = {"question_id": str(number), "question": prompt and prompt[1], "processed_answers": labels}
            return {**known, "image_id": key, "image": image, "objects": labels}
        case {"context": str(text), "image_id": str(image), "text_label": str(label)}:  # xGQA and POPE
            both: dict[str, Any] = {"question_id": number + 1, "question": text, "answer": label, "imageId": image}
            return {**both, "image": image, "text": text, "label": label}
    return record
