"""Benchmarks of greedy generation and of the start: interleaved with their peers, and the texts compared."""
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

import common
from common import CACHE, ROOT, run

PROMPT_TOKENS, NEW_TOKENS = 32, 128


def greedy(name, settings, options, environment):
    model, words = common.model(options, environment), common.words(options, environment)
    generator = random.Random(2)
    texts = ["".join(" " + generator.choice(words) for _ in range(PROMPT_TOKENS)) for _ in range(settings["rows"])]
    data = CACHE / f"prompts-{settings['rows']}.jsonl"
    data.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in texts))
    reference = [options.python, ROOT / "Benchmarks/peers/generate.py", "--model", model, "--data", data, "--dtype",
                 "bfloat16", "--new-tokens", NEW_TOKENS, "--threads", options.threads]
    first = json.loads(run(reference, environment).splitlines()[-1])
    versions, peer = first["versions"], reference
    surroundings = dict(environment, OMP_WAIT_POLICY=options.peer_waits)
    if settings["peer"] == "llama.cpp":
        if not options.llama_python:
            sys.exit("generate-int8 needs --llama-python, or HONE_LLAMA: Python with Benchmarks/peers/requirements-llama.txt")
        # Its threads meet many times in a token: three times as fast when they spin, which is libgomp's default.
        surroundings = {name: value for name, value in environment.items() if name != "OMP_WAIT_POLICY"}
        peer = [options.llama_python, ROOT / "Benchmarks/peers/llama.py", "--model", model, "--prompt",
                json.dumps(first["prompts"][0]), "--new-tokens", NEW_TOKENS, "--threads", options.threads]
    hone = [options.hone, "generate", model, "--file", data, "--dtype", settings["dtype"], "--max-tokens", NEW_TOKENS,
            "--threads", options.threads, "--json"]
    results, bandwidth = {"hone": [], "peer": []}, [first["gigabytes_per_second"]]
    for _ in range(options.rounds):
        made = json.loads(run(peer, surroundings).splitlines()[-1])
        versions = {**versions, **made["versions"]}
        if "gigabytes_per_second" in made:
            bandwidth.append(made["gigabytes_per_second"])
        tokens = made["tokens"] if settings["peer"] == "transformers" else [made["tokens"]]
        # The better of two passes in one process: the first one warms up.
        results["peer"].append({"seconds": min(made["seconds"]), "tokens": tokens})
        made = json.loads(run(hone, environment))
        results["hone"].append({
            "seconds": made["seconds"], "bytes": made["weight_bytes"],
            "tokens": [texts["texts"][0]["token_ids"] for texts in made["generations"]]})
    for side in results.values():
        for result in side:
            if [len(text) for text in result["tokens"]] != [NEW_TOKENS] * settings["rows"]:
                sys.exit(f"{name}: not every text has {NEW_TOKENS} tokens: not the same work")
    chosen = {side: found[0]["tokens"] for side, found in results.items()}
    given = json.dumps({"prompts": first["prompts"], "texts": chosen})
    regret = json.loads(subprocess.run(
        [str(options.python), str(ROOT / "Benchmarks/peers/regret.py"), "--model", str(model)], input=given,
        env=environment, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    if not regret["hone"] <= settings["bound"]:
        sys.exit(f"{name}: a token is {regret['hone']} less likely than the likeliest: not the same work")
    same = [next((i for i, pair in enumerate(zip(*texts)) if pair[0] != pair[1]), NEW_TOKENS)
            for texts in zip(chosen["hone"], chosen["peer"])]
    speeds = {side: [settings["rows"] * NEW_TOKENS / r["seconds"] for r in found] for side, found in results.items()}
    medians = {side: statistics.median(found) for side, found in speeds.items()}
    steps, reading = medians["hone"] / settings["rows"], statistics.median(bandwidth)
    return {
        "name": name, "rounds": options.rounds, "threads": options.threads, "rows": settings["rows"],
        "dtype": settings["dtype"], "peer": settings["peer"], "peer_waits": surroundings.get("OMP_WAIT_POLICY", "default"), "prompt_tokens": PROMPT_TOKENS, "new_tokens": NEW_TOKENS,
        "tokens_per_second": medians, "spread": {side: [min(v), max(v)] for side, v in speeds.items()},
        "ratio": medians["hone"] / medians["peer"], "read_gigabytes_per_second": reading,
        "share_of_bandwidth": steps * results["hone"][0]["bytes"] / 1e9 / reading,
        "equal_first_tokens": [min(same), statistics.median(same)], "largest_regret": regret, "machine": common.machine(), "versions": versions}


def start_up(name, settings, options, environment):
    """From the command to the end of the first training step: one row of 64 tokens, LoRA, bf16."""
    model, words = common.model(options, environment), common.words(options, environment)
    generator = random.Random(3)
    text = lambda n: "".join(" " + generator.choice(words) for _ in range(n))
    data = CACHE / "start-up.jsonl"
    data.write_text(json.dumps({"prompt": text(48), "completion": text(16)}) + "\n")
    peer = [options.python, ROOT / "Benchmarks/peers/lora.py", "--model", model, "--data", data, "--dtype", "bfloat16",
            "--steps", 1, "--batch", 1, "--threads", options.threads, "--until-first-step"]
    seconds, whole = {"hone": [], "peer": []}, []
    for _ in range(options.rounds):
        start = time.time()
        seconds["peer"].append(json.loads(run(peer, environment).splitlines()[-1])["first_step_at"] - start)
        with tempfile.TemporaryDirectory() as folder:
            start = time.time()
            run([options.hone, "train", data, "--method", "lora", "--model", model, "--dtype", "bf16", "--steps", 1,
                 "--batch-size", 1, "--threads", options.threads, "--out", folder + "/run", "--quiet"], environment)
            # A step's line is written when it is done.
            log = folder + "/run/log.jsonl"
            if len(open(log).readlines()) != 1:
                sys.exit(f"{name}: not one step was made")
            seconds["hone"].append(os.stat(log).st_mtime - start)
            whole.append(time.time() - start)
    medians = {side: statistics.median(found) for side, found in seconds.items()}
    return {
        "name": name, "rounds": options.rounds, "threads": options.threads, "seconds": medians,
        "spread": {side: [min(v), max(v)] for side, v in seconds.items()}, "ratio": medians["peer"] / medians["hone"],
        "whole_command": statistics.median(whole), "machine": common.machine()}


BENCHMARKS = {
    # How many prompts; the largest difference of log-probabilities by which a chosen token may be less likely than the likeliest.
    "generate-1": dict(work=greedy, rows=1, dtype="bf16", peer="transformers", bound=0.05),
    "generate-16": dict(work=greedy, rows=16, dtype="bf16", peer="transformers", bound=0.05),
    "generate-int8": dict(work=greedy, rows=1, dtype="int8", peer="llama.cpp", bound=0.1),
    "start-up": dict(work=start_up),
}
