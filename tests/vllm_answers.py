"""Greedy answers of vLLM, as token ids with their log-probabilities.

vLLM's own Python runs this file, and tests/test_vllm.py reads what it writes:

    python tests/vllm_answers.py REQUEST.json ANSWERS.json

A request is {"model": folder, "prompt": text, "images": [paths], "max_tokens": number}.
"""

import json
import sys
from pathlib import Path


def main(request_file: str, answers_file: str) -> None:
    from PIL import Image
    from vllm import LLM, SamplingParams

    request = json.loads(Path(request_file).read_text(encoding="utf-8"))
    model = LLM(request["model"], dtype="float32", enforce_eager=True, max_num_seqs=4, disable_log_stats=True)
    prompts = [
        {"prompt": request["prompt"], "multi_modal_data": {"image": Image.open(path).convert("RGB")}}
        for path in request["images"]
    ]
    sampling = SamplingParams(temperature=0, max_tokens=request["max_tokens"], logprobs=0)
    answers = []
    for output in model.generate(prompts, sampling, use_tqdm=False):
        (best,) = output.outputs
        logprobs = [of[token].logprob for token, of in zip(best.token_ids, best.logprobs, strict=True)]
        answers.append({"prompt": output.prompt_token_ids, "answer": list(best.token_ids), "logprobs": logprobs})
    Path(answers_file).write_text(json.dumps(answers), encoding="utf-8")


if __name__ == "__main__":  # vLLM starts processes that import this file
    main(*sys.argv[1:])
