"""What the benchmarks have in common: where things lie, the model, made-up text, the machine."""
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = ROOT / ".build/benchmarks"
# The shape of SmolLM2-135M.
WIDTH, INNER, LAYERS, KEYS, TOKENS, RANK = 576, 1536, 30, 192, 49152, 8


def run(command, environment):
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def model(options, environment):
    """The folder of a model with random weights, made when it is first needed."""
    folder = CACHE / "smollm2-135m"
    if not (folder / "tokenizer_config.json").exists():
        run([options.python, ROOT / "Benchmarks/peers/make_model.py", "smollm2-135m", folder], environment)
    return folder


def words(options, environment):
    """Words that are one token each."""
    script = "import sys, json; sys.path.insert(0, sys.argv[1]); import make_model; print(json.dumps(make_model.words()))"
    return json.loads(run([options.python, "-c", script, ROOT / "Benchmarks/peers"], environment))


def linear_work():
    """Multiplications and additions, two each, of the layers' linear maps for one token."""
    return 2 * LAYERS * (WIDTH * (2 * WIDTH + 2 * KEYS) + 3 * WIDTH * INNER)


def spread(values):
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def machine():
    name = platform.processor()
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            name = line.split(":", 1)[1].strip()
            break
    return {"processor": name, "cores": os.cpu_count()}
