// Shared by the C++ files of this target: the border that no exception passes, and handles.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>
#include <string>

#include "CHoneTorch.h"

namespace hone {

std::string &last_error();

// Runs `body`; an exception becomes a status and its words.
template <typename Body>
int guarded(Body &&body) noexcept {
    try {
        body();
        return 0;
    } catch (const c10::Error &error) {
        last_error() = error.what_without_backtrace();
    } catch (const std::exception &error) {
        last_error() = error.what();
    } catch (...) {
        last_error() = "an unknown C++ exception";
    }
    return 1;
}

inline c10::TensorImpl *implementation(hone_tensor tensor) { return reinterpret_cast<c10::TensorImpl *>(tensor); }

// A new reference to the tensor behind a handle.
inline at::Tensor borrow(hone_tensor tensor) {
    TORCH_CHECK(tensor != nullptr, "an absent tensor where one is needed");
    return at::Tensor(c10::intrusive_ptr<c10::TensorImpl>::reclaim_copy(implementation(tensor)));
}

// Hands the reference over to the caller.
inline hone_tensor hand_over(at::Tensor tensor) {
    return tensor.defined() ? reinterpret_cast<hone_tensor>(tensor.unsafeReleaseTensorImpl()) : nullptr;
}

}  // namespace hone
