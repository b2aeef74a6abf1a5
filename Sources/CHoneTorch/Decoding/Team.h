// The threads of one step of decoding: one parallel region for all layers, with barriers between the parts of a layer. A region of
// its own for each part would cost more than the part, for threads of libgomp that wait passively sleep in between.
#pragma once
#include "../Kernels/Parallel.h"

#include <sched.h>

#include <optional>

namespace hone::decoding {

// Leaves the core to its other thread for a moment.
inline void breathe() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

class Team {
  public:
    explicit Team(int count) : count(count) {}
    int size() const { return count; }

    // Goes on when all threads have come here. The parts between barriers take microseconds, so waiting spins at first; on a machine
    // with more to do than processors it lets others run.
    void wait() {
        if (count <= 1) return;
        const uint32_t turn = turns.load(std::memory_order_relaxed);
        if (arrived.fetch_add(1, std::memory_order_acq_rel) == count - 1) {
            arrived.store(0, std::memory_order_relaxed);
            turns.store(turn + 1, std::memory_order_release);
            return;
        }
        for (int spins = 0; turns.load(std::memory_order_acquire) == turn; ++spins) {
            if (spins < 3000) {
                breathe();
            } else {
                sched_yield();
            }
        }
    }

  private:
    const int count;
    alignas(64) std::atomic<int> arrived{0};
    alignas(64) std::atomic<uint32_t> turns{0};
};

// Runs `body(team, thread)` on up to `threads` threads; alone where there is no pool of threads, or inside of a region.
template <typename Body>
void with_team(int threads, const Body &body) {
    using Number = int (*)();
    static const auto pool = dlsym(RTLD_DEFAULT, "GOMP_parallel");
    static const auto number = reinterpret_cast<Number>(dlsym(RTLD_DEFAULT, "omp_get_num_threads"));
    if (threads <= 1 || !pool || !number || at::in_parallel_region()) {
        Team team(1);
        body(team, 0);
        return;
    }
    // The pool may give fewer threads than it was asked for, and only inside does it tell.
    std::atomic<Team *> shared{nullptr};
    std::atomic<bool> taken{false};
    std::optional<Team> team;
    on_threads(threads, [&](int thread) {
        if (!taken.exchange(true)) {
            team.emplace(number());
            shared.store(&*team, std::memory_order_release);
        }
        Team *all;
        while (!(all = shared.load(std::memory_order_acquire))) breathe();
        body(*all, thread);
    });
}

// The part of `0 ..< count` that a thread does, in whole units.
struct Share {
    int64_t begin, end;
    Share(int64_t count, int64_t unit, const Team &team, int thread) {
        const int64_t units = (count + unit - 1) / unit;
        begin = std::min(count, units * thread / team.size() * unit);
        end = std::min(count, units * (thread + 1) / team.size() * unit);
    }
};

}  // namespace hone::decoding
