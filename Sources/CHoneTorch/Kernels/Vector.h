// Vectors of sixteen floats for kernels that are written once: the compiler makes one register of them, two or four, whatever the
// instructions are that `Processor.h` compiles a kernel for.
#pragma once
#include <c10/util/BFloat16.h>

#include <cstdint>
#include <cstring>

#include "Processor.h"

namespace hone {

constexpr int64_t lanes = 16;
// To functions that are not inlined, vectors go as pointers to floats: the compiler takes a reference to be aligned, and a local vector
// need not be.
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

// `to` where a lane of `where` is set, `other` elsewhere. (Vectors travel by reference: by value, a function's calling
// convention would depend on the instructions that it is compiled for.)
HONE_INLINE void keep(Floats &to, const Integers &where, const Floats &other) {
    Integers a, b;
    __builtin_memcpy(&a, &to, sizeof a);
    __builtin_memcpy(&b, &other, sizeof b);
    const Integers picked = (where & a) | (~where & b);
    __builtin_memcpy(&to, &picked, sizeof to);
}
// The larger of the two, lane by lane.
HONE_INLINE void raise(Floats &to, const Floats &other) { keep(to, to > other, other); }

// exp in place, within two units in the last place; zero below -87.3, and at 88 for what is above.
HONE_INLINE void exponentiate(Floats &x) {
    Floats low = {}, high = {}, zero = {};
    low += -87.3f;
    high += 88.0f;
    const Integers counts = x >= low;
    keep(x, counts, low);
    keep(x, x < high, high);
    // 1.5 · 2^23 rounds to the nearest whole number.
    const float rounder = 12582912.0f;
    const Floats whole = (x * 1.44269504088896341f + rounder) - rounder;
    Floats rest = x - whole * 0.693359375f;
    rest = rest + whole * 2.12194440e-4f;
    Floats sum = rest * 1.9875691500e-4f + 1.3981999507e-3f;
    sum = sum * rest + 8.3334519073e-3f;
    sum = sum * rest + 4.1665795894e-2f;
    sum = sum * rest + 1.6666665459e-1f;
    sum = sum * rest + 5.0000001201e-1f;
    sum = sum * (rest * rest) + rest + 1.0f;
    const Integers power = (__builtin_convertvector(whole, Integers) + 127) << 23;
    Floats scale;
    __builtin_memcpy(&scale, &power, sizeof scale);
    x = sum * scale;
    keep(x, counts, zero);
}

}  // namespace hone
