"""One image asked in 36 languages, greedily: as it is, with a static cache, and with a compiled decoder.

    python benchmarks/compiled_decoding.py [--language-model bloomz-7b1] [--device cuda]

All three are our model with the same weights. The seconds of compiling are those of its first run.
"""

import argparse
import statistics

import torch
from many_languages import MODES, NUM_LANGUAGES, NUM_TOKENS, generation
from model_pair import add_pair_arguments, build_pair, chosen_dtype, chosen_shape
from paired_inputs import ask
from side_by_side import machine, seconds_now
from where_time_goes import Run, parts

DECODING = MODES["greedy, 20 tokens"]


def main(command_line: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_pair_arguments(parser)
    arguments = parser.parse_args(command_line)
    pair = build_pair(chosen_shape(arguments), arguments.device, chosen_dtype(arguments))
    inputs = ask(pair, 1, NUM_LANGUAGES, NUM_TOKENS).ours

    def seconds(run: Run) -> float:
        start = seconds_now(pair.device)
        run()
        return seconds_now(pair.device) - start

    def report(title: str, run: Run) -> None:
        first = seconds(run)
        found = [seconds(run) for _ in range(arguments.rounds)]
        print(
            f"{title:18} {statistics.median(found):.2f} s ({min(found):.2f} to {max(found):.2f}); first {first:.1f} s"
        )

    print(f"{NUM_LANGUAGES} languages: {pair.shape.describe()}; {machine(pair.device)}")
    as_it_is = generation(pair.ours, inputs, DECODING)
    report("as it is", as_it_is)
    report("static cache", generation(pair.ours, inputs, DECODING | {"cache_implementation": "static"}))
    decoder = parts(pair.ours)["decoder"]
    decoder.forward = torch.compile(decoder.forward, dynamic=True)
    report("compiled decoder", as_it_is)


if __name__ == "__main__":
    main()
