// Products of pairs of bfloat16 numbers by the processor's matrix tiles (Intel AMX), 16 rows by 16 columns by 16 pairs at once.
#include "Attention.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#define HONE_TILE __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,amx-tile,amx-bf16")))

namespace hone::attention {
namespace {

constexpr int64_t side = 16;
constexpr int64_t line = 64;  // bytes of a tile's row

// Sixteen rows of sixteen pairs that stand in columns.
HONE_TILE inline void transpose(const Pair *from, int64_t stride, Pair *to) {
    __m512i a[side], b[side];
    for (int i = 0; i < side; ++i) a[i] = _mm512_loadu_si512(from + i * stride);
    for (int i = 0; i < side; i += 2) {
        b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
        b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
    }
    for (int i = 0; i < side; i += 4) {
        a[i] = _mm512_unpacklo_epi64(b[i], b[i + 2]);
        a[i + 1] = _mm512_unpackhi_epi64(b[i], b[i + 2]);
        a[i + 2] = _mm512_unpacklo_epi64(b[i + 1], b[i + 3]);
        a[i + 3] = _mm512_unpackhi_epi64(b[i + 1], b[i + 3]);
    }
    for (int i = 0; i < 4; ++i) {
        const __m512i even = _mm512_shuffle_i32x4(a[i], a[4 + i], 0x88), odd = _mm512_shuffle_i32x4(a[i], a[4 + i], 0xdd);
        const __m512i later_even = _mm512_shuffle_i32x4(a[8 + i], a[12 + i], 0x88);
        const __m512i later_odd = _mm512_shuffle_i32x4(a[8 + i], a[12 + i], 0xdd);
        _mm512_storeu_si512(to + i * side, _mm512_shuffle_i32x4(even, later_even, 0x88));
        _mm512_storeu_si512(to + (i + 4) * side, _mm512_shuffle_i32x4(odd, later_odd, 0x88));
        _mm512_storeu_si512(to + (i + 8) * side, _mm512_shuffle_i32x4(even, later_even, 0xdd));
        _mm512_storeu_si512(to + (i + 12) * side, _mm512_shuffle_i32x4(odd, later_odd, 0xdd));
    }
}

bool may_use_tiles() {
    unsigned a, b, c, d;
    constexpr unsigned tiles = 1u << 24, halves = 1u << 22;
    if (!has_dot_products() || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    if ((d & (tiles | halves)) != (tiles | halves)) return false;
    // The kernel keeps the tiles' state for processes that ask for it.
    constexpr long request = 0x1023, state = 18;
    return syscall(SYS_arch_prctl, request, state) == 0;
}

}  // namespace

bool has_tiles() {
    static const bool has = may_use_tiles();
    return has;
}

HONE_TILE void begin_tiles() {
    alignas(64) struct {
        uint8_t palette = 1, first = 0, reserved[14] = {};
        uint16_t bytes[16] = {line, line, line, line, line, line, line, line};
        uint8_t rows[16] = {side, side, side, side, side, side, side, side};
    } shape;
    _tile_loadconfig(&shape);
}

HONE_TILE void end_tiles() { _tile_release(); }

HONE_TILE void tile_product(const Pair *a, int64_t a_row, int64_t a_pair, const Pair *b, int64_t b_row, float *c,
                            int64_t c_row, int64_t rows, int64_t columns, int64_t pairs, bool adds) {
    alignas(64) Pair turned[side * side];
    for (int64_t r = 0; r < rows; r += side) {
        for (int64_t column = 0; column < columns; column += 4 * side) {
            // Four tiles of the result at a time, which do not wait for each other.
            const int64_t count = std::min<int64_t>(4, (columns - column) / side);
            float *to = c + r * c_row + column;
            const int64_t stride = c_row * static_cast<int64_t>(sizeof(float));
            if (adds) {
                _tile_loadd(0, to, stride);
                if (count > 1) _tile_loadd(1, to + side, stride);
                if (count > 2) _tile_loadd(2, to + 2 * side, stride);
                if (count > 3) _tile_loadd(3, to + 3 * side, stride);
            } else {
                _tile_zero(0);
                _tile_zero(1);
                _tile_zero(2);
                _tile_zero(3);
            }
            for (int64_t k = 0; k < pairs; k += side) {
                if (a_pair == 1) {
                    _tile_loadd(4, a + r * a_row + k, a_row * static_cast<int64_t>(sizeof(Pair)));
                } else {
                    transpose(a + k * a_pair + r, a_pair, turned);
                    _tile_loadd(4, turned, line);
                }
                const Pair *from = b + k * b_row + column;
                const int64_t step = b_row * static_cast<int64_t>(sizeof(Pair));
                _tile_loadd(5, from, step);
                _tile_dpbf16ps(0, 4, 5);
                if (count > 1) {
                    _tile_loadd(6, from + side, step);
                    _tile_dpbf16ps(1, 4, 6);
                }
                if (count > 2) {
                    _tile_loadd(7, from + 2 * side, step);
                    _tile_dpbf16ps(2, 4, 7);
                }
                if (count > 3) {
                    _tile_loadd(5, from + 3 * side, step);
                    _tile_dpbf16ps(3, 4, 5);
                }
            }
            _tile_stored(0, to, stride);
            if (count > 1) _tile_stored(1, to + side, stride);
            if (count > 2) _tile_stored(2, to + 2 * side, stride);
            if (count > 3) _tile_stored(3, to + 3 * side, stride);
        }
    }
}

}  // namespace hone::attention
#else
namespace hone::attention {
bool has_tiles() { return false; }
void begin_tiles() {}
void end_tiles() {}
void tile_product(const Pair *, int64_t, int64_t, const Pair *, int64_t, float *, int64_t, int64_t, int64_t, int64_t,
                  bool) {}
}  // namespace hone::attention
#endif
