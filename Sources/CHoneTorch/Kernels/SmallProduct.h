// Matrix products of a few dozen rows inside a kernel, on one thread.
#pragma once
#include "Vector.h"

#include <algorithm>

namespace hone {

// `vectors` vectors of columns for `rows` rows: the sums stay in registers.
template <int rows, int vectors>
HONE_INLINE void product_tile(const float *a, int64_t a_row, int64_t a_column, const float *b, int64_t b_row, float *c,
                              int64_t c_row, int64_t inner, bool adds) {
    Floats sum[rows][vectors];
    for (int r = 0; r < rows; ++r) {
        for (int v = 0; v < vectors; ++v) {
            Floats zero = {};
            sum[r][v] = zero;
            if (adds) load(sum[r][v], c + r * c_row + v * lanes);
        }
    }
    for (int64_t k = 0; k < inner; ++k) {
        Floats line[vectors];
        for (int v = 0; v < vectors; ++v) load(line[v], b + k * b_row + v * lanes);
        for (int r = 0; r < rows; ++r) {
            const float factor = a[r * a_row + k * a_column];
            for (int v = 0; v < vectors; ++v) sum[r][v] += factor * line[v];
        }
    }
    for (int r = 0; r < rows; ++r) {
        for (int v = 0; v < vectors; ++v) store(sum[r][v], c + r * c_row + v * lanes);
    }
}

template <int tile_rows, int vectors>
HONE_INLINE void product_columns(const float *a, int64_t a_row, int64_t a_column, const float *b, int64_t b_row,
                                 float *c, int64_t c_row, int64_t rows, int64_t inner, bool adds) {
    int64_t r = 0;
    for (; r + tile_rows <= rows; r += tile_rows) {
        product_tile<tile_rows, vectors>(a + r * a_row, a_row, a_column, b, b_row, c + r * c_row, c_row, inner, adds);
    }
    for (; tile_rows > 2 && r + 2 <= rows; r += 2) {
        product_tile<2, vectors>(a + r * a_row, a_row, a_column, b, b_row, c + r * c_row, c_row, inner, adds);
    }
    if (r < rows) {
        product_tile<1, vectors>(a + r * a_row, a_row, a_column, b, b_row, c + r * c_row, c_row, inner, adds);
    }
}

// `c[rows, columns] (+)= a[rows, inner] · b[inner, columns]`; columns are whole vectors, `a` may lie in any order.
template <Vectors level>
HONE_INLINE void small_product(const float *a, int64_t a_row, int64_t a_column, const float *b, int64_t b_row, float *c,
                               int64_t c_row, int64_t rows, int64_t columns, int64_t inner, bool adds) {
    // As many sums as there are registers: 32 of sixteen floats, 16 of eight, 16 of four (32 on ARM).
    constexpr int tile_vectors = level == Vectors::avx512 ? 4 : 1;
#if defined(__x86_64__)
    constexpr int tile_rows = level == Vectors::plain ? 2 : 6;
#else
    constexpr int tile_rows = 6;
#endif
    int64_t column = 0;
    for (; column + tile_vectors * lanes <= columns; column += tile_vectors * lanes) {
        product_columns<tile_rows, tile_vectors>(a, a_row, a_column, b + column, b_row, c + column, c_row, rows, inner, adds);
    }
    for (; column < columns; column += lanes) {
        product_columns<tile_rows, 1>(a, a_row, a_column, b + column, b_row, c + column, c_row, rows, inner, adds);
    }
}

}  // namespace hone
