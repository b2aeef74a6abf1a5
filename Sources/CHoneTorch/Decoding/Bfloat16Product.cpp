// Products with bfloat16 weights: pairs by the processor's own instruction, or in halves of eight floats with AVX2.
#include "ProductTiles.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define HONE_DOT __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")))
#endif

namespace hone::decoding {

#if defined(__x86_64__)
namespace {

// bfloat16 in halves of eight floats: of a whole vector the compiler takes all odd elements before all even ones, and runs out of
// registers.
template <int rows, int together, bool looks_ahead>
HONE_AVX2 void half_tile(const Lines<c10::BFloat16> &lines, int64_t output, int64_t row, float *result) {
    constexpr int outputs = 16 / rows;
    const __m256i odd = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
    const c10::BFloat16 *weights[outputs], *inputs[rows];
    for (int o = 0; o < outputs; ++o) weights[o] = lines.output(output + o);
    for (int r = 0; r < rows; ++r) inputs[r] = lines.row(row + r);
    alignas(64) __m256 sums[16][2];
#pragma clang loop unroll(full)
    for (int some = 0; some < outputs; some += together) {
        __m256 own[rows][together][2];
        for (int r = 0; r < rows; ++r) {
            for (int o = 0; o < together; ++o) own[r][o][0] = own[r][o][1] = _mm256_setzero_ps();
        }
        const auto add = [&](const c10::BFloat16 *const *from, int64_t k) HONE_AVX2 HONE_BODY {
            for (int half = 0; half < 2; ++half) {
                __m256 x[rows][2];
                for (int r = 0; r < rows; ++r) {
                    const __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(inputs[r] + k + 16 * half));
                    x[r][0] = _mm256_castsi256_ps(_mm256_and_si256(both, odd));
                    x[r][1] = _mm256_castsi256_ps(_mm256_slli_epi32(both, 16));
                }
                for (int o = 0; o < together; ++o) {
                    const __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from[o] + 16 * half));
                    const __m256 first = _mm256_castsi256_ps(_mm256_and_si256(both, odd));
                    const __m256 second = _mm256_castsi256_ps(_mm256_slli_epi32(both, 16));
                    for (int r = 0; r < rows; ++r) {
                        own[r][o][half] = _mm256_fmadd_ps(first, x[r][0], own[r][o][half]);
                        own[r][o][half] = _mm256_fmadd_ps(second, x[r][1], own[r][o][half]);
                    }
                }
            }
        };
        const char *next = reinterpret_cast<const char *>(weights[some]) + look_ahead;
        int64_t k = 0;
        const c10::BFloat16 *from[together];
        for (; k + 32 <= lines.inputs; k += 32) {
            for (int o = 0; o < together; ++o) {
                if (looks_ahead) _mm_prefetch(next + k * 2 * together + o * 64, _MM_HINT_T0);
                from[o] = weights[some + o] + k;
            }
            add(from, k);
        }
        if (k < lines.inputs) {
            alignas(64) c10::BFloat16 rest[together][32] = {};
            for (int o = 0; o < together; ++o) {
                __builtin_memcpy(rest[o], weights[some + o] + k, (lines.inputs - k) * sizeof(c10::BFloat16));
                from[o] = rest[o];
            }
            add(from, k);
        }
        for (int r = 0; r < rows; ++r) {
            for (int o = 0; o < together; ++o) {
                for (int half = 0; half < 2; ++half) sums[r * outputs + some + o][half] = own[r][o][half];
            }
        }
    }
    Floats all[16];
    __builtin_memcpy(all, sums, sizeof all);
    totals(all, result);
}

bool has_dot_products() {
    static const bool has = vectors() == Vectors::avx512 && __builtin_cpu_supports("avx512bf16") && !pairs_are_slow();
    return has;
}

template <int rows, bool looks_ahead>
HONE_DOT void dot_tile(const Lines<c10::BFloat16> &lines, int64_t output, int64_t row, float *result) {
    constexpr int outputs = 16 / rows;
    const c10::BFloat16 *weights[outputs], *inputs[rows];
    for (int o = 0; o < outputs; ++o) weights[o] = lines.output(output + o);
    for (int r = 0; r < rows; ++r) inputs[r] = lines.row(row + r);
    __m512 sums[16];
    for (int i = 0; i < 16; ++i) sums[i] = _mm512_setzero_ps();
#pragma clang loop unroll(full)
    for (int four = 0; four < outputs; four += 4) {
        const char *next = reinterpret_cast<const char *>(weights[four]) + look_ahead;
        int64_t k = 0;
        for (; k + 32 <= lines.inputs; k += 32) {
            __m512bh x[rows];
            for (int r = 0; r < rows; ++r) x[r] = (__m512bh)_mm512_loadu_si512(inputs[r] + k);
            for (int o = four; o < four + 4; ++o) {
                const __m512bh w = (__m512bh)_mm512_loadu_si512(weights[o] + k);
                if (looks_ahead) _mm_prefetch(next + k * 8 + (o - four) * 64, _MM_HINT_T0);
                for (int r = 0; r < rows; ++r) {
                    sums[r * outputs + o] = _mm512_dpbf16_ps(sums[r * outputs + o], w, x[r]);
                }
            }
        }
        if (k == lines.inputs) continue;
        const __mmask32 mask = (1u << (lines.inputs - k)) - 1;
        for (int o = four; o < four + 4; ++o) {
            const __m512bh w = (__m512bh)_mm512_maskz_loadu_epi16(mask, weights[o] + k);
            for (int r = 0; r < rows; ++r) {
                const __m512bh x = (__m512bh)_mm512_loadu_si512(inputs[r] + k);
                sums[r * outputs + o] = _mm512_dpbf16_ps(sums[r * outputs + o], w, x);
            }
        }
    }
    Floats all[16];
    __builtin_memcpy(all, sums, sizeof all);
    totals(all, result);
}

}  // namespace

bool bfloat16_product(const Lines<c10::BFloat16> &lines, int64_t begin, int64_t end, float *out, int64_t stride) {
    if (has_dot_products()) {
        if (lines.rows == 1) {
            for_tiles<1>(lines, begin, end, out, stride, [&](int64_t output, int64_t row, float *sums) {
                dot_tile<1, true>(lines, output, row, sums);
            });
        } else if (lines.rows == 2) {
            for_tiles<2>(lines, begin, end, out, stride, [&](int64_t output, int64_t row, float *sums) {
                dot_tile<2, true>(lines, output, row, sums);
            });
        } else {
            for_tiles<4>(lines, begin, end, out, stride, [&](int64_t output, int64_t row, float *sums) {
                if (row == 0) return dot_tile<4, true>(lines, output, row, sums);
                dot_tile<4, false>(lines, output, row, sums);
            });
        }
        return true;
    }
    if (vectors() != Vectors::avx2) return false;
    if (lines.rows == 1) {
        for_tiles<1>(lines, begin, end, out, stride, [&](int64_t output, int64_t row, float *sums) {
            half_tile<1, 4, true>(lines, output, row, sums);
        });
    } else {
        for_tiles<2>(lines, begin, end, out, stride, [&](int64_t output, int64_t row, float *sums) {
            if (row == 0) return half_tile<2, 2, true>(lines, output, row, sums);
            half_tile<2, 2, false>(lines, output, row, sums);
        });
    }
    return true;
}

#else

bool bfloat16_product(const Lines<c10::BFloat16> &, int64_t, int64_t, float *, int64_t) { return false; }

#endif

}  // namespace hone::decoding
