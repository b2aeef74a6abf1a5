#include "Processor.h"

#include <ATen/Version.h>

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

}  // namespace

Vectors vectors() {
    static const Vectors best = best_vectors();
    return best;
}

}  // namespace hone
