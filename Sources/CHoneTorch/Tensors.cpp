// Handles of tensors: references, facts, memory, gradients.
#include <ATen/Functions.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/variable.h>

#include "Internal.h"

namespace hone {

std::string &last_error() {
    thread_local std::string words;
    return words;
}

static std::vector<at::Tensor> borrow_all(const hone_tensor *tensors, size_t count) {
    std::vector<at::Tensor> all;
    all.reserve(count);
    for (size_t i = 0; i < count; ++i) all.push_back(tensors && tensors[i] ? borrow(tensors[i]) : at::Tensor());
    return all;
}

}  // namespace hone

using hone::guarded;
using hone::implementation;

extern "C" {

const char *hone_error(void) { return hone::last_error().c_str(); }

void hone_retain(hone_tensor tensor) { c10::raw::intrusive_ptr::incref(implementation(tensor)); }
void hone_release(hone_tensor tensor) {
    if (tensor) c10::raw::intrusive_ptr::decref(implementation(tensor));
}

int64_t hone_rank(hone_tensor tensor) { return implementation(tensor)->dim(); }
int64_t hone_size(hone_tensor tensor, int64_t dimension) {
    auto sizes = implementation(tensor)->sizes();
    if (dimension < 0) dimension += static_cast<int64_t>(sizes.size());
    if (dimension < 0 || dimension >= static_cast<int64_t>(sizes.size())) return -1;
    return sizes[dimension];
}
int64_t hone_count(hone_tensor tensor) { return implementation(tensor)->numel(); }
int32_t hone_dtype(hone_tensor tensor) {
    return static_cast<int32_t>(c10::typeMetaToScalarType(implementation(tensor)->dtype()));
}
int32_t hone_device_kind(hone_tensor tensor) {
    auto device = implementation(tensor)->device();
    return device.is_cpu() ? 0 : device.is_cuda() ? 1 : -1;
}
int32_t hone_device_index(hone_tensor tensor) { return implementation(tensor)->device().index(); }
bool hone_is_contiguous(hone_tensor tensor) { return implementation(tensor)->is_contiguous(); }
bool hone_requires_gradient(hone_tensor tensor) { return implementation(tensor)->requires_grad(); }

void *hone_data(hone_tensor tensor) {
    auto *impl = implementation(tensor);
    if (!impl->device().is_cpu()) return nullptr;
    void *address = nullptr;
    guarded([&] { address = impl->mutable_data(); });
    return address;
}

int hone_set_requires_gradient(hone_tensor tensor, bool value) {
    return guarded([&] { hone::borrow(tensor).set_requires_grad(value); });
}
int hone_gradient(hone_tensor tensor, hone_tensor *gradient) {
    return guarded([&] { *gradient = hone::hand_over(hone::borrow(tensor).grad()); });
}
int hone_clear_gradient(hone_tensor tensor) {
    return guarded([&] { hone::borrow(tensor).mutable_grad().reset(); });
}

int hone_wrap(void *data, const int64_t *shape, int64_t rank, int32_t dtype, void (*release)(void *), void *context,
              hone_tensor *made) {
    return guarded([&] {
        *made = hone::hand_over(at::from_blob(
            data, at::IntArrayRef(shape, rank), [release, context](void *) { if (release) release(context); },
            at::TensorOptions().dtype(static_cast<at::ScalarType>(dtype))));
    });
}

int hone_backward(const hone_tensor *roots, const hone_tensor *gradients, size_t count, bool keep_graph) {
    return guarded([&] {
        torch::autograd::backward(hone::borrow_all(roots, count), hone::borrow_all(gradients, count), keep_graph);
    });
}

int hone_gradients(const hone_tensor *roots, const hone_tensor *root_gradients, size_t root_count,
                   const hone_tensor *inputs, size_t input_count, bool keep_graph, bool create_graph,
                   hone_tensor *gradients) {
    return guarded([&] {
        auto found = torch::autograd::grad(
            hone::borrow_all(roots, root_count), hone::borrow_all(inputs, input_count),
            hone::borrow_all(root_gradients, root_count), keep_graph, create_graph, true);
        for (size_t i = 0; i < input_count; ++i) gradients[i] = hone::hand_over(found[i]);
    });
}

bool hone_set_gradients_enabled(bool enabled) {
    bool before = c10::GradMode::is_enabled();
    c10::GradMode::set_enabled(enabled);
    return before;
}
bool hone_gradients_enabled(void) { return c10::GradMode::is_enabled(); }

}  // extern "C"
