// Products of bfloat16 matrices on processors that have no instructions for them, or slow ones. Without them libtorch's own path is
// a plain loop, many times slower than a product in float32; these widen the factors, multiply through oneDNN and round the result
// once, which is what the instructions do too. They take libtorch's places in the dispatcher, so that every linear map, fused or not,
// is served.
#include <ATen/CPUFunctions.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include "Kernels.h"
#include "Processor.h"

namespace hone {
namespace {

bool multiplies_bfloat16() {
    const auto found = c10::Dispatcher::singleton().findSchema({"mkldnn::_is_mkldnn_bf16_supported", ""});
    return !found || found->typed<bool()>().call();
}

// Whether the product is one for here; all others, and those that libtorch refuses, are left to it.
bool is_ours(const at::Tensor &a, const at::Tensor &b, int64_t dimensions) {
    return a.scalar_type() == at::kBFloat16 && b.scalar_type() == at::kBFloat16 && a.dim() == dimensions &&
           b.dim() == dimensions && a.size(-1) == b.size(-2);
}
at::Tensor wide(const at::Tensor &tensor) { return tensor.to(at::kFloat); }

// `beta · sum + alpha · made`, rounded once. What is multiplied with zero does not count, be it infinite.
at::Tensor onto(const at::Tensor &sum, at::Tensor made, const at::Scalar &beta, const at::Scalar &alpha) {
    if (alpha.toDouble() != 1) made.mul_(alpha);
    if (beta.toDouble() != 0) made.add_(wide(sum), beta);
    return made.to(at::kBFloat16);
}

at::Tensor wide_mm(const at::Tensor &a, const at::Tensor &b) { return product(wide(a), wide(b.t())); }

at::Tensor mm(const at::Tensor &a, const at::Tensor &b) {
    if (!is_ours(a, b, 2)) return at::cpu::mm(a, b);
    return wide_mm(a, b).to(at::kBFloat16);
}

at::Tensor addmm(const at::Tensor &sum, const at::Tensor &a, const at::Tensor &b, const at::Scalar &beta,
                 const at::Scalar &alpha) {
    if (!is_ours(a, b, 2)) return at::cpu::addmm(sum, a, b, beta, alpha);
    return onto(sum, wide_mm(a, b), beta, alpha);
}

at::Tensor &addmm_(at::Tensor &sum, const at::Tensor &a, const at::Tensor &b, const at::Scalar &beta,
                   const at::Scalar &alpha) {
    if (!is_ours(a, b, 2)) return at::cpu::addmm_(sum, a, b, beta, alpha);
    return sum.copy_(hone::addmm(sum, a, b, beta, alpha));
}

at::Tensor bmm(const at::Tensor &a, const at::Tensor &b) {
    if (!is_ours(a, b, 3)) return at::cpu::bmm(a, b);
    return at::cpu::bmm(wide(a), wide(b)).to(at::kBFloat16);
}

at::Tensor baddbmm(const at::Tensor &sum, const at::Tensor &a, const at::Tensor &b, const at::Scalar &beta,
                   const at::Scalar &alpha) {
    if (!is_ours(a, b, 3)) return at::cpu::baddbmm(sum, a, b, beta, alpha);
    return onto(sum, at::cpu::bmm(wide(a), wide(b)), beta, alpha);
}

at::Tensor &baddbmm_(at::Tensor &sum, const at::Tensor &a, const at::Tensor &b, const at::Scalar &beta,
                     const at::Scalar &alpha) {
    if (!is_ours(a, b, 3)) return at::cpu::baddbmm_(sum, a, b, beta, alpha);
    return sum.copy_(hone::baddbmm(sum, a, b, beta, alpha));
}

// libtorch warns of every replaced kernel; this one is meant.
struct Silent : c10::WarningHandler {
    void process(const c10::Warning &) override {}
};

}  // namespace

bool products_are_wide() {
    static const bool are = pairs_are_slow() || !multiplies_bfloat16();
    return are;
}

TORCH_LIBRARY_IMPL(aten, CPU, library) {
    if (!products_are_wide()) return;
    Silent silent;
    const c10::WarningUtils::WarningHandlerGuard guard(&silent);
    library.impl("mm", mm);
    library.impl("addmm", addmm);
    library.impl("addmm_", addmm_);
    library.impl("bmm", bmm);
    library.impl("baddbmm", baddbmm);
    library.impl("baddbmm_", baddbmm_);
}

}  // namespace hone
