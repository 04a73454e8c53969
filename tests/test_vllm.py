"""vLLM answers from an exported folder as we do, token by token, and so do its server and ours.

vLLM has an environment of its own, because it needs another transformers. `MBLIP_VLLM_PYTHON` names its Python.
"""

import base64
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from exported import ANSWER_TOKENS, NUM_IMAGES, PROMPT, learned_model, save_images

from mblip import export
from mblip.export import LANGUAGE_MODELS, export_to_blip2
from mblip.loading import Precision, load_checkpoint

PYTHON = os.environ.get("MBLIP_VLLM_PYTHON")
HOW = "set MBLIP_VLLM_PYTHON to the Python of an environment with vLLM; CONTRIBUTING.md says how to make one"
pytestmark = [pytest.mark.engine, pytest.mark.skipif(PYTHON is None, reason=HOW)]
ROOT = Path(__file__).parents[1]
# One thread and little memory, so that the tests run beside others.
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": "",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
}
START_SECONDS = 600


def export_learned(family, images, folder):
    """Our model and processor, which are saved to `folder`/model and exported to `folder`/blip2."""
    model, processor = learned_model(family, images)
    model.save_pretrained(folder / "model")
    processor.save_pretrained(folder / "model")
    export_to_blip2(str(folder / "model"), folder / "blip2")
    return model, processor


def our_answers(model, processor, images):
    """The ids of prompts and greedy answers. The answers end with the end of text and without padding."""
    inputs = processor(images=list(map(str, images)), text=[PROMPT] * len(images), return_tensors="pt")
    ids = model.generate(**inputs, max_new_tokens=ANSWER_TOKENS + 2, do_sample=False).tolist()
    end = processor.tokenizer.eos_token_id
    answers = [row[: row.index(end) + 1] if end in row else row for row in ids]
    assert len(set(map(tuple, answers))) >= NUM_IMAGES // 2  # each image counts
    return inputs["input_ids"].tolist(), answers


def ask_vllm(folder, images):
    request, answers = folder / "request.json", folder / "answers.json"
    asked = {"model": str(folder / "blip2"), "prompt": PROMPT, "images": list(map(str, images))}
    request.write_text(json.dumps(asked | {"max_tokens": ANSWER_TOKENS + 2}))
    command = [PYTHON, ROOT / "tests" / "vllm_answers.py", request, answers]
    one_process = ENVIRONMENT | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}  # it starts faster, and its errors are here
    done = subprocess.run(command, env=os.environ | one_process, capture_output=True, text=True, timeout=START_SECONDS)
    return json.loads(answers.read_text()) if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("family", LANGUAGE_MODELS)
def test_greedy_tokens_of_vllm_are_ours(family, tmp_path):
    images = save_images(tmp_path)
    prompts, answers = our_answers(*export_learned(family, images, tmp_path), images)
    found = ask_vllm(tmp_path, images)
    assert not isinstance(found, str), found[-2000:]
    assert [each["prompt"] for each in found] == prompts
    assert [each["answer"] for each in found] == answers
    logprobs = logprobs_of(load_checkpoint(str(tmp_path / "blip2"), Precision("auto")), images, prompts, answers)
    for ours, each in zip(logprobs, found, strict=True):
        torch.testing.assert_close(torch.tensor(each["logprobs"]), ours, rtol=0, atol=1e-3)


def logprobs_of(loaded, images, prompts, answers):
    """The log-probabilities of the answers' tokens."""
    model, processor = loaded
    for image, prompt, answer in zip(images, prompts, answers, strict=True):
        inputs = processor(images=str(image), text=PROMPT, return_tensors="pt")
        assert inputs["input_ids"].tolist() == [prompt]
        inputs |= {"input_ids": torch.tensor([prompt + answer]), "attention_mask": torch.ones(1, len(prompt + answer))}
        with torch.no_grad():
            logits = model(**inputs).logits[0, len(prompt) - 1 : -1]
        yield logits.log_softmax(-1).gather(1, torch.tensor(answer)[:, None])[:, 0]


def test_bloom_is_refused_because_vllm_cannot_run_it(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "LANGUAGE_MODELS", ("bloom",))
    images = save_images(tmp_path)
    export_learned("bloom", images, tmp_path)
    assert "'BloomForCausalLM' object has no attribute 'model'" in ask_vllm(tmp_path, images)


@contextmanager
def server(command, log, **environment):
    """The address of an OpenAI server, running while the block does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*command, "--host", "127.0.0.1", "--port", str(port)]
    with log.open("w") as file:
        process = subprocess.Popen(command, env=os.environ | environment, stdout=file, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}/v1"
    try:
        for _ in range(START_SECONDS):
            assert process.poll() is None, log.read_text()[-2000:]
            try:
                urllib.request.urlopen(f"{address}/models").close()
                break
            except OSError:
                time.sleep(1)
        yield address
    finally:
        process.terminate()
        process.wait(60)


def ask_server(address, images):
    from openai import OpenAI

    answers = []
    with OpenAI(base_url=address, api_key="none", max_retries=0) as client:
        model = client.models.list().data[0]
        for path in images:
            kind = "jpeg" if path.suffix == ".jpg" else "png"
            url = f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
            content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": PROMPT}]
            messages = [{"role": "user", "content": content}]
            answer = client.chat.completions.create(
                model=model.id, messages=messages, temperature=0, max_tokens=ANSWER_TOKENS + 2
            )
            answers.append(answer.choices[0].message.content.split())
    return answers


def test_both_servers_answer_through_openais_client_as_the_model_itself(tmp_path):
    images = save_images(tmp_path)
    model, processor = export_learned("llama", images, tmp_path)
    _, ids = our_answers(model, processor, images)
    expected = [processor.decode(row, skip_special_tokens=True).split() for row in ids]
    assert all(len(words) == ANSWER_TOKENS - 1 for words in expected)  # a word is a token

    vllm = [PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--model", tmp_path / "blip2", "--dtype", "float32"]
    with server([*vllm, "--enforce-eager"], tmp_path / "vllm.log", **ENVIRONMENT) as address:
        assert ask_server(address, images) == expected
    mblip = [sys.executable, "-m", "mblip", "serve", tmp_path / "model", "--dtype", "float32"]
    with server(mblip, tmp_path / "mblip.log") as address:
        assert ask_server(address, images) == expected
