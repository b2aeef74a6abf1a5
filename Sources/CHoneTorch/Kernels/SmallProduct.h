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

template <int vectors>
HONE_INLINE void product_columns(const float *a, int64_t a_row, int64_t a_column, const float *b, int64_t b_row,
                                 float *c, int64_t c_row, int64_t rows, int64_t inner, bool adds) {
    int64_t r = 0;
    for (; r + 6 <= rows; r += 6) {
        product_tile<6, vectors>(a + r * a_row, a_row, a_column, b, b_row, c + r * c_row, c_row, inner, adds);
    }
    for (; r + 2 <= rows; r += 2) {
        product_tile<2, vectors>(a + r * a_row, a_row, a_column, b, b_row, c + r * c_row, c_row, inner, adds);
    }
    if (r < rows) {
        product_tile<1, vectors>(a + r * a_row, a_row, a_column, b, b_row, c + r * c_row, c_row, inner, adds);
    }
}

// `c[rows, columns] (+)= a[rows, inner] · b[inner, columns]`; columns are whole vectors, `a` may lie in any order.
HONE_INLINE void small_product(const float *a, int64_t a_row, int64_t a_column, const float *b, int64_t b_row, float *c,
                               int64_t c_row, int64_t rows, int64_t columns, int64_t inner, bool adds) {
    int64_t column = 0;
    for (; column + 4 * lanes <= columns; column += 4 * lanes) {
        product_columns<4>(a, a_row, a_column, b + column, b_row, c + column, c_row, rows, inner, adds);
    }
    for (; column < columns; column += lanes) {
        product_columns<1>(a, a_row, a_column, b + column, b_row, c + column, c_row, rows, inner, adds);
    }
}

}  // namespace hone
