"""Several learning rates at once against as many peer runs; and counts that need no peer: allocations and instructions."""
import json
import os
import pathlib
import random
import tempfile

import common
from common import CACHE, ROOT, run

PACKAGE = ROOT / "Benchmarks"
PROGRAM = PACKAGE / ".build/release/HoneBenchmarks"


def program(environment):
    """What benchmarks need beyond the command, built when it is first needed and when it has changed."""
    own = dict(environment, PKG_CONFIG_PATH=str(ROOT / ".setup/pkgconfig"))
    run(["swift", "build", "--package-path", PACKAGE, "-c", "release"], own)
    run(["python3", ROOT / "Scripts/set-up", PROGRAM.parent], own)
    return PROGRAM


def rates(name, settings, options, environment):
    model = common.model(options, environment)
    words = common.words(options, environment)
    generator = random.Random(3)
    text = lambda n: "".join(" " + generator.choice(words) for _ in range(n))
    data = CACHE / "short.jsonl"
    data.write_text("".join(json.dumps({"prompt": text(24), "completion": text(8)}) + "\n" for _ in range(64)))
    peer = [options.python, ROOT / "Benchmarks/peers/lora.py", "--model", model, "--data", data, "--dtype",
            settings["dtype"], "--steps", options.steps, "--batch", settings["batch"], "--threads", options.threads]
    start = CACHE / f"start-{settings['dtype']}"
    if not (start / "adapter_config.json").exists():
        run([*peer, "--save-init", start], environment)
    own = [program(environment), "rates", "--model", model, "--data", data, "--init-adapter", start, "--rates",
           ",".join(map(str, settings["rates"])), "--steps", options.steps, "--batch", settings["batch"], "--threads",
           options.threads, "--dtype", {"float32": "f32", "bfloat16": "bf16"}[settings["dtype"]]]
    results = {"hone": [], "apart": [], "peer": []}
    for _ in range(options.rounds):
        runs = [json.loads(run([*peer, "--learning-rate", rate], environment).splitlines()[-1])
                for rate in settings["rates"]]
        results["peer"].append({
            "losses": [r["losses"] for r in runs], "seconds": sum(sum(r["seconds"]) for r in runs),
            "peak_mib": max(r["peak_mib"] for r in runs), "versions": runs[0]["versions"]})
        results["hone"].append(json.loads(run(own, environment).splitlines()[-1]))
        results["apart"].append(json.loads(run([*own, "--apart"], environment).splitlines()[-1]))
    difference = max(
        abs(a - b) / abs(b) for ours, theirs in zip(results["hone"], results["peer"])
        for one, other in zip(ours["losses"], theirs["losses"], strict=True) for a, b in zip(one, other, strict=True))
    if not difference <= settings["bound"]:
        raise SystemExit(f"{name}: losses differ by {difference}: not the same work")
    seconds = {k: common.spread([r["seconds"] for r in v]) for k, v in results.items()}
    return {
        "name": name, "rounds": options.rounds, "steps": options.steps, "rates": len(settings["rates"]),
        "threads": options.threads, "seconds": seconds,
        "ratio": seconds["peer"]["median"] / seconds["hone"]["median"],
        "ratio_apart": seconds["peer"]["median"] / seconds["apart"]["median"],
        "peak_mib": {k: common.spread([r["peak_mib"] for r in v]) for k, v in results.items()},
        "largest_loss_difference": difference, "machine": common.machine(),
        "versions": results["peer"][0]["versions"]}


def allocations(name, settings, options, environment):
    """No peer: counts of tensor allocations against those that are checked in."""
    found = run([program(environment), "allocations", "--thresholds", PACKAGE / "allocations.json"], environment)
    return {"name": name, "counts": json.loads(found.splitlines()[-1])}


def instructions(name, settings, options, environment):
    """No peer: instructions of the same works, counted by valgrind, which shows every machine's programs the same processor.
    HONE_WRITE_LIMITS=1 writes what is found, with a tenth on top, as the new limits."""
    whole = program(environment)
    limits = PACKAGE / "instructions.json"
    # valgrind reads no debugging information of this size.
    bare = whole.with_name("HoneBenchmarks-bare")
    run(["strip", "-o", bare, whole], environment)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", bare, "allocations", "--thresholds",
             PACKAGE / "allocations.json"], dict(environment, OMP_NUM_THREADS="1"))
        for file in pathlib.Path(folder).iterdir():
            lines = file.read_text().splitlines()
            work = [line.split("Client Request: ")[1] for line in lines if "Client Request: " in line]
            counts = [int(line.split()[1]) for line in lines if line.startswith(("totals:", "summary:"))]
            if work and counts:
                found[work[0]] = counts[-1]
    if os.environ.get("HONE_WRITE_LIMITS"):
        limits.write_text(json.dumps({k: int(v * 1.1) for k, v in sorted(found.items())}, indent=2) + "\n")
    known = json.loads(limits.read_text())
    above = {k: v for k, v in found.items() if v > known.get(k, 0)}
    if above or set(found) != set(known):
        raise SystemExit(f"{name}: {above or set(found) ^ set(known)} against the limits {known}")
    return {"name": name, "counts": found}


RATES = [1e-3, 3e-4, 3e-3, 1e-4, 5e-4, 2e-3, 5e-3, 2e-4]
BENCHMARKS = {
    "search-rates": dict(work=rates, dtype="bfloat16", batch=2, rates=RATES, bound=5e-3),
    "allocations": dict(work=allocations),
    "instructions": dict(work=instructions),
}
