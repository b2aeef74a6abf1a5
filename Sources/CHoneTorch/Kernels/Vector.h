// Vectors of sixteen floats for kernels that are written once: the compiler makes AVX-512 of them inside `wide` code and
// whatever the machine has elsewhere, so that the same source is also the portable twin.
#pragma once
#include <c10/util/BFloat16.h>

#include <cstdint>
#include <cstring>

// Vectors are passed between functions that are always inlined, so no calling convention is at stake.
#pragma clang diagnostic ignored "-Wpsabi"

#define HONE_INLINE inline __attribute__((always_inline))
#if defined(__x86_64__)
#define HONE_WIDE __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#else
#define HONE_WIDE
#endif

namespace hone {

constexpr int64_t lanes = 16;
typedef float Floats __attribute__((vector_size(64), aligned(4)));
typedef int32_t Integers __attribute__((vector_size(64), aligned(4)));
typedef uint32_t Words __attribute__((vector_size(64), aligned(4)));
typedef uint16_t Halves __attribute__((vector_size(32), aligned(2)));

HONE_INLINE void load(Floats &value, const float *from) { __builtin_memcpy(&value, from, sizeof value); }
HONE_INLINE void load(Floats &value, const c10::BFloat16 *from) {
    Halves halves;
    __builtin_memcpy(&halves, from, sizeof halves);
    Words words = __builtin_convertvector(halves, Words) << 16;
    __builtin_memcpy(&value, &words, sizeof value);
}
HONE_INLINE void store(const Floats &value, float *to) { __builtin_memcpy(to, &value, sizeof value); }
// To the nearest, ties to even.
HONE_INLINE void store(const Floats &value, c10::BFloat16 *to) {
    Words words;
    __builtin_memcpy(&words, &value, sizeof words);
    words = (words + 0x7fff + ((words >> 16) & 1)) >> 16;
    Halves halves = __builtin_convertvector(words, Halves);
    __builtin_memcpy(to, &halves, sizeof halves);
}

// The first `count` elements; the others are zero.
template <typename Element>
HONE_INLINE void load_some(Floats &value, const Element *from, int64_t count) {
    if (count >= lanes) return load(value, from);
    alignas(64) Element some[lanes] = {};
    for (int64_t i = 0; i < count; ++i) some[i] = from[i];
    load(value, some);
}
template <typename Element>
HONE_INLINE void store_some(const Floats &value, Element *to, int64_t count) {
    if (count >= lanes) return store(value, to);
    alignas(64) Element some[lanes];
    store(value, some);
    for (int64_t i = 0; i < count; ++i) to[i] = some[i];
}

// The sum of the lanes, always in the same order.
HONE_INLINE float total(const Floats &value) {
    float part[lanes];
    __builtin_memcpy(part, &value, sizeof part);
    for (int64_t step = 8; step > 0; step /= 2) {
        for (int64_t i = 0; i < step; ++i) part[i] += part[i + step];
    }
    return part[0];
}
HONE_INLINE float largest(const Floats &value) {
    float part[lanes];
    __builtin_memcpy(part, &value, sizeof part);
    for (int64_t step = 8; step > 0; step /= 2) {
        for (int64_t i = 0; i < step; ++i) part[i] = part[i] > part[i + step] ? part[i] : part[i + step];
    }
    return part[0];
}

HONE_INLINE Floats select(const Integers &where, const Floats &yes, const Floats &no) {
    Integers a, b;
    __builtin_memcpy(&a, &yes, sizeof a);
    __builtin_memcpy(&b, &no, sizeof b);
    Integers picked = (where & a) | (~where & b);
    Floats value;
    __builtin_memcpy(&value, &picked, sizeof value);
    return value;
}

// exp, within two units in the last place; zero below -87.3, and the largest finite power of two's range above 88.
HONE_INLINE Floats exponential(Floats x) {
    Floats low = {}, high = {};
    low += -87.3f;
    high += 88.0f;
    const Integers tiny = x < low;
    x = select(tiny, low, x);
    x = select(x > high, high, x);
    // 1.5 · 2^23 rounds to the nearest whole number.
    const float rounder = 12582912.0f;
    Floats whole = (x * 1.44269504088896341f + rounder) - rounder;
    Floats rest = x - whole * 0.693359375f;
    rest = rest + whole * 2.12194440e-4f;
    Floats sum = rest * 1.9875691500e-4f + 1.3981999507e-3f;
    sum = sum * rest + 8.3334519073e-3f;
    sum = sum * rest + 4.1665795894e-2f;
    sum = sum * rest + 1.6666665459e-1f;
    sum = sum * rest + 5.0000001201e-1f;
    sum = sum * (rest * rest) + rest + 1.0f;
    Integers power = (__builtin_convertvector(whole, Integers) + 127) << 23;
    Floats scale;
    __builtin_memcpy(&scale, &power, sizeof scale);
    Floats zero = {};
    return select(tiny, zero, sum * scale);
}

}  // namespace hone
