// The kernels that are registered with the dispatcher as `hone::...`, and what they share.
#pragma once
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <tuple>
#include <vector>

namespace hone {

// Calls `body` with a value of the tensor's element type.
template <typename Body>
void for_element(const at::Tensor &tensor, Body &&body) {
    switch (tensor.scalar_type()) {
    case at::kFloat: return body(float());
    case at::kBFloat16: return body(c10::BFloat16());
    default: TORCH_CHECK(false, "kernels take float32 and bfloat16, not ", tensor.scalar_type());
    }
}

// The elements of a tensor. (The member of the same meaning is named differently by the compilers that built libtorch.)
template <typename Element>
const Element *read(const at::Tensor &tensor) {
    TORCH_CHECK(tensor.scalar_type() == c10::CppTypeToScalarType<Element>::value, "a tensor of type ",
                tensor.scalar_type(), " where a kernel takes ", c10::CppTypeToScalarType<Element>::value);
    return static_cast<const Element *>(tensor.const_data_ptr());
}

// Gradients of these kernels are not themselves recorded; saying so is better than a wrong second derivative.
inline void refuse_second_derivative(const char *what) {
    TORCH_CHECK(!c10::GradMode::is_enabled(), "the ", what,
                " kernel has no second derivative; compute exactly (without fused kernels) for that");
}

// `x · weightᵀ + bias` through oneDNN, whose f32 products are the faster ones on processors that MKL does not favour.
at::Tensor product(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias = {});
// `sum + x · weightᵀ`; `sum` may be overwritten.
at::Tensor product_onto(at::Tensor sum, const at::Tensor &x, const at::Tensor &weight);

// Whether products of bfloat16 matrices are made in float32 here; see WideProducts.cpp.
bool products_are_wide();
// A tensor in the type that its products are made in. Who multiplies it several times widens it once.
inline at::Tensor widened(const at::Tensor &tensor) {
    const bool widens = tensor.defined() && tensor.scalar_type() == at::kBFloat16 && tensor.device().is_cpu();
    return widens && products_are_wide() ? tensor.to(at::kFloat) : tensor;
}

// Described where they are registered, in Registration.cpp.
at::Tensor segment_attention(const at::Tensor &queries, const at::Tensor &keys, const at::Tensor &values,
                             const at::Tensor &offsets, const std::optional<at::Tensor> &parents,
                             const std::optional<at::Tensor> &cosine, const std::optional<at::Tensor> &sine,
                             int64_t width, bool causal, double scale);
std::vector<at::Tensor> linear_group(const at::Tensor &input, at::TensorList weights,
                                     const c10::List<std::optional<at::Tensor>> &biases,
                                     const c10::List<std::optional<at::Tensor>> &downs,
                                     const c10::List<std::optional<at::Tensor>> &ups, at::ArrayRef<double> scales,
                                     at::IntArrayRef bounds);
std::tuple<at::Tensor, at::Tensor> norm(const at::Tensor &input, const std::optional<at::Tensor> &residual,
                                        const at::Tensor &weight, const std::optional<at::Tensor> &bias, bool centres,
                                        double epsilon);
at::Tensor gated(const at::Tensor &gate, const at::Tensor &up, int64_t activation);
at::Tensor target_loss(const at::Tensor &states, const at::Tensor &weight, const at::Tensor &targets,
                       int64_t chunk_rows);
at::Tensor few_rows_product(const at::Tensor &input, const at::Tensor &weight, bool quantises, bool portable);

}  // namespace hone
