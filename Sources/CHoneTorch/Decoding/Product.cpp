#include "Product.h"

#include "../Kernels/Parallel.h"

#include <cmath>

#if defined(__x86_64__)
#include <immintrin.h>
#define HONE_DOT __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")))
#define HONE_DOT_INLINE inline __attribute__((always_inline)) HONE_DOT
#endif

namespace hone::decoding {
namespace {

// The sums of sixteen vectors, that of the n-th in lane n; each formed in the same order.
HONE_INLINE void totals(const Floats *sums, Floats &result) {
    Floats fours[4];
    for (int i = 0; i < 4; ++i) {
        const Floats &a = sums[4 * i], &b = sums[4 * i + 1], &c = sums[4 * i + 2], &d = sums[4 * i + 3];
        const Floats ab = __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29) +
                          __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
        const Floats cd = __builtin_shufflevector(c, d, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29) +
                          __builtin_shufflevector(c, d, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
        fours[i] = __builtin_shufflevector(ab, cd, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) +
                   __builtin_shufflevector(ab, cd, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
    }
    Floats halves[2];
    for (int i = 0; i < 2; ++i) {
        const Floats &a = fours[2 * i], &b = fours[2 * i + 1];
        halves[i] = __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
                    __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
    }
    const Floats &a = halves[0], &b = halves[1];
    result = __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
             __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}

// A tile: `16 / rows` outputs for `rows` rows, sums in registers. Outputs and rows beyond the last repeat it.
template <typename Element>
struct Lines {
    const Element *weight, *input;
    int64_t inputs, stride, outputs, rows;
    const Element *output(int64_t index) const { return weight + std::min(index, outputs - 1) * inputs; }
    const Element *row(int64_t index) const { return input + std::min(index, rows - 1) * stride; }
};

// What the n-th sum of a tile is: sums of one row stand side by side.
template <int rows>
HONE_INLINE void give(const Floats &sums, int64_t output, int64_t end, int64_t row, int64_t row_end, int64_t begin,
                      float *out, int64_t stride) {
    constexpr int outputs = 16 / rows;
    float each[16];
    __builtin_memcpy(each, &sums, sizeof each);
    for (int r = 0; r < rows && row + r < row_end; ++r) {
        float *to = out + (row + r) * stride + output - begin;
        if (end - output >= outputs) {
            __builtin_memcpy(to, each + r * outputs, outputs * sizeof(float));
        } else {
            for (int64_t o = 0; o < end - output; ++o) to[o] = each[r * outputs + o];
        }
    }
}

HONE_INLINE void multiply(Floats &sum, const float *weight, const float *input) {
    Floats a, b;
    load(a, weight);
    load(b, input);
    sum += a * b;
}
// Even and odd elements apart: no element has to change its lane.
HONE_INLINE void multiply(Floats &sum, const c10::BFloat16 *weight, const c10::BFloat16 *input) {
    Words a, b;
    __builtin_memcpy(&a, weight, sizeof a);
    __builtin_memcpy(&b, input, sizeof b);
    const Words low_a = a << 16, low_b = b << 16, high_a = a & 0xffff0000u, high_b = b & 0xffff0000u;
    Floats x, y;
    __builtin_memcpy(&x, &high_a, sizeof x);
    __builtin_memcpy(&y, &high_b, sizeof y);
    sum += x * y;
    __builtin_memcpy(&x, &low_a, sizeof x);
    __builtin_memcpy(&y, &low_b, sizeof y);
    sum += x * y;
}

// So far ahead weights are asked for: the processor's own look-ahead ends with each line.
constexpr int64_t look_ahead = 4096;

// `together` outputs at a time: of one row more streams than four, and the processor no longer sees what is read next.
template <int rows, int together, typename Element>
HONE_INLINE void tile(const Lines<Element> &lines, int64_t output, int64_t row, Floats &result) {
    constexpr int outputs = 16 / rows;
    constexpr int64_t step = 64 / sizeof(Element);
    const Element *weights[outputs], *inputs[rows];
    for (int o = 0; o < outputs; ++o) weights[o] = lines.output(output + o);
    for (int r = 0; r < rows; ++r) inputs[r] = lines.row(row + r);
    Floats sums[16];
    for (int i = 0; i < 16; ++i) sums[i] = Floats{};
#pragma clang loop unroll(full)
    for (int some = 0; some < outputs; some += together) {
        const char *next = reinterpret_cast<const char *>(weights[some]) + look_ahead;
        int64_t k = 0;
        for (; k + step <= lines.inputs; k += step) {
            for (int o = some; o < some + together; ++o) {
                __builtin_prefetch(next + k * static_cast<int64_t>(sizeof(Element)) * together + (o - some) * 64);
                for (int r = 0; r < rows; ++r) multiply(sums[r * outputs + o], weights[o] + k, inputs[r] + k);
            }
        }
        if (k == lines.inputs) continue;
        for (int o = some; o < some + together; ++o) {
            alignas(64) Element rest[step] = {};
            __builtin_memcpy(rest, weights[o] + k, (lines.inputs - k) * sizeof(Element));
            for (int r = 0; r < rows; ++r) multiply(sums[r * outputs + o], rest, inputs[r] + k);
        }
    }
    totals(sums, result);
}

template <Vectors level, typename Element>
HONE_INLINE void vector_product(const Lines<Element> &lines, int64_t begin, int64_t end, float *out, int64_t stride) {
    // As many sums at a time as there are registers.
    constexpr int rows = level == Vectors::avx512 ? 4 : 2, together = level == Vectors::avx512 ? 4 : 2;
    constexpr int64_t outputs = 16 / rows;
    Floats sums;
    for (int64_t output = begin; output < end; output += output_unit) {
        if (lines.rows == 1) {
            tile<1, 4>(lines, output, 0, sums);
            give<1>(sums, output, end, 0, 1, begin, out, stride);
            continue;
        }
        for (int64_t part = output; part < std::min(end, output + output_unit); part += outputs) {
            for (int64_t row = 0; row < lines.rows; row += rows) {
                tile<rows, together>(lines, part, row, sums);
                give<rows>(sums, part, end, row, lines.rows, begin, out, stride);
            }
        }
    }
}

template <typename Element>
void vector_product(Vectors level, const Lines<Element> &lines, int64_t begin, int64_t end, float *out, int64_t stride) {
    with_vectors(level, [&](auto level) HONE_BODY { vector_product<level()>(lines, begin, end, out, stride); });
}

#if defined(__x86_64__)

// bfloat16 in halves of eight floats: of a whole vector the compiler takes all odd elements before all even ones, and runs out of
// registers.
template <int rows, int together>
inline __attribute__((always_inline)) HONE_AVX2 void half_tile(const Lines<c10::BFloat16> &lines, int64_t output,
                                                               int64_t row, Floats &result) {
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
                _mm_prefetch(next + k * 2 * together + o * 64, _MM_HINT_T0);
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

HONE_AVX2 void half_product(const Lines<c10::BFloat16> &lines, int64_t begin, int64_t end, float *out, int64_t stride) {
    Floats sums;
    for (int64_t output = begin; output < end; output += output_unit) {
        if (lines.rows == 1) {
            half_tile<1, 4>(lines, output, 0, sums);
            give<1>(sums, output, end, 0, 1, begin, out, stride);
            continue;
        }
        for (int64_t part = output; part < std::min(end, output + output_unit); part += 8) {
            for (int64_t row = 0; row < lines.rows; row += 2) {
                half_tile<2, 2>(lines, part, row, sums);
                give<2>(sums, part, end, row, lines.rows, begin, out, stride);
            }
        }
    }
}

bool has_dot_products() {
    static const bool has = vectors() == Vectors::avx512 && __builtin_cpu_supports("avx512bf16");
    return has;
}

template <int rows, bool looks_ahead>
HONE_DOT_INLINE void dot_tile(const Lines<c10::BFloat16> &lines, int64_t output, int64_t row, Floats &result) {
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

HONE_DOT void dot_product(const Lines<c10::BFloat16> &lines, int64_t begin, int64_t end, float *out, int64_t stride) {
    Floats sums;
    for (int64_t output = begin; output < end; output += output_unit) {
        if (lines.rows == 1) {
            dot_tile<1, true>(lines, output, 0, sums);
            give<1>(sums, output, end, 0, 1, begin, out, stride);
        } else if (lines.rows == 2) {
            for (int64_t part = output; part < std::min(end, output + output_unit); part += 8) {
                dot_tile<2, true>(lines, part, 0, sums);
                give<2>(sums, part, end, 0, 2, begin, out, stride);
            }
        } else {
            for (int64_t part = output; part < std::min(end, output + output_unit); part += 4) {
                dot_tile<4, true>(lines, part, 0, sums);
                give<4>(sums, part, end, 0, lines.rows, begin, out, stride);
                for (int64_t row = 4; row < lines.rows; row += 4) {
                    dot_tile<4, false>(lines, part, row, sums);
                    give<4>(sums, part, end, row, lines.rows, begin, out, stride);
                }
            }
        }
    }
}

#endif

// One row as int8 by blocks.
HONE_INLINE void quantise(const float *from, int64_t inputs, int8_t *bytes, float *scales, int32_t *corrections) {
    typedef int8_t Bytes __attribute__((vector_size(16), aligned(1)));
    for (int64_t first = 0; first < inputs; first += block) {
        Floats parts[4], most = {}, spoiled = {}, size;
        for (int i = 0; i < 4; ++i) {
            load_some(parts[i], from + std::min(inputs, first + i * lanes), std::max<int64_t>(0, inputs - first - i * lanes));
            Words bits;
            __builtin_memcpy(&bits, &parts[i], sizeof bits);
            bits &= 0x7fffffffu;
            __builtin_memcpy(&size, &bits, sizeof size);
            raise(most, size);
            spoiled += parts[i] * 0.0f;
        }
        const float top = largest(most), factor = top > 0 ? 127 / top : 0;
        Integers sum = {};
        for (int i = 0; i < 4; ++i) {
            // 1.5 · 2^23 rounds to the nearest whole number.
            const Integers numbers =
                __builtin_convertvector((parts[i] * factor + 12582912.0f) - 12582912.0f, Integers);
            const Bytes some = __builtin_convertvector(numbers, Bytes);
            __builtin_memcpy(bytes + first + i * lanes, &some, sizeof some);
            sum += numbers;
        }
        int32_t each[lanes], all = 0;
        __builtin_memcpy(each, &sum, sizeof each);
        for (int32_t one : each) all += one;
        // Numbers that are not finite make the scale so, and with it the result.
        scales[first / block] = top / 127 + total(spoiled);
        corrections[first / block] = -128 * all;
    }
}

int64_t whole(int64_t count, int64_t unit) { return (count + unit - 1) / unit * unit; }

}  // namespace

void Inputs::reserve(Form wanted, int64_t row_count, int64_t width) {
    form = wanted;
    rows = row_count;
    inputs = width;
    stride = whole(width, block);
    const auto grow = [](auto &memory, int64_t count) {
        if (static_cast<int64_t>(memory.size()) < count) memory.resize(count);
    };
    switch (form) {
    case Form::float32: grow(floats, rows * stride); break;
    case Form::bfloat16: grow(halves, rows * stride); break;
    case Form::int8:
        grow(bytes, rows * stride);
        grow(scales, rows * stride / block);
        grow(corrections, rows * stride / block);
    }
}

void Inputs::take(Form wanted, const float *from, int64_t distance, int64_t row_count, int64_t width) {
    reserve(wanted, row_count, width);
    for (int64_t row = 0; row < rows; ++row) take_row(row, from + row * distance);
}

void Inputs::take_row(int64_t row, const float *from) {
    const int64_t start = row * stride;
    switch (form) {
    case Form::float32:
        __builtin_memcpy(floats.data() + start, from, inputs * sizeof(float));
        std::fill(floats.begin() + start + inputs, floats.begin() + start + stride, 0.0f);
        break;
    case Form::bfloat16: {
        int64_t i = 0;
        Floats some;
        for (; i + lanes <= inputs; i += lanes) {
            load(some, from + i);
            store(some, halves.data() + start + i);
        }
        for (; i < inputs; ++i) halves[start + i] = from[i];
        for (; i < stride; ++i) halves[start + i] = 0.0f;
        break;
    }
    case Form::int8:
        with_vectors([&](auto) HONE_BODY {
            quantise(from, inputs, bytes.data() + start, scales.data() + start / block, corrections.data() + start / block);
        });
    }
}

void product(const Weight &weight, const Inputs &inputs, int64_t begin, int64_t end, float *out, int64_t stride,
             bool portable) {
    if (begin >= end) return;
    const Vectors level = portable ? Vectors::plain : vectors();
    switch (weight.form) {
    case Form::float32: {
        const Lines<float> lines{static_cast<const float *>(weight.data), inputs.floats.data(), weight.inputs,
                                 inputs.stride, weight.outputs, inputs.rows};
        return vector_product(level, lines, begin, end, out, stride);
    }
    case Form::bfloat16: {
        const Lines<c10::BFloat16> lines{static_cast<const c10::BFloat16 *>(weight.data), inputs.halves.data(),
                                         weight.inputs, inputs.stride, weight.outputs, inputs.rows};
#if defined(__x86_64__)
        if (has_dot_products() && !portable) return dot_product(lines, begin, end, out, stride);
        if (level == Vectors::avx2) return half_product(lines, begin, end, out, stride);
#endif
        return vector_product(level, lines, begin, end, out, stride);
    }
    case Form::int8: return int8_product(weight, inputs, begin, end, out, stride, portable);
    }
}

}  // namespace hone::decoding
