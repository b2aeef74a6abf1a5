#!/usr/bin/env python3
"""Writes what the reference tokenizers make of many lines, for Hone to compare with.

    pip install tokenizers==0.23.3
    python3 Scripts/parity/tokenizer_parity.py --out /tmp/parity --tokenizer MODEL/tokenizer.json --data DATA.jsonl ...
    HONE_PARITY_LINES=/tmp/parity swift test --filter HoneTextTests

Each --tokenizer (repeatable) gives one file in --out. Lines are all strings in the JSONL files of --data (files, or folders
of such), and, with --unicode, every code point: alone between letters, and in random company.
With --time, it measures the reference on the same lines, on one thread, and does not write.
"""
import argparse
import json
import os
import random
import time
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer  # noqa: E402


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)


def data_lines(paths):
    for path in map(Path, paths):
        for file in sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]:
            with open(file, encoding="utf-8") as lines:
                for line in lines:
                    if line.strip():
                        yield from strings(json.loads(line))


def unicode_lines():
    scalars = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF and not 0x40000 <= c < 0xE0000 and c < 0xE0200]
    for start in range(0, len(scalars), 8):
        yield " ".join("a" + chr(c) + "B1" + chr(c) * 2 for c in scalars[start:start + 8])
    generator = random.Random(1)
    common = list(range(0x20, 0x7F)) * 3 + list(range(0xA0, 0x250)) + list(range(0x300, 0x370)) + list(range(0x1100, 0x1200)) + [0x0A, 0x0D, 0x09]
    for _ in range(20000):
        yield "".join(chr(generator.choice(common) if generator.random() < 0.7 else generator.choice(scalars)) for _ in range(generator.randint(1, 40)))
    marks = [c for c in scalars if 0x300 <= c < 0x370 or 0x591 <= c < 0x5C8 or 0x64B <= c < 0x660 or 0x900 <= c < 0xD80 or 0x1DC0 <= c < 0x1E00 or 0xAC00 <= c < 0xAC40 or 0x1100 <= c < 0x1200]
    for _ in range(20000):
        yield "".join(chr(generator.choice(marks)) for _ in range(generator.randint(1, 12)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--tokenizer", action="append", required=True)
    parser.add_argument("--data", nargs="*", default=[])
    parser.add_argument("--unicode", action="store_true")
    parser.add_argument("--time", action="store_true")
    options = parser.parse_args()
    lines = list(data_lines(options.data)) + (list(unicode_lines()) if options.unicode else [])
    size = sum(len(line.encode()) for line in lines)
    for number, path in enumerate(options.tokenizer):
        path = Path(path).resolve()
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        if options.time:
            best = {}
            for _ in range(5):
                for name, encode in (("encode", tokenizer.encode), ("batch", None)):
                    start = time.perf_counter()
                    if encode:
                        for line in lines:
                            encode(line)
                    else:
                        tokenizer.encode_batch_fast(lines)
                    best[name] = min(best.get(name, 1e9), time.perf_counter() - start)
            print(f"{path}: {len(lines)} lines, {size} bytes: " + ", ".join(f"{n} {s:.3f} s = {size / s / 1e6:.2f} MB/s" for n, s in best.items()))
            continue
        options.out.mkdir(parents=True, exist_ok=True)
        with open(options.out / f"{number:02d}-{path.parent.name}-{path.stem}.jsonl", "w", encoding="utf-8") as file:
            file.write(json.dumps({"tokenizer": str(path)}) + "\n")
            for line in lines:
                ids = tokenizer.encode(line).ids
                file.write(json.dumps({"line": line, "ids": ids, "text": tokenizer.decode(ids)}, separators=(",", ":")) + "\n")
        print(f"{path}: {len(lines)} lines, {size} bytes")


main()
