#!/usr/bin/env python3
"""Compares Hone's tokenizers with the reference, line by line, and both their speeds on one thread.

    pip install tokenizers==0.23.3 sentencepiece protobuf
    make build
    python3 Scripts/parity/tokenizer_parity.py --hone .build/release/hone --out /tmp/parity --data DATA.jsonl ... [--time]

For each kind of Scripts/fixtures/tokenizer_fixtures.py a tokenizer is trained on a part of the data (all strings in JSONL
files, or folders of such); --tokenizer adds others. They are compared on --count lines: the data, then the data again in
other shapes, and between them every code point, alone and in random company, emoji, combining marks, right-to-left text,
control characters, surrogates without their half and bytes that are no UTF-8 (both as replacement characters, as JSON readers
and UTF-8 decoders make of them). Ids and decoded text on every line; offsets, and the ids where special tokens count as
text, on every fifth (--every). With --time, only the speeds are measured, on the first lines of the data.
"""
import argparse
import itertools
import json
import os
import random
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
from tokenizers import Tokenizer  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fixtures"))
import tokenizer_fixtures as fixtures  # noqa: E402

SIZES = {"t5": 16000, "unigram": 8000, "other": 4000}


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


def without_surrogates(text):
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def unicode_lines():
    scalars = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF and not 0x40000 <= c < 0xE0000 and c < 0xE0200]
    for start in range(0, len(scalars), 8):
        yield " ".join("a" + chr(c) + "B1" + chr(c) * 2 for c in scalars[start:start + 8])
    generator = random.Random(1)
    common = list(range(0x20, 0x7F)) * 3 + list(range(0xA0, 0x250)) + list(range(0x300, 0x370)) + list(range(0x1100, 0x1200)) + [0x0A, 0x0D, 0x09]
    emoji = [0x1F44D, 0x1F3FD, 0x1F469, 0x200D, 0x1F467, 0xFE0F, 0x2764, 0x1F1E9, 0x1F1EA, 0x20E3, 0x31, 0x1F3F4, 0xE0067, 0xE007F, 0xA9, 0xAE, 0x2122]
    marks = [c for c in scalars if 0x300 <= c < 0x370 or 0x591 <= c < 0x5C8 or 0x64B <= c < 0x660 or 0x900 <= c < 0xD80 or 0x1DC0 <= c < 0x1E00 or 0xAC00 <= c < 0xAC40 or 0x1100 <= c < 0x1200]
    right = list(range(0x5D0, 0x5EB)) + list(range(0x600, 0x700)) + [0x20, 0x200E, 0x200F, 0x202A, 0x202B, 0x202C, 0x202D, 0x202E, 0x2066, 0x2067, 0x2068, 0x2069, 0x61C] * 3
    control = list(range(0, 0x20)) + list(range(0x7F, 0xA1)) + [0xAD, 0x200B, 0x200C, 0x2028, 0x2029, 0xFEFF, 0xFFF9, 0xFFFD, 0xFFFE, 0xFFFF] + list(range(0x61, 0x7B))
    surrogates = list(range(0xD800, 0xE000, 37)) + list(range(0x61, 0x7B)) * 4
    for pool, longest in [(common, 40), (marks, 12), (emoji, 16), (right, 40), (control, 24), (surrogates, 24)]:
        for _ in range(20000):
            rest = scalars if pool is common else pool
            yield without_surrogates("".join(chr(generator.choice(pool) if generator.random() < 0.7 else generator.choice(rest)) for _ in range(generator.randint(1, longest))))
    for _ in range(20000):
        valid = "".join(chr(generator.choice(common)) for _ in range(generator.randint(1, 20))).encode()
        broken = bytes(b if generator.random() < 0.9 else generator.randrange(256) for b in valid)
        yield broken.decode("utf-8", "replace")
    special = ["<|end|>", "<mask>", "[MASK]", "<s>", "</s>", "<unk>", "<pad>", "<extra_id_3>", "<|im_start|>", "<think>", "newtoken", "    ", "[CLS]", "<0x0A>", "▁", "Ġ", "##ing"]
    for _ in range(20000):
        yield "".join(generator.choice(special) if generator.random() < 0.4 else generator.choice([" ", "  ", "a", "Word", ".", "\n", "é", "7"]) for _ in range(generator.randint(1, 14)))


def reshaped(lines, generator):
    """Lines again and again, each time otherwise: cases, blanks, decomposed, cut, joined, with a strange character."""
    while True:
        for line in lines:
            kind = generator.randrange(9)
            if kind == 0:
                yield line.upper()
            elif kind == 1:
                yield line.title()
            elif kind == 2:
                yield unicodedata.normalize("NFD", line)
            elif kind == 3:
                yield line.replace(" ", "  ")
            elif kind == 4:
                place = generator.randrange(len(line) + 1)
                yield line[:place] + chr(generator.choice([0x301, 0x200D, 0x1F600, 0x0, 0xA0, 0x5D0, 0x4E2D, 0xFF21, 0x2581, 0x0A])) + line[place:]
            elif kind == 5:
                yield line[generator.randrange(len(line) + 1):]
            elif kind == 6:
                yield line[:generator.randrange(len(line) + 1)]
            elif kind == 7:
                yield " " + line.replace(", ", ",") + " "
            else:
                words = line.split(" ")
                generator.shuffle(words)
                yield " ".join(words)


def prepare(options):
    """Writes the tokenizers and the lines that are not there yet."""
    options.out.mkdir(parents=True, exist_ok=True)
    texts = list(dict.fromkeys(without_surrogates(t) for t in data_lines(options.data)))
    # A tokenizer is trained on lines from everywhere, but on few enough that training takes seconds.
    sample = random.Random(7).sample(texts, min(len(texts), 40000)) + fixtures.corpus()
    sample = [t[:2000] for t in sample]
    files = []
    for name in options.kind:
        path = options.out / f"{name}.json"
        if not path.exists():
            print(f"training {name}", flush=True)
            fixtures.KINDS[name](sample, SIZES.get(name, 30000)).save(str(path), pretty=False)
        files.append((name, path))
    files += [(Path(p).resolve().parent.name, Path(p)) for p in options.tokenizer]
    lines = options.out / "lines.jsonl"
    timed = options.out / "timed.jsonl"
    if not lines.exists():
        odd = list(unicode_lines())
        rest = options.count - len(odd)
        usual = list(itertools.islice(itertools.chain(texts, reshaped(texts, random.Random(9))), rest))
        print(f"{len(texts)} lines of data, {max(0, rest - len(texts))} of them in another shape, {len(odd)} of Unicode", flush=True)
        with open(lines, "w", encoding="utf-8") as file:
            for text in usual + odd:
                file.write(json.dumps(text) + "\n")
        with open(timed, "w", encoding="utf-8") as file:
            for text in random.Random(3).sample(texts, min(len(texts), 20000)):
                file.write(json.dumps(text) + "\n")
    return files


def compare(options, name, path):
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    result = {"kind": name, "lines": 0, "ids": 0, "text": 0, "offsets": 0, "untrusted": 0, "forged": 0}
    shown = 0

    def differs(what, text, theirs, ours):
        nonlocal shown
        result[what] += 1
        shown += 1
        if shown <= options.show:
            print(f"  {name} {what}: {text[:200]!r}\n    reference {str(theirs)[:300]}\n    hone      {str(ours)[:300]}", flush=True)

    fifth = options.out / f"{name}.fifth.jsonl"
    command = [str(options.hone), "tokenize", str(path), "--json"]
    with open(options.out / "lines.jsonl", encoding="utf-8") as lines, open(fifth, "w", encoding="utf-8") as part, \
            subprocess.Popen([*command, "--strings", str(options.out / "lines.jsonl"), "--trusted", "--decode"], stdout=subprocess.PIPE) as hone:
        for number, (line, made) in enumerate(zip(lines, hone.stdout, strict=True)):
            text, made = json.loads(line), json.loads(made)
            ids = tokenizer.encode(text).ids
            if ids != made["ids"]:
                differs("ids", text, ids, made["ids"])
            elif (decoded := tokenizer.decode(ids)) != made["text"]:
                differs("text", text, decoded, made["text"])
            result["lines"] += 1
            if number % options.every == 0:
                part.write(line)
    assert hone.returncode == 0
    with open(fifth, encoding="utf-8") as lines, \
            subprocess.Popen([*command, "--strings", str(fifth), "--trusted", "--offsets"], stdout=subprocess.PIPE) as hone, \
            subprocess.Popen([*command, "--strings", str(fifth)], stdout=subprocess.PIPE) as careful:
        special = {i for i, t in tokenizer.get_added_tokens_decoder().items() if t.special}
        model = json.loads(tokenizer.to_str())["model"]
        name_of_unknown = model.get("unk_token") or tokenizer.id_to_token(model.get("unk_id") or 0)
        unknown = {tokenizer.token_to_id(name_of_unknown)}
        for line, made, plain in zip(lines, hone.stdout, careful.stdout, strict=True):
            text, made, plain = json.loads(line), json.loads(made), json.loads(plain)
            encoding = tokenizer.encode(text)
            offsets = [edge for pair in encoding.offsets for edge in pair]
            if offsets != made["offsets"]:
                differs("offsets", text, offsets, made["offsets"])
            tokenizer.encode_special_tokens = True
            encoding = tokenizer.encode(text)
            tokenizer.encode_special_tokens = False
            if encoding.ids != plain["ids"]:
                # Where the reference's model itself makes special tokens of text, Hone does not.
                around = sum(encoding.special_tokens_mask)
                if name_of_unknown in text or sum(i in special - unknown for i in encoding.ids) > around:
                    result["forged"] += 1
                else:
                    differs("untrusted", text, encoding.ids, plain["ids"])
    assert hone.returncode == 0 and careful.returncode == 0
    fifth.unlink()
    print("| {kind} | {lines} | {ids} | {text} | {offsets} | {untrusted} | {forged} |".format(**result), flush=True)


def measure(options, name, path):
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    with open(options.out / "timed.jsonl", encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    size = sum(len(line.encode()) for line in lines)
    best = {}
    for _ in range(5):
        for kind in ("one", "batch"):
            start = time.perf_counter()
            if kind == "one":
                for line in lines:
                    tokenizer.encode(line)
            else:
                tokenizer.encode_batch_fast(lines)
            best[kind] = min(best.get(kind, 1e9), time.perf_counter() - start)
    made = json.loads(subprocess.run(
        [str(options.hone), "tokenize", str(path), "--strings", str(options.out / "timed.jsonl"), "--trusted", "--time"], check=True, capture_output=True).stdout)
    speed = {**{kind: size / seconds / 1e6 for kind, seconds in best.items()}, "hone": size / made["seconds"] / 1e6}
    print(f"| {name} | {speed['one']:.2f} | {speed['batch']:.2f} | {speed['hone']:.2f} | {speed['hone'] / max(speed['one'], speed['batch']):.1f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hone", type=Path, required=True, help="the built command")
    parser.add_argument("--out", type=Path, required=True, help="a folder for tokenizers and lines, kept from call to call")
    parser.add_argument("--data", nargs="*", default=[])
    parser.add_argument("--kind", nargs="*", default=list(fixtures.KINDS))
    parser.add_argument("--tokenizer", action="append", default=[])
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--every", type=int, default=5, help="of how many lines one is compared in depth")
    parser.add_argument("--show", type=int, default=5, help="how many differences are shown")
    parser.add_argument("--time", action="store_true")
    options = parser.parse_args()
    files = prepare(options)
    if options.time:
        print("| kind | reference, one by one, MB/s | reference, batch, MB/s | Hone, MB/s | times |\n|---|---|---|---|---|")
    else:
        print("| kind | lines | ids differ | text differs | offsets differ | untrusted ids differ | special tokens that only the reference forges |\n|---|---|---|---|---|---|---|")
    for name, path in files:
        (measure if options.time else compare)(options, name, path)


main()
