#!/usr/bin/env python3
"""Runs benchmarks of Hone against its peers, interleaved, and checks that both did the same work.

    make bench                         # the list
    make bench NAME=lora-bf16          # one
    python3 Benchmarks/run.py lora-bf16 --rounds 3 --steps 4

Needs a release build and Python 3 with `Benchmarks/peers/requirements.txt` (`--python`, or HONE_PEERS/bin/python). Each
benchmark prints one line of JSON and appends it to `.build/benchmarks/results.jsonl`.
"""
import argparse
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import classification
import generation
import lora
import scoring
import search
from common import CACHE, ROOT

# How far the first losses, or the log-likelihoods, of both may be apart: relatively, and in nats.
BENCHMARKS = {
    "lora-bf16": dict(work=lora.steps, dtype="bfloat16", rows=lora.even, batch=4, bound=2e-3),
    "lora-f32": dict(work=lora.steps, dtype="float32", rows=lora.even, batch=4, bound=2e-5),
    "lora-ragged": dict(work=lora.steps, dtype="bfloat16", rows=lora.ragged, batch=16, bound=2e-3),
    "lora-prefix": dict(work=lora.steps, dtype="bfloat16", rows=lora.prefixed, batch=8, bound=2e-3),
    # Length and rows of a step: as long rows as there are tokens for, then more rows of one length.
    "lora-length": dict(work=lora.lengths, dtype="bfloat16", shapes=[
        (128, 32), (512, 8), (2048, 2), (4096, 1), (256, 1), (256, 4), (256, 16), (256, 32)]),
    "score-choices": dict(work=scoring.choices, rows=32, batch=4, bound=1e-3),
    **classification.BENCHMARKS,
    **search.BENCHMARKS,
    **generation.BENCHMARKS,
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--hone", default=ROOT / ".build/release/hone")
    peers = os.environ.get("HONE_PEERS")
    parser.add_argument("--python", default=peers + "/bin/python" if peers else sys.executable)
    parser.add_argument("--peer-waits", choices=["passive", "active"], default="passive",
                        help="how transformers' threads wait for each other in generation; Hone's are passive")
    llama = os.environ.get("HONE_LLAMA")
    parser.add_argument("--llama-python", default=llama + "/bin/python" if llama else None)
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown or options.rounds < 1 or options.steps < 1:
        parser.error(f"benchmarks are {', '.join(BENCHMARKS)}" if unknown else "rounds and steps are at least 1")
    CACHE.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ, OMP_WAIT_POLICY="passive", TOKENIZERS_PARALLELISM="false", HF_HUB_OFFLINE="1")
    for name in options.names or BENCHMARKS:
        settings = BENCHMARKS[name]
        line = json.dumps(settings["work"](name, settings, options, environment))
        print(line, flush=True)
        with open(CACHE / "results.jsonl", "a") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()
