// What the two attention kernels share: shapes, and vectors turned by their positions.
#pragma once
#include "AttentionLayout.h"
#include "Parallel.h"

#include <vector>

namespace hone::attention {

constexpr int64_t block_rows = 48;

struct Shape {
    int64_t tokens, heads, shared, width;
    int64_t padded;  // the width in whole vectors
    double scale;
    bool causal;
    Layout layout;
    int64_t group() const { return heads / shared; }
    // A task is the work of one bundle for one head of keys.
    int64_t tasks() const { return static_cast<int64_t>(layout.bundles.size()) * shared; }
    // Multiplications of the forward pass.
    int64_t work() const {
        int64_t pairs = 0;
        for (const Bundle &bundle : layout.bundles) pairs += (bundle.end - bundle.begin) * bundle.length();
        return 2 * pairs * heads * width;
    }
};

inline int64_t whole(int64_t count, int64_t unit) { return (count + unit - 1) / unit * unit; }

// Where gradients of keys and values go. Those of segments that others go on from are sums over several tasks: each task
// leaves its part in f32, keys and values side by side, and they are added up in a fixed order afterwards.
struct Sums {
    float *own = nullptr;    // `[tokens, shared, 2, width]`, of the tokens' own bundle
    float *chains = nullptr; // `[columns before the bundles, shared, 2, width]`
};

// Where a task leaves its part of the gradients of column `j`; a null pointer where no other task has one.
inline float *part_of_sum(const Shape &shape, const Sums &sums, const Bundle &bundle, int64_t j, int64_t head) {
    const int64_t size = 2 * shape.width;
    if (j < bundle.before) return sums.chains + ((bundle.chain + j) * shape.shared + head) * size;
    const int64_t token = bundle.begin + j - bundle.before;
    return shape.layout.is_trunk[token] ? sums.own + (token * shape.shared + head) * size : nullptr;
}

// One head's vector of one token, turned by its position where there are angles.
template <typename Element, typename Result>
HONE_INLINE void fetch(const Element *from, const Element *cosine, const Element *sine, int64_t width, float scale,
                       Result *to) {
    const int64_t half = cosine == nullptr ? width : width / 2;
    int64_t i = 0;
    for (; i + lanes <= half; i += lanes) {
        Floats a, b, c, s;
        load(a, from + i);
        if (cosine == nullptr) {
            store(a * scale, to + i);
            continue;
        }
        load(b, from + i + half);
        load(c, cosine + i);
        load(s, sine + i);
        store((a * c - b * s) * scale, to + i);
        load(c, cosine + i + half);
        load(s, sine + i + half);
        store((b * c + a * s) * scale, to + i + half);
    }
    for (; i < half; ++i) {
        const float a = from[i];
        if (cosine == nullptr) {
            to[i] = static_cast<Result>(a * scale);
            continue;
        }
        const float b = from[i + half];
        to[i] =
            static_cast<Result>((a * static_cast<float>(cosine[i]) - b * static_cast<float>(sine[i])) * scale);
        to[i + half] = static_cast<Result>(
            (b * static_cast<float>(cosine[i + half]) + a * static_cast<float>(sine[i + half])) * scale);
    }
}

// A gradient turned back.
template <typename Element>
HONE_INLINE void give_back(const float *from, const Element *cosine, const Element *sine, int64_t width, float scale,
                           Element *to) {
    const int64_t half = cosine == nullptr ? width : width / 2;
    int64_t i = 0;
    for (; i + lanes <= half; i += lanes) {
        Floats a, b, c, s;
        load(a, from + i);
        if (cosine == nullptr) {
            store(a * scale, to + i);
            continue;
        }
        load(b, from + i + half);
        load(c, cosine + i);
        load(s, sine + i + half);
        store((a * c + b * s) * scale, to + i);
        load(c, cosine + i + half);
        load(s, sine + i);
        store((b * c - a * s) * scale, to + i + half);
    }
    for (; i < half; ++i) {
        const float a = from[i] * scale;
        if (cosine == nullptr) {
            to[i] = static_cast<Element>(a);
            continue;
        }
        const float b = from[i + half] * scale;
        to[i] = static_cast<Element>(a * static_cast<float>(cosine[i]) + b * static_cast<float>(sine[i + half]));
        to[i + half] = static_cast<Element>(b * static_cast<float>(cosine[i + half]) - a * static_cast<float>(sine[i]));
    }
}

template <typename Element>
struct Rows {
    const Element *data;
    int64_t stride;
    const Element *at(int64_t token, int64_t head, int64_t width) const { return data + token * stride + head * width; }
};

// The same with products of pairs of bfloat16 numbers summed in f32, as the processor has instructions for them.
bool has_dot_products();

using Pair = uint32_t;  // two bfloat16 numbers that are multiplied with two others and summed

// Whether the processor multiplies matrices of pairs by tiles. A thread begins with them, and ends, so that others find them
// as they expect.
bool has_tiles();
void begin_tiles();
void end_tiles();
// `c[rows, columns] (+)= a · b`: all three lengths in whole sixteens; `a` has either `a_pair` or `a_row` 1.
void tile_product(const Pair *a, int64_t a_row, int64_t a_pair, const Pair *b, int64_t b_row, float *c, int64_t c_row,
                  int64_t rows, int64_t columns, int64_t pairs, bool adds);
void dot_forward(const Shape &shape, Rows<c10::BFloat16> queries, Rows<c10::BFloat16> keys,
                 Rows<c10::BFloat16> values, const c10::BFloat16 *cosine, const c10::BFloat16 *sine,
                 c10::BFloat16 *out, float *logs);
void dot_backward(const Shape &shape, Rows<c10::BFloat16> queries, Rows<c10::BFloat16> keys,
                  Rows<c10::BFloat16> values, const c10::BFloat16 *cosine, const c10::BFloat16 *sine,
                  const c10::BFloat16 *out, const float *logs, const c10::BFloat16 *given,
                  c10::BFloat16 *query_gradient, c10::BFloat16 *key_gradient, c10::BFloat16 *value_gradient,
                  const Sums &sums);

}  // namespace hone::attention
