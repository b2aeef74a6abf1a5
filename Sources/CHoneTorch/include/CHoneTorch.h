// The C door to libtorch: any ATen operator by name through the dispatcher, autograd, generators, threads.
//
// Every function that can fail returns 0 for success; otherwise `hone_error()` has libtorch's own words, valid on the
// calling thread until its next call here. No C++ exception passes this border. A `hone_tensor` is one owned
// reference; who receives one releases it.
#ifndef C_HONE_TORCH_H
#define C_HONE_TORCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hone_tensor_s *hone_tensor;
typedef const struct hone_operator_s *hone_operator;

typedef enum {
    HONE_NONE = 0,
    HONE_TENSOR,
    HONE_INTEGER,
    HONE_REAL,
    HONE_BOOLEAN,
    HONE_INTEGERS,
    HONE_REALS,
    HONE_TENSORS,  // a null element is an absent tensor, as in advanced indexing
    HONE_STRING,   // also a device ("cpu", "cuda:0") where the operator asks for one
    HONE_SEED,     // a fresh generator seeded with `integer`, where the operator asks for one
} hone_tag;

// One argument or result. Pointers in arguments are borrowed for the length of the call.
typedef struct {
    hone_tag tag;
    int64_t count;
    union {
        hone_tensor tensor;
        int64_t integer;
        double real;
        const int64_t *integers;
        const double *reals;
        const hone_tensor *tensors;
        const char *string;
    };
} hone_value;

// The words of the last failure on this thread.
const char *hone_error(void);

// Finds an operator, e.g. ("aten::add", "Tensor"); it lives as long as the process.
int hone_find(const char *name, const char *overload, hone_operator *found);
// Calls it with positional arguments; missing trailing ones take the schema's defaults. Results are flattened (a list of
// tensors gives its elements). At most `capacity` are stored; more than that is a failure.
int hone_call(hone_operator op, const hone_value *arguments, size_t count, hone_value *results, size_t capacity,
              size_t *produced);

void hone_retain(hone_tensor tensor);
void hone_release(hone_tensor tensor);
int64_t hone_rank(hone_tensor tensor);
int64_t hone_size(hone_tensor tensor, int64_t dimension);
int64_t hone_count(hone_tensor tensor);
int32_t hone_dtype(hone_tensor tensor);        // c10::ScalarType
int32_t hone_device_kind(hone_tensor tensor);  // 0 CPU, 1 CUDA, -1 other
int32_t hone_device_index(hone_tensor tensor);
bool hone_is_contiguous(hone_tensor tensor);
bool hone_requires_gradient(hone_tensor tensor);
// The address of the first element on the CPU; null elsewhere.
void *hone_data(hone_tensor tensor);
int hone_set_requires_gradient(hone_tensor tensor, bool value);
// The accumulated gradient of a leaf, or null.
int hone_gradient(hone_tensor tensor, hone_tensor *gradient);
int hone_clear_gradient(hone_tensor tensor);

// A tensor over memory that somebody else owns; `release(context)` is called when libtorch lets it go.
int hone_wrap(void *data, const int64_t *shape, int64_t rank, int32_t dtype, void (*release)(void *), void *context,
              hone_tensor *made);

// Accumulates d(roots)/d(leaf) into the leaves. `gradients` may be null (ones), also element by element.
int hone_backward(const hone_tensor *roots, const hone_tensor *gradients, size_t count, bool keep_graph);
// Gradients of the roots for the inputs, without touching `.grad`; an unused input gives null.
int hone_gradients(const hone_tensor *roots, const hone_tensor *root_gradients, size_t root_count,
                   const hone_tensor *inputs, size_t input_count, bool keep_graph, bool create_graph,
                   hone_tensor *gradients);

// Both return the state before, on this thread.
bool hone_set_gradients_enabled(bool enabled);
bool hone_gradients_enabled(void);

int hone_set_threads(int32_t count);
int32_t hone_threads(void);
// The processors that this process may run on.
int32_t hone_processors(void);
// The largest resident memory since the start, or since the last reset.
int64_t hone_peak_resident_bytes(void);
// Gives freed memory back to the kernel and starts the peak anew.
void hone_reset_peak_resident(void);
// Raises glibc's thresholds, so that large temporaries are not given back to the kernel at every step.
void hone_keep_freed_memory(void);
// Loads libtorch_cuda beside libtorch_cpu if it is there; true if a CUDA device answers.
bool hone_load_cuda(void);
int32_t hone_cuda_devices(void);
int hone_cuda_synchronize(void);
// The version and processor features of libtorch ("2.11.0", "AVX2"), static strings.
const char *hone_version(void);
const char *hone_cpu_capability(void);

#ifdef __cplusplus
}
#endif
#include "CHoneDecoding.h"

#endif
