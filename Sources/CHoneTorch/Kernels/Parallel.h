// Work on libtorch's own OpenMP threads, compiled for the vectors that the processor has.
#pragma once
#include <ATen/Parallel.h>
#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <exception>

#include "Vector.h"

namespace hone {

// Runs `body(thread)` on `threads` threads of the pool that libtorch uses, or one after the other without libgomp. (The
// header's own loop needs a compiler flag that packages may not set.)
template <typename Body>
void on_threads(int threads, const Body &body) {
    using Run = void (*)(void (*)(void *), void *, unsigned, unsigned);
    using Number = int (*)();
    static const auto run = reinterpret_cast<Run>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
    static const auto number = reinterpret_cast<Number>(dlsym(RTLD_DEFAULT, "omp_get_thread_num"));
    if (threads <= 1 || !run || !number || at::in_parallel_region()) {
        for (int thread = 0; thread < threads; ++thread) body(thread);
        return;
    }
    struct Shared {
        const Body &body;
        Number number;
        std::atomic_flag failed = ATOMIC_FLAG_INIT;
        std::exception_ptr error = nullptr;
    } shared{body, number};
    run(
        [](void *pointer) {
            auto &shared = *static_cast<Shared *>(pointer);
            try {
                shared.body(shared.number());
            } catch (...) {
                if (!shared.failed.test_and_set()) shared.error = std::current_exception();
            }
        },
        &shared, static_cast<unsigned>(threads), 0);
    if (shared.error) std::rethrow_exception(shared.error);
}

// How many threads to give `count` tasks of `work` multiplications altogether: one that sleeps takes some ten microseconds to wake.
inline int threads_for(int64_t count, int64_t work) {
    constexpr int64_t each = 1 << 18;
    return static_cast<int>(std::min({static_cast<int64_t>(at::get_num_threads()), count, 1 + work / each}));
}

// Cuts `0 ..< count` into one range a thread. Ranges depend on the number of threads only, so that sums repeat.
// `body(begin, end)` must be a lambda with `HONE_BODY`.
template <typename Body>
void parallel(int64_t count, int64_t grain, const Body &body) {
    if (count <= 0) return;
    const int64_t most = (count + grain - 1) / grain;
    const int threads = static_cast<int>(std::min<int64_t>(at::get_num_threads(), most));
    if (threads <= 1) return with_vectors([&](auto) HONE_BODY { body(0, count); });
    const int64_t each = (count + threads - 1) / threads;
    on_threads(threads, [&](int thread) {
        const int64_t begin = thread * each, end = std::min(count, begin + each);
        if (begin < end) with_vectors([&](auto) HONE_BODY { body(begin, end); });
    });
}

// Gives tasks of unequal size, `work` multiplications altogether, to whoever is free; a task's result may not depend on who does it.
// `body(level, task)` must be a lambda with `HONE_BODY`.
template <typename Body>
void parallel_tasks(int64_t count, int64_t work, const Body &body) {
    std::atomic<int64_t> next{0};
    on_threads(threads_for(count, work), [&](int) {
        for (int64_t task; (task = next.fetch_add(1)) < count;) {
            with_vectors([&](auto level) HONE_BODY { body(level, task); });
        }
    });
}

}  // namespace hone
