// Puts the kernels into the dispatcher, so that they are called through the same door as every other operator.
#include <torch/library.h>

#include "Kernels.h"

TORCH_LIBRARY(hone, library) {
    // Softmax attention over tokens `[tokens, heads · width]` of segments that begin at `offsets` `[segments + 1]`. A segment
    // also sees those that it goes on from: its parent, and the parent's; -1 for none. Angles, where given, are
    // `[tokens, width]` and turn queries and keys in the two-halves layout.
    library.def(
        "segment_attention(Tensor queries, Tensor keys, Tensor values, Tensor offsets, Tensor? parents, Tensor? cosine, "
        "Tensor? sine, int width, bool causal, float scale) -> Tensor",
        hone::segment_attention);
    // `x · weightᵀ + bias + scale · x · downᵀ · upᵀ` for every map of the group; factors are float32. With bounds, the tokens
    // of each segment between them have factors and scales of their own, given segment after segment.
    library.def(
        "linear_group(Tensor input, Tensor[] weights, Tensor?[] biases, Tensor?[] downs, Tensor?[] ups, "
        "float[] scales, int[] bounds) -> Tensor[]",
        [](const at::Tensor &input, at::TensorList weights, const c10::List<std::optional<at::Tensor>> &biases,
           const c10::List<std::optional<at::Tensor>> &downs, const c10::List<std::optional<at::Tensor>> &ups,
           at::ArrayRef<double> scales, at::IntArrayRef bounds) {
            return hone::linear_group(input, weights, biases, downs, ups, scales, bounds);
        });
    // The norm of `input + residual`, and that sum.
    library.def(
        "norm(Tensor input, Tensor? residual, Tensor weight, Tensor? bias, bool centres, float epsilon) -> "
        "(Tensor, Tensor)",
        hone::norm);
    // `activation(gate) · up`; 0 is the sigmoid-weighted unit, 1 the tanh approximation of the Gaussian one.
    library.def("gated(Tensor gate, Tensor up, int activation) -> Tensor", hone::gated);
    // The summed cross-entropy of `states · weightᵀ` `[targets, tokens]` against target tokens.
    library.def("target_loss(Tensor states, Tensor weight, Tensor targets, int chunk_rows) -> Tensor",
                hone::target_loss);
    // `input · weightᵀ` in float32 as decoding forms it, the weight read as it is or as int8; see Decoding/Product.h.
    library.def("few_rows_product(Tensor input, Tensor weight, bool quantises, bool portable) -> Tensor",
                hone::few_rows_product);
}
