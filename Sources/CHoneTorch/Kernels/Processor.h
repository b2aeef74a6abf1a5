// Which vector instructions kernels are compiled for, and which of them this processor gets.
//
// A kernel is written once, over vectors of sixteen floats (`Vector.h`), as an always_inline lambda. `with_vectors` holds three copies
// of it: for AVX-512, for AVX2 with fused multiply-add, and for whatever the compiler takes for granted, which is SSE2 on x86-64. The
// last is the portable twin.
#pragma once
#include <type_traits>

#define HONE_INLINE inline __attribute__((always_inline))
// Behind the parameters of a lambda that is given to `with_vectors` and what is built on it.
#define HONE_BODY __attribute__((always_inline))
#if defined(__x86_64__)
#define HONE_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#define HONE_AVX2 __attribute__((target("avx2,fma")))
#else
#define HONE_AVX512
#define HONE_AVX2
#endif

namespace hone {

enum class Vectors { plain, avx2, avx512 };

template <Vectors level>
using Level = std::integral_constant<Vectors, level>;

// The widest that the processor has and that `ATEN_CPU_CAPABILITY` (default, avx2) leaves: libtorch's own kernels follow it too.
Vectors vectors();

// Whether products of pairs of bfloat16 by AVX-512's instruction come slower than products of floats. They do on Intel's processors,
// which are made to do them by matrix tiles: of a Xeon whose tiles its virtual machine hides, two cores do 150 GFLOP/s by pairs and 250
// in floats. On AMD's they come twice as fast.
bool pairs_are_slow();

// Vectors travel by reference, never by value: a function's calling convention would depend on its instructions.
template <typename Body>
HONE_AVX512 void with_avx512(const Body &body) {
    body(Level<Vectors::avx512>());
}
template <typename Body>
HONE_AVX2 void with_avx2(const Body &body) {
    body(Level<Vectors::avx2>());
}
// Runs `body(level)`, compiled for `level`, a `Level`.
template <typename Body>
void with_vectors(Vectors level, const Body &body) {
    switch (level) {
    case Vectors::avx512: return with_avx512(body);
    case Vectors::avx2: return with_avx2(body);
    case Vectors::plain: return body(Level<Vectors::plain>());
    }
}
template <typename Body>
void with_vectors(const Body &body) {
    with_vectors(vectors(), body);
}

}  // namespace hone
