#include "Processor.h"

#include <ATen/Version.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace hone {
namespace {

Vectors best_vectors() {
#if defined(__x86_64__)
    const std::string allowed = at::get_cpu_capability();
    if (allowed == "DEFAULT" || !__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return Vectors::plain;
    const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    return has_avx512 && allowed != "AVX2" ? Vectors::avx512 : Vectors::avx2;
#else
    return Vectors::plain;
#endif
}

bool are_pairs_slow() {
#if defined(__x86_64__)
    unsigned a, b, c, d;
    constexpr unsigned tiles = 1u << 22;
    return __builtin_cpu_is("intel") && __builtin_cpu_supports("avx512bf16") && __get_cpuid_count(7, 0, &a, &b, &c, &d) &&
           (d & tiles) == 0;
#else
    return false;
#endif
}

}  // namespace

Vectors vectors() {
    static const Vectors best = best_vectors();
    return best;
}

bool pairs_are_slow() {
    static const bool are = are_pairs_slow();
    return are;
}

}  // namespace hone
