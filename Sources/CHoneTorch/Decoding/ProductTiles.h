// What products of a few rows have in common: tiles of sixteen sums.
#pragma once
#include "../Kernels/Parallel.h"
#include "Product.h"

namespace hone::decoding {

// The sums of sixteen vectors, that of the n-th in lane n; each formed in the same order.
HONE_INLINE void totals(const Floats *sums, float *result) {
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
    store(__builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
              __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31),
          result);
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
HONE_INLINE void give(const float *sums, int64_t output, int64_t end, int64_t row, int64_t row_end, int64_t begin,
                      float *out, int64_t stride) {
    constexpr int outputs = 16 / rows;
    for (int r = 0; r < rows && row + r < row_end; ++r) {
        float *to = out + (row + r) * stride + output - begin;
        if (end - output >= outputs) {
            __builtin_memcpy(to, sums + r * outputs, outputs * sizeof(float));
        } else {
            for (int64_t o = 0; o < end - output; ++o) to[o] = sums[r * outputs + o];
        }
    }
}

// All tiles of `rows` rows for outputs `begin ..< end`; `tile(output, row, sums)` forms the sums of one. The first row's asks for weights
// that come later, the others find them there.
template <int rows, typename Element, typename Tile>
HONE_INLINE void for_tiles(const Lines<Element> &lines, int64_t begin, int64_t end, float *out, int64_t stride,
                           const Tile &tile) {
    alignas(64) float sums[16];
    for (int64_t output = begin; output < end; output += 16 / rows) {
        for (int64_t row = 0; row < lines.rows; row += rows) {
            tile(output, row, sums);
            give<rows>(sums, output, end, row, lines.rows, begin, out, stride);
        }
    }
}

// So far ahead weights are asked for: the processor's own look-ahead ends with each line.
constexpr int64_t look_ahead = 4096;

// A product by the processor's own instructions for bfloat16, or by what suits its registers; false where neither is there.
bool bfloat16_product(const Lines<c10::BFloat16> &lines, int64_t begin, int64_t end, float *out, int64_t stride);

}  // namespace hone::decoding
