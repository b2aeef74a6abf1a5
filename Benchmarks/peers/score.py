"""The peer of the scoring benchmark: lm-evaluation-harness's own log-likelihoods of choices after contexts.

Rows are {"context", "choices"}. The harness sorts requests, batches them, and computes continuations of one token from one pass
over their context, all as it does by itself. Prints one JSON object.
"""
import argparse
import json
import logging
import resource
import time

import lm_eval
import torch
import transformers
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

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

size, product = 1024, []
a = torch.randn(size, size).to(getattr(torch, options.dtype))
for _ in range(8):
    start = time.perf_counter()
    # For float32 oneDNN's path, which is the faster one on processors that MKL does not favour.
    if a.dtype == torch.float32:
        torch.ops.mkldnn._linear_pointwise(a, a, None, "none", [], "")
    else:
        torch.nn.functional.linear(a, a)
    product.append(time.perf_counter() - start)
print(json.dumps({
    "log_likelihoods": answers, "seconds": seconds,
    "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "peak_gflops": 2 * size**3 / min(product) / 1e9,
    "versions": {"torch": torch.__version__, "transformers": transformers.__version__,
                 "lm_eval": lm_eval.__version__}}))
