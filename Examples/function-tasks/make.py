#!/usr/bin/env python3
"""Makes a small world of functions on words, for methods that act on attention heads: a fresh model folder, text to train it on,
and tasks that the trained model can be asked to do.

    make.py PAIRS OUT

PAIRS is the folder `dataset_files` of the function-vectors repository (github.com/ericwtodd/function_vectors, MIT), or one that
has the pairs as JSON lines `{"input": ..., "output": ...}` in files such as `abstractive.english-french.jsonl`. OUT gets

    model/            config.json, tokenizer.json, tokenizer_config.json, model.safetensors: Llama's shape, seeded random weights
    text.jsonl        lines of `Q: x`, `A: y` pairs, all of one function: what the model is to be trained on
    tasks/NAME/       train.jsonl, validation.jsonl, test.jsonl: pairs of one function as `prompt` and `completion`
    unseen/NAME.jsonl pairs that no line of the text has in this function

A word that several functions take says nothing about which of them is wanted: without examples before it the model can only
guess, with some it can tell. Needs nothing but Python.
"""
import argparse
import array
import json
import pathlib
import random
import struct

CONCEPTS, LINES, SHOTS = 120, 60000, 10
WIDTH, INNER, LAYERS, HEADS, KEY_HEADS, POSITIONS = 128, 352, 4, 8, 4, 512
LANGUAGES = ["french", "german", "spanish"]


def pairs(folder, name):
    lines = folder / (name + ".jsonl")
    if lines.exists():
        rows = [json.loads(line) for line in open(lines, encoding="utf-8")]
    else:
        rows = json.loads((folder / (name.replace(".", "/", 1) + ".json")).read_text(encoding="utf-8"))
    return [(str(row["input"]), str(row["output"])) for row in rows]


def is_word(text):
    return text.isalpha() and text.islower() and 2 <= len(text) <= 12


def concepts(folder, generator):
    """Words that have one word of their own in each language."""
    tables = [dict(pairs(folder, "abstractive.english-" + language)) for language in LANGUAGES]
    seen, rows = set(), []
    shared = sorted(word for word in tables[0] if all(word in table for table in tables[1:]))
    generator.shuffle(shared)
    for word in shared:
        row = [word] + [table[word] for table in tables]
        if len(set(row)) == 4 and all(map(is_word, row)) and not seen & set(row):
            seen |= set(row)
            rows.append(row)
    return rows[:CONCEPTS]


class World:
    """The functions, each a table of inputs and outputs, or a rule for lists of three words."""

    def __init__(self, folder, seed):
        generator = random.Random(seed)
        rows = concepts(folder, generator)
        self.words = [row[0] for row in rows]
        self.tables, self.unseen = {}, {}
        names = ["english"] + LANGUAGES
        for source, target in [(0, 1), (0, 2), (0, 3), (1, 0), (2, 0), (3, 0), (1, 2), (2, 3)]:
            self.tables[f"{names[source]}-{names[target]}"] = {row[source]: row[target] for row in rows}
        self.tables["capitalize"] = {word: word.capitalize() for word in self.words}
        self.tables["first-letter"] = {word: word[0].upper() for word in self.words}
        self.tables["word-length"] = {word: str(len(word)) for word in self.words}
        # Between two foreign languages, some pairs are never shown: they can be had by way of what else is known of the words.
        for name in ["french-german", "german-spanish"]:
            hidden = generator.sample(sorted(self.tables[name]), CONCEPTS // 5)
            self.unseen[name] = {word: self.tables[name].pop(word) for word in hidden}
        fruit = [row for row in pairs(folder, "extractive.fruit_v_animal_3")
                 if all(is_word(word) for word in row[0].split(", "))]
        self.lists = {"fruit-of-3": dict(fruit[100:])}
        self.unseen["fruit-of-3"] = dict(fruit[:100])
        self.things = sorted({word for row in fruit for word in row[0].split(", ")})

    def names(self):
        return list(self.tables) + list(self.lists) + ["first-of-3", "last-of-3"]

    def draw(self, name, count, generator):
        """Some pairs of a function, none twice."""
        table = self.tables.get(name) or self.lists.get(name)
        if table:
            return generator.sample(sorted(table.items()), min(count, len(table)))
        made = {}
        while len(made) < count:
            items = generator.sample(self.things, 3)
            made[", ".join(items)] = items[0 if name == "first-of-3" else 2]
        return list(made.items())

    def vocabulary(self):
        whole = set(self.words) | set(self.things)
        for table in self.tables.values():
            whole |= set(table) | set(table.values())
        return [" " + word for word in sorted(whole)]


def prompt(x):
    return f"Q: {x}\nA:"


def line(chosen):
    text = "\n\n".join(f"{prompt(x)} {y}" for x, y in chosen)
    start = text.index("A:") + 2
    return {"prompt": text[:start], "completion": text[start:] + "\n\n"}


def byte_letters():
    """How byte-level vocabularies write bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in plain}
    for byte in range(256):
        letters.setdefault(byte, chr(256 + len(letters) - len(plain)))
    return letters


def write_tokenizer(folder, words):
    letters = byte_letters()
    tokens = ["<|end|>"] + [letters[byte] for byte in range(256)]
    known = set(tokens)
    for text in ["Q:", "\nA:", "\n\n"] + words:
        token = "".join(letters[byte] for byte in text.encode())
        if token not in known:
            known.add(token)
            tokens.append(token)
    pieces = {"type": "Split", "pattern": {"Regex": r"\n\n|\nA:|Q:| ?[^\s:,]+|[:,]|\s"}, "behavior": "Isolated", "invert": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    end = {"id": 0, "content": "<|end|>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
           "special": True}
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [end], "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [pieces, level]}, "post_processor": None, "decoder": level,
        # A word of the vocabulary is one token; everything else is spelled.
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": True,
                  "vocab": {token: index for index, token in enumerate(tokens)}, "merges": []},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>", "pad_token": "<|end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return len(tokens)


def write_model(folder, tokens, generator):
    config = {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": tokens, "hidden_size": WIDTH,
        "intermediate_size": INNER, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "num_key_value_heads": KEY_HEADS, "max_position_embeddings": POSITIONS, "hidden_act": "silu",
        "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "tie_word_embeddings": True, "eos_token_id": 0,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    head = WIDTH // HEADS
    shapes = [("model.embed_tokens.weight", [tokens, WIDTH], 0.05)]
    for layer in range(LAYERS):
        own = f"model.layers.{layer}."
        for name, outputs, inputs in [
            ("self_attn.q_proj", HEADS * head, WIDTH), ("self_attn.k_proj", KEY_HEADS * head, WIDTH),
            ("self_attn.v_proj", KEY_HEADS * head, WIDTH), ("self_attn.o_proj", WIDTH, HEADS * head),
            ("mlp.gate_proj", INNER, WIDTH), ("mlp.up_proj", INNER, WIDTH), ("mlp.down_proj", WIDTH, INNER),
        ]:
            last = name.endswith("o_proj") or name.endswith("down_proj")
            spread = inputs ** -0.5 * ((2 * LAYERS) ** -0.5 if last else 1)
            shapes.append((f"{own}{name}.weight", [outputs, inputs], spread))
        shapes += [(own + "input_layernorm.weight", [WIDTH], None),
                   (own + "post_attention_layernorm.weight", [WIDTH], None)]
    shapes.append(("model.norm.weight", [WIDTH], None))
    header, data, place = {"__metadata__": {"format": "pt"}}, [], 0
    for name, shape, spread in shapes:
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        numbers = array.array("f", (1.0 if spread is None else generator.gauss(0, spread) for _ in range(count)))
        data.append(numbers.tobytes())
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [place, place + 4 * count]}
        place += 4 * count
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.writelines(data)


def write_rows(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--lines", type=int, default=LINES)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    world = World(options.pairs, options.seed)
    for name in ["model", "tasks", "unseen"]:
        (options.out / name).mkdir(parents=True, exist_ok=True)
    tokens = write_tokenizer(options.out / "model", world.vocabulary())
    write_model(options.out / "model", tokens, random.Random(options.seed))
    generator = random.Random(options.seed + 1)
    names = world.names()
    write_rows(options.out / "text.jsonl", (
        line(world.draw(generator.choice(names), SHOTS + 1, generator)) for _ in range(options.lines)))

    def rows(some):
        return [{"prompt": prompt(x), "completion": f" {y}"} for x, y in some]

    for name in names:
        folder = options.out / "tasks" / name
        folder.mkdir(exist_ok=True)
        own = world.draw(name, CONCEPTS, generator)
        generator.shuffle(own)
        counts = {"train": own[:60], "validation": own[60:80], "test": own[80:]}
        for split, some in counts.items():
            write_rows(folder / (split + ".jsonl"), rows(some))
    for name, table in world.unseen.items():
        write_rows(options.out / "unseen" / (name + ".jsonl"), rows(table.items()))
    print(f"{tokens} tokens, {len(names)} functions, {len(world.words)} words, {options.lines} lines")


if __name__ == "__main__":
    main()
