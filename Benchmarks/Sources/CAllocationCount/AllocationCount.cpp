#include <atomic>
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <cstdlib>
#include <malloc.h>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_DUMP_STATS_AT(name) static_cast<void>(name)
#endif

#include "include/CAllocationCount.h"

namespace {

std::atomic<int64_t> allocations{0}, bytes{0}, in_use{0}, peak{0}, base{0};

int64_t held(void *data) { return static_cast<int64_t>(malloc_usable_size(data)); }

void release(void *data) {
    if (data == nullptr) return;
    in_use -= held(data);
    std::free(data);
}

// Data that begin on a cache line, as libtorch's own allocator gives them.
struct CountingAllocator final : c10::Allocator {
    c10::DataPtr allocate(size_t size) override {
        void *data = nullptr;
        if (size > 0) {
            TORCH_CHECK(posix_memalign(&data, 64, size) == 0, "out of memory");
            ++allocations;
            bytes += static_cast<int64_t>(size);
            const int64_t now = in_use += held(data);
            int64_t before = peak.load();
            while (before < now && !peak.compare_exchange_weak(before, now)) {
            }
        }
        return {data, data, &release, c10::Device(c10::DeviceType::CPU)};
    }
    c10::DeleterFnPtr raw_deleter() const override { return &release; }
    void copy_data(void *destination, const void *source, size_t count) const override {
        default_copy_data(destination, source, count);
    }
};

}  // namespace

void hone_count_allocations(void) {
    static CountingAllocator counting;
    c10::SetCPUAllocator(&counting, 255);
}

void hone_reset_allocation_count(void) {
    allocations = 0;
    bytes = 0;
    base = in_use.load();
    peak = in_use.load();
}

hone_allocation_count hone_allocations(void) { return {allocations, bytes, peak - base}; }

void hone_begin_instructions(void) { CALLGRIND_ZERO_STATS; }

void hone_end_instructions(const char *name) { CALLGRIND_DUMP_STATS_AT(name); }
