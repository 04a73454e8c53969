"""The command `mblip`: its subcommands, and how it ends where one fails.

A subcommand is a module with `main(arguments)`, imported when it is called, so that each needs only libraries of its
own. Where they are missing, `--help` still shows what the subcommand is for, and which extra it needs.
"""

import ast
import importlib
import logging
import os
import pickle
import sys
import traceback
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from safetensors import SafetensorError

COMMANDS: Mapping[str, tuple[str, str]] = {
    "train": ("mblip.train", "train a model by a recipe"),
    "eval": ("mblip.eval", "evaluate a model on benchmarks: scores with intervals, and a report"),
    "retrieval": ("mblip.training.retrieval", "measure how often a model finds the caption of an image, and back"),
    "compare": ("mblip.evaluation.compare", "tell two models apart by their predictions, with p-values"),
    "build": ("mblip.mix.build.command", "build a training mix by a recipe"),
    "fetch": ("mblip.mix.fetching.fetch", "fetch the images of a list of URLs"),
    "embed": ("mblip.mix.build.embed", "embed captions and images, for a mix with hard negatives"),
    "translate-prompts": ("mblip.mix.translate_prompts", "translate the prompt templates into other languages"),
    "compose": ("mblip.training.compose", "compose a BLIP-2's image side and a language model"),
    "merge": ("mblip.training.merge", "merge an adapter into its base"),
    "publish": ("mblip.training.publish", "put a trained model or adapter on the Hub"),
    "card": ("mblip.training.model_card", "write the model card again, with more results"),
    "recipes": ("mblip.recipes", "list the recipes that come with the package, or print one"),
}
# The extra of pyproject.toml that brings a library, by the name it is imported by.
EXTRAS: Mapping[str, str] = {
    "accelerate": "train",
    "datasets": "train",
    "peft": "train",
    "yaml": "train",
    "pyarrow": "train",  # comes with datasets
    "matplotlib": "train",
    "sentencepiece": "train",
    "google": "train",  # protobuf
    "tqdm": "eval",
    "py3langid": "eval",
    "sacrebleu": "eval",
    "nltk": "eval",
    "evaluate": "eval",
    "bitsandbytes": "scale",
    "aiohttp": "scale",
    "ctranslate2": "scale",
    "datatrove": "scale",
    "faiss": "scale",
    "spacy": "scale",
    "sudachipy": "ja",
    "sudachidict_core": "ja",
    "pythainlp": "th",
}
PACKAGES = ("mblip", "modeling_mblip", "processing_mblip")
TRACEBACK = "MBLIP_TRACEBACK"
UNREADABLE = (OSError, SafetensorError, pickle.UnpicklingError)
REFUSALS = (ValueError, ImportError, *UNREADABLE)
WRONG_INPUT = 2  # the exit status, as argparse has it
HELP = {"-h", "--help"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line `mblip ARGUMENTS`.

    Args:
        arguments: those of this process, if left out.

    Raises:
        SystemExit: with `WRONG_INPUT`, after a message about the input; torchrun sees it as a failure.
    """
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in HELP:
        print(_overview())
        return
    if name not in COMMANDS:
        nearest = get_close_matches(name, COMMANDS, n=1)
        hint = f"Did you mean `mblip {nearest[0]}`?" if nearest else "`mblip --help` lists them."
        _end("mblip", f"there is no subcommand {name!r}. {hint}")
    module, wants_help = COMMANDS[name][0], not HELP.isdisjoint(rest)
    if name == "train" and wants_help:  # its options are the fields of a recipe, which no parser lists
        print(_docstring(module))
        return
    # bitsandbytes, which PEFT imports, warns at every start that an optional kernel for CPUs is missing.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    try:
        importlib.import_module(module).main(rest)
    except REFUSALS as error:
        if os.environ.get(TRACEBACK):
            raise
        extra = _missing_extra(error)
        if extra is not None and wants_help:
            print(f'{_docstring(module)}\n\nIts options show once this is done: pip install "mblip[{extra}]"')
        elif extra is not None:
            _end(f"mblip {name}", f'{error}. Install it with what else is needed:\npip install "mblip[{extra}]"')
        elif _is_for_the_caller(error):
            _end(f"mblip {name}", f"{error}\n({_location(error)}; {TRACEBACK}=1 shows the traceback)")
        else:
            raise


def _overview() -> str:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {summary}" for name, (_, summary) in COMMANDS.items())
    return (
        f"usage: mblip COMMAND ...\n\nMultilingual vision-language models.\n\n{commands}\n\n"
        "`mblip COMMAND --help` tells about one. On several GPUs: torchrun --nproc_per_node 4 -m mblip COMMAND ...\n"
        f"An error about your input is one message; {TRACEBACK}=1 in the environment shows its traceback."
    )


def _docstring(module: str) -> str:
    """A module's docstring, without importing what the module needs."""
    path = Path(__file__).parent.joinpath(*module.split(".")[1:]).with_suffix(".py")
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def _missing_extra(error: Exception) -> str | None:
    return EXTRAS.get((error.name or "").partition(".")[0]) if isinstance(error, ModuleNotFoundError) else None


def _is_for_the_caller(error: Exception) -> bool:
    """Whether an error is to be read by who called the command: any about files and the Hub, and what our own code
    refuses. What another library refuses may be a bug of ours, so it keeps its traceback. A bug of ours that looks
    like a refusal, such as unequal lengths in a `zip`, is not hidden: the message says which line it comes from."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return isinstance(error, UNREADABLE) or _is_ours(frame.f_globals)


def _is_ours(names: Mapping[str, object]) -> bool:
    return str(names.get("__name__")).partition(".")[0] in PACKAGES


def _location(error: Exception) -> str:
    """The last line of ours on the way to an error."""
    ours = [each for each in traceback.walk_tb(error.__traceback__) if _is_ours(each[0].f_globals)]
    frame, line = ours[-1]
    return f"{Path(frame.f_code.co_filename).relative_to(Path(__file__).parents[1])}, line {line}"


def _end(prog: str, message: str) -> NoReturn:
    print(f"{prog}: error: {message}", file=sys.stderr)
    raise SystemExit(WRONG_INPUT)
