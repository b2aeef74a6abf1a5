"""What the peers of several benchmarks have in common: the machine's matrix-multiply peak and what was used."""
import resource
import time

import torch
import transformers


def peak_gflops(dtype, size=1024):
    """The best of eight products, in GFLOP/s: through oneDNN's path for float32, the faster one on processors that MKL does not favour."""
    a = torch.randn(size, size).to(getattr(torch, dtype))
    seconds = []
    for _ in range(8):
        start = time.perf_counter()
        if a.dtype == torch.float32:
            torch.ops.mkldnn._linear_pointwise(a, a, None, "none", [], "")
        else:
            torch.nn.functional.linear(a, a)
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds) / 1e9


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def versions(**others):
    return {"torch": torch.__version__, "transformers": transformers.__version__, **others}
