"""Encoder fine-tuning for classification against transformers + peft: the same rows, epochs, batch size and schedule.

Rows are {"text", "label"} lines: those of the example task, or HONE_BENCHMARK_TRAIN and HONE_BENCHMARK_TEST.
"""
import csv
import json
import os
import random
import statistics
import tempfile

import common
from common import CACHE, ROOT, run


def data():
    given = os.environ.get("HONE_BENCHMARK_TRAIN"), os.environ.get("HONE_BENCHMARK_TEST")
    if all(given):
        return given
    with open(ROOT / "Examples/support-tickets/tickets.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    random.Random(0).shuffle(rows)
    paths = CACHE / "tickets-train.jsonl", CACHE / "tickets-test.jsonl"
    for path, part in zip(paths, (rows[:320], rows[320:])):
        path.write_text("".join(json.dumps({k: row[k] for k in ("text", "label")}) + "\n" for row in part))
    return paths


def classify(name, settings, options, environment):
    train, test = data()
    model = ROOT / ".setup/models/all-MiniLM-L6-v2"
    same = ["--model", model, "--epochs", settings["epochs"], "--learning-rate", settings["rate"], "--threads",
            options.threads, "--max-length", 128]
    results = {"hone": [], "peer": []}
    for number in range(options.rounds):
        results["peer"].append(json.loads(run(
            [options.python, ROOT / "Benchmarks/peers/classify.py", "--train", train, "--test", test, "--method",
             settings["method"], "--batch", settings["batch"], "--seed", number, *same], environment).splitlines()[-1]))
        with tempfile.TemporaryDirectory() as folder:
            own = json.loads(run(
                [options.hone, "train", train, "--validation", test, "--method", settings["method"], "--batch-size",
                 settings["batch"], "--schedule", "linear", "--seed", number, "--checkpoint-every", 0, "--out",
                 folder + "/run", "--json", "--quiet", *same], environment))
        results["hone"].append({"accuracy": own["accuracy"]["value"], "seconds": own["training_seconds"]})
    accuracy = {k: statistics.mean(r["accuracy"] for r in v) for k, v in results.items()}
    rows = sum(1 for line in open(test, encoding="utf-8") if line.strip())
    # Both saw the same rows in other orders and from other heads: accuracies are compared within the noise of the test rows.
    noise = 2 * (2 * accuracy["peer"] * (1 - accuracy["peer"]) / rows) ** 0.5 + 1 / rows
    if abs(accuracy["hone"] - accuracy["peer"]) > noise:
        raise SystemExit(f"{name}: accuracies {accuracy} differ by more than {noise:.3f}: not the same work")
    seconds = {k: common.spread([r["seconds"] for r in v]) for k, v in results.items()}
    return {
        "name": name, "rounds": options.rounds, "threads": options.threads, "epochs": settings["epochs"],
        "accuracy": {k: [r["accuracy"] for r in v] for k, v in results.items()}, "seconds": seconds,
        "ratio": seconds["peer"]["median"] / seconds["hone"]["median"], "machine": common.machine(),
        "versions": results["peer"][0]["versions"]}


BENCHMARKS = {
    "classify-lora": dict(work=classify, method="lora", epochs=3, batch=32, rate=1e-3),
    "classify-full": dict(work=classify, method="full", epochs=3, batch=32, rate=3e-4),
}
