"""LoRA training against transformers + peft, and against itself at other lengths."""
import json
import random
import statistics
import sys
import tempfile

import common
from common import CACHE, INNER, KEYS, LAYERS, RANK, ROOT, TOKENS, WIDTH, run


class Text:
    """Made-up text of which a word is a token, always the same."""

    def __init__(self, words):
        self.words, self.generator = words, random.Random(1)

    def __call__(self, count):
        return "".join(" " + self.generator.choice(self.words) for _ in range(count))

    def row(self, total, shared=""):
        """A row of so many tokens behind a common beginning; a quarter of its own are targets."""
        before = shared.count(" ")
        return {"prompt": shared + self(total - total // 4), "completion": self(total // 4), "before": before,
                "own": total, "targets": total // 4}


def even(words):
    text = Text(words)
    return [text.row(256) for _ in range(64)]


def ragged(words):
    """Of geometric lengths with mean 80, at most 512."""
    text = Text(words)
    return [text.row(max(8, min(512, int(text.generator.expovariate(1 / 80))))) for _ in range(64)]


def prefixed(words):
    """An instruction of 400 tokens that all rows share, then 30 tokens of input and 10 of answer."""
    text = Text(words)
    shared = text(400)
    return [text.row(40, shared) for _ in range(64)]


def useful(made, steps, batch):
    """Floating-point operations that a step of LoRA needs: forward and the inputs' gradients, targets' logits. What all rows
    share counts once."""
    thin = 2 * RANK * LAYERS * (4 * WIDTH + 2 * (WIDTH + KEYS) + 3 * (WIDTH + INNER))
    per_token = 2 * common.linear_work() + 3 * thin
    total = 0
    for step in range(steps):
        rows = [made[(step * batch + i) % len(made)] for i in range(batch)]
        before = rows[0]["before"]
        total += before * per_token + 7 * before**2 * WIDTH * LAYERS
        for row in rows:
            n = row["own"]
            total += n * per_token + 4 * row["targets"] * WIDTH * TOKENS
            total += 7 * (n * n + 2 * n * before) * WIDTH * LAYERS
    return total / steps


def write(data, made):
    data.write_text("".join(json.dumps({k: row[k] for k in ("prompt", "completion")}) + "\n" for row in made))


def hone(options, environment, model, data, dtype, batch, start=None, length=512):
    """Trains and gives what each step had for a loss and how long it took."""
    with tempfile.TemporaryDirectory() as folder:
        run([options.hone, "train", data, "--method", "lora", "--model", model, "--dtype",
             {"float32": "f32", "bfloat16": "bf16"}[dtype], "--steps", options.steps, "--batch-size", batch,
             "--max-length", length, "--order", "file", "--schedule", "constant", "--learning-rate", "1e-3", "--threads",
             options.threads, "--out", folder + "/run", "--json", "--quiet",
             *(["--init-adapter", start] if start else [])], environment)
        log = [json.loads(line) for line in open(folder + "/run/log.jsonl")]
        metrics = json.load(open(folder + "/run/metrics.json"))
    return {"losses": [line["loss"] for line in log], "seconds": [line["seconds"] for line in log],
            "peak_mib": metrics["peak_memory_bytes"] / 2**20}


def step_seconds(result, options):
    """The first two steps warm up; of the others the time as a whole, since steps of unequal rows differ."""
    warm = min(2, options.steps - 1)
    return sum(result["seconds"][warm:]) / (options.steps - warm)


def steps(name, settings, options, environment):
    model = common.model(options, environment)
    made = settings["rows"](common.words(options, environment))
    data = CACHE / f"{settings['rows'].__name__}.jsonl"
    write(data, made)
    peer = [options.python, ROOT / "Benchmarks/peers/lora.py", "--model", model, "--data", data, "--dtype",
            settings["dtype"], "--steps", options.steps, "--batch", settings["batch"], "--threads", options.threads]
    start = CACHE / f"start-{settings['dtype']}"
    if not (start / "adapter_config.json").exists():
        run([*peer, "--save-init", start], environment)
    results = {"hone": [], "peer": []}
    for _ in range(options.rounds):
        results["peer"].append(json.loads(run(peer, environment).splitlines()[-1]))
        results["hone"].append(hone(options, environment, model, data, settings["dtype"], settings["batch"], start))
    for own, other in zip(results["hone"], results["peer"]):
        for step, (a, b) in enumerate(zip(own["losses"], other["losses"]), 1):
            if not abs(a - b) <= settings["bound"] * abs(b):
                sys.exit(f"{name}: step {step} gives loss {a}, the peer {b}: not the same work")
    times = {k: [step_seconds(r, options) for r in v] for k, v in results.items()}
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


def lengths(name, settings, options, environment):
    """Tokens a second at several lengths and numbers of rows. What a token costs is to grow with the length no faster than the
    operations do that it takes part in: attention's, which grow with the tokens before it, beside those that do not."""
    model = common.model(options, environment)
    words = common.words(options, environment)
    shapes = [tuple(shape) for shape in settings["shapes"]]
    seconds, rows = {shape: [] for shape in shapes}, {}
    for length, batch in shapes:
        text = Text(words)
        rows[length, batch] = [text.row(length) for _ in range(batch * 2)]
        write(CACHE / f"length-{length}-{batch}.jsonl", rows[length, batch])
    for _ in range(options.rounds):
        for length, batch in shapes:
            result = hone(options, environment, model, CACHE / f"length-{length}-{batch}.jsonl", settings["dtype"], batch,
                          length=length)
            seconds[length, batch].append(step_seconds(result, options))
    first = shapes[0]

    def cost(shape):
        return statistics.median(seconds[shape]) / (shape[0] * shape[1])

    def work(shape):
        return useful(rows[shape], 1, shape[1]) / (shape[0] * shape[1])

    return {
        "name": name, "rounds": options.rounds, "steps": options.steps, "threads": options.threads,
        "shapes": [{
            "length": shape[0], "rows": shape[1], "tokens_per_second": 1 / cost(shape),
            "seconds_per_step": common.spread(seconds[shape]), "cost_of_a_token": cost(shape) / cost(first),
            "operations_of_a_token": work(shape) / work(first)} for shape in shapes],
        "machine": common.machine()}
