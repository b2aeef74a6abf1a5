"""Multiple-choice scoring against lm-evaluation-harness."""
import json
import random
import tempfile

import common
from common import CACHE, LAYERS, ROOT, TOKENS, WIDTH, run


def rows(words, count):
    """Five worked examples of 60 words and an answer of 6, the same for all rows; then a question of 40 to 80 words and four
    choices of 2 to 8, of which a word is a token."""
    generator = random.Random(2)
    text = lambda n: "".join(" " + generator.choice(words) for _ in range(n))
    shots = "".join(text(60) + text(6) for _ in range(5))
    return [{"context": shots + text(generator.randint(40, 80)),
             "choices": [text(generator.randint(2, 8)) for _ in range(4)], "answer": generator.randrange(4)}
            for _ in range(count)]


def useful(made):
    """Work with every token computed once, in floating-point operations; attention's products included."""
    shots = 5 * 66
    total = shots * common.linear_work() + 2 * LAYERS * WIDTH * shots**2
    for row in made:
        context = len(row["context"].split())
        own, tails = context - shots, [len(choice.split()) - 1 for choice in row["choices"]]
        total += (own + sum(tails)) * common.linear_work() + 2 * (1 + sum(tails)) * WIDTH * TOKENS
        total += 4 * LAYERS * WIDTH * (own * (shots + own / 2) + sum(n * (context + n / 2) for n in tails))
    return total


def choices(name, settings, options, environment):
    model = common.model(options, environment)
    made = rows(common.words(options, environment), settings["rows"])
    data = CACHE / "choices.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in made))
    peer = [options.python, ROOT / "Benchmarks/peers/score.py", "--model", model, "--data", data, "--dtype", "float32",
            "--threads", options.threads, "--batch", settings["batch"]]
    results = {"hone": [], "peer": []}
    for _ in range(options.rounds):
        results["peer"].append(json.loads(run(peer, environment).splitlines()[-1]))
        own = json.loads(run([options.hone, "score", model, "--data", data, "--threads", options.threads, "--json"],
                             environment))
        own["log_likelihoods"] = [s["log_likelihood"] for row in own["rows"] for s in row["scores"]]
        results["hone"].append(own)
    difference = max(abs(a - b) for own, other in zip(results["hone"], results["peer"])
                     for a, b in zip(own["log_likelihoods"], other["log_likelihoods"], strict=True))
    if not difference <= settings["bound"]:
        raise SystemExit(f"{name}: log-likelihoods differ by {difference}: not the same work")
    seconds = {k: common.spread([r["seconds"] for r in v]) for k, v in results.items()}
    peak = max(r["peak_gflops"] for r in results["peer"])
    return {
        "name": name, "rounds": options.rounds, "rows": len(made), "threads": options.threads, "seconds": seconds,
        "rows_per_second": {k: len(made) / v["median"] for k, v in seconds.items()},
        "ratio": seconds["peer"]["median"] / seconds["hone"]["median"], "peak_gflops": peak,
        "share_of_peak": useful(made) / 1e9 / seconds["hone"]["median"] / peak,
        "largest_difference": difference, "machine": common.machine(), "versions": results["peer"][0]["versions"]}
