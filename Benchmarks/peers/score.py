"""The peer of the scoring benchmark: lm-evaluation-harness's own log-likelihoods of choices after contexts.

Rows are {"context", "choices"}. The harness sorts requests, batches them, and computes continuations of one token from one pass
over their context, all as it does by itself. Prints one JSON object.
"""
import argparse
import json
import logging
import time

import lm_eval
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

import measures

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--data", required=True)
parser.add_argument("--dtype", choices=["float32", "bfloat16"], required=True)
parser.add_argument("--batch", type=int, required=True)
parser.add_argument("--threads", type=int, default=2)
options = parser.parse_args()

logging.disable(logging.WARNING)
torch.set_num_threads(options.threads)
model = HFLM(pretrained=options.model, dtype=options.dtype, batch_size=options.batch, device="cpu")
rows = [json.loads(line) for line in open(options.data)]
requests = [Instance(request_type="loglikelihood", doc={}, arguments=(row["context"], choice), idx=0)
            for row in rows for choice in row["choices"]]
start = time.perf_counter()
answers = [score for score, _ in model.loglikelihood(requests, disable_tqdm=True)]
seconds = time.perf_counter() - start

print(json.dumps({
    "log_likelihoods": answers, "seconds": seconds,
    "peak_mib": measures.peak_mib(),
    "peak_gflops": measures.peak_gflops(options.dtype),
    "versions": measures.versions(lm_eval=lm_eval.__version__)}))
