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
import random
import statistics
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import common
import generation
import scoring
from common import CACHE, INNER, KEYS, LAYERS, RANK, ROOT, TOKENS, WIDTH, run

# How far the first losses, or the log-likelihoods, of both may be apart: relatively, and in nats.
BENCHMARKS = {
    "lora-bf16": dict(dtype="bfloat16", lengths="even", batch=4, bound=2e-3),
    "lora-f32": dict(dtype="float32", lengths="even", batch=4, bound=2e-5),
    "lora-ragged": dict(dtype="bfloat16", lengths="ragged", batch=16, bound=2e-3),
    "score-choices": dict(work=scoring.choices, rows=32, batch=16, bound=1e-3),
    **generation.BENCHMARKS,
}


def rows(kind, words, count=64):
    """Rows of (prompt, completion) tokens."""
    generator = random.Random(1)
    text = lambda n: "".join(" " + generator.choice(words) for _ in range(n))
    made = []
    for _ in range(count):
        # Of geometric lengths with mean 80, at most 512, or 256 for all; a quarter are targets.
        total = 256 if kind == "even" else max(8, min(512, int(generator.expovariate(1 / 80))))
        made.append({"prompt": text(total - total // 4), "completion": text(total // 4), "tokens": total})
    return made


def useful(made, steps, batch):
    """Multiplications and additions that a step of LoRA needs: forward and the inputs' gradients, targets' logits."""
    linear = WIDTH * (2 * WIDTH + 2 * KEYS) + 3 * WIDTH * INNER
    thin = RANK * (4 * WIDTH + 2 * (WIDTH + KEYS) + 3 * (WIDTH + INNER))
    total = 0
    for step in range(steps):
        for i in range(batch):
            n = made[(step * batch + i) % len(made)]["tokens"]
            total += 4 * n * LAYERS * linear + 6 * n * LAYERS * thin + 4 * (n // 4) * WIDTH * TOKENS
            total += 7 * n * n * WIDTH * LAYERS
    return total / steps


def lora(name, settings, options, environment):
    model = common.model(options, environment)
    made = rows(settings["lengths"], common.words(options, environment))
    data = CACHE / f"{settings['lengths']}.jsonl"
    data.write_text("".join(json.dumps({k: row[k] for k in ("prompt", "completion")}) + "\n" for row in made))
    peer = [options.python, ROOT / "Benchmarks/peers/lora.py", "--model", model, "--data", data, "--dtype",
            settings["dtype"], "--steps", options.steps, "--batch", settings["batch"], "--threads", options.threads]
    start = CACHE / f"start-{settings['dtype']}"
    if not (start / "adapter_config.json").exists():
        run([*peer, "--save-init", start], environment)
    results = {"hone": [], "peer": []}
    for _ in range(options.rounds):
        results["peer"].append(json.loads(run(peer, environment).splitlines()[-1]))
        with tempfile.TemporaryDirectory() as folder:
            run([options.hone, "train", data, "--method", "lora", "--model", model, "--dtype",
                 {"float32": "f32", "bfloat16": "bf16"}[settings["dtype"]], "--steps", options.steps, "--batch-size",
                 settings["batch"], "--max-length", 512, "--order", "file", "--schedule", "constant", "--learning-rate",
                 "1e-3", "--threads", options.threads, "--init-adapter", start, "--out", folder + "/run", "--json",
                 "--quiet"], environment)
            log = [json.loads(line) for line in open(folder + "/run/log.jsonl")]
            metrics = json.load(open(folder + "/run/metrics.json"))
        results["hone"].append({
            "losses": [line["loss"] for line in log], "seconds": [line["seconds"] for line in log],
            "peak_mib": metrics["peak_memory_bytes"] / 2**20})
    for own, other in zip(results["hone"], results["peer"]):
        for step, (a, b) in enumerate(zip(own["losses"], other["losses"]), 1):
            if not abs(a - b) <= settings["bound"] * abs(b):
                sys.exit(f"{name}: step {step} gives loss {a}, the peer {b}: not the same work")
    # The first two steps warm up; of the others the time as a whole, since steps of unequal rows differ.
    warm = min(2, options.steps - 1)
    times = {k: [sum(r["seconds"][warm:]) / (options.steps - warm) for r in v] for k, v in results.items()}
    medians = {k: statistics.median(v) for k, v in times.items()}
    peak = max(r["peak_gflops"] for r in results["peer"])
    work = useful(made, options.steps, settings["batch"]) / 1e9
    return {
        "name": name, "rounds": options.rounds, "steps": options.steps, "threads": options.threads,
        "seconds_per_step": medians, "spread": {k: [min(v), max(v)] for k, v in times.items()},
        "ratio": medians["peer"] / medians["hone"], "peak_gflops": peak,
        "share_of_peak": work / medians["hone"] / peak,
        "peak_mib": {k: statistics.median(r["peak_mib"] for r in v) for k, v in results.items()},
        "largest_loss_difference": max(
            abs(a - b) / abs(b) for own, other in zip(results["hone"], results["peer"])
            for a, b in zip(own["losses"], other["losses"])),
        "machine": common.machine(), "versions": results["peer"][0]["versions"]}


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
        line = json.dumps(settings.get("work", lora)(name, settings, options, environment))
        print(line, flush=True)
        with open(CACHE / "results.jsonl", "a") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()
