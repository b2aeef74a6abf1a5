// Products with int8 weights. Weights and inputs share a scale among 64 neighbours each; the products of a block are summed as whole
// numbers, exactly, and blocks in float32. Weights are stored with 128 added, for the processor multiplies unsigned with signed.
//
// Sixteen outputs lie together: of each block first the four weights of the first output that come first, then those of the second,
// and so on, then the next four. So the sums of sixteen outputs fill one vector and need not be gathered.
#include "../Kernels/Parallel.h"
#include "Product.h"

#include <cmath>

#if defined(__x86_64__)
#include <immintrin.h>
#define HONE_BYTES __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")))
#endif

namespace hone::decoding {
namespace {

constexpr int64_t tile_bytes = block * output_unit;

struct Tiles {
    const uint8_t *weights;
    const float *weight_scales;
    const int8_t *inputs;
    const float *input_scales;
    const int32_t *corrections;
    int64_t blocks, stride;
};

void store_rows(const float *sums, int64_t count, int64_t output, int64_t end, int64_t begin, float *out,
                int64_t stride) {
    for (int64_t row = 0; row < count; ++row) {
        __builtin_memcpy(out + row * stride + output - begin, sums + row * output_unit,
                         std::min(output_unit, end - output) * sizeof(float));
    }
}

template <int rows>
HONE_INLINE void plain_tile(const Tiles &tiles, int64_t tile, int64_t row, float *result) {
    Floats sums[rows];
    for (int r = 0; r < rows; ++r) sums[r] = Floats{};
    for (int64_t b = 0; b < tiles.blocks; ++b) {
        const uint8_t *weights = tiles.weights + (tile * tiles.blocks + b) * tile_bytes;
        Floats scale;
        load(scale, tiles.weight_scales + (tile * tiles.blocks + b) * output_unit);
        for (int r = 0; r < rows; ++r) {
            const int8_t *input = tiles.inputs + (row + r) * tiles.stride + b * block;
            Integers whole = {};
            whole += tiles.corrections[(row + r) * tiles.blocks + b];
            for (int64_t four = 0; four < block; four += 4) {
                for (int64_t output = 0; output < output_unit; ++output) {
                    const uint8_t *of = weights + four * output_unit + output * 4;
                    for (int64_t i = 0; i < 4; ++i) whole[output] += of[i] * input[four + i];
                }
            }
            sums[r] += __builtin_convertvector(whole, Floats) *
                       (scale * tiles.input_scales[(row + r) * tiles.blocks + b]);
        }
    }
    for (int r = 0; r < rows; ++r) store(sums[r], result + r * output_unit);
}

#if defined(__x86_64__)

bool has_byte_products() {
    static const bool has = vectors() == Vectors::avx512 && __builtin_cpu_supports("avx512vnni");
    return has;
}

template <int rows>
inline __attribute__((always_inline)) HONE_BYTES void byte_tile(const Tiles &tiles, int64_t tile, int64_t row, float *result) {
    __m512 sums[rows];
    for (int r = 0; r < rows; ++r) sums[r] = _mm512_setzero_ps();
    const int8_t *inputs[rows];
    for (int r = 0; r < rows; ++r) inputs[r] = tiles.inputs + (row + r) * tiles.stride;
    for (int64_t b = 0; b < tiles.blocks; ++b) {
        const uint8_t *weights = tiles.weights + (tile * tiles.blocks + b) * tile_bytes;
        // Two sums a row, so that one need not wait for the other.
        __m512i whole[rows][2];
        for (int r = 0; r < rows; ++r) {
            whole[r][0] = _mm512_set1_epi32(tiles.corrections[(row + r) * tiles.blocks + b]);
            whole[r][1] = _mm512_setzero_si512();
        }
        for (int64_t four = 0; four < block; four += 8) {
            for (int64_t part = 0; part < 2; ++part) {
                const uint8_t *of = weights + (four + 4 * part) * output_unit;
                _mm_prefetch(reinterpret_cast<const char *>(of) + 4 * tile_bytes, _MM_HINT_T0);
                const __m512i w = _mm512_loadu_si512(of);
                for (int r = 0; r < rows; ++r) {
                    int32_t x;
                    __builtin_memcpy(&x, inputs[r] + b * block + four + 4 * part, sizeof x);
                    whole[r][part] = _mm512_dpbusd_epi32(whole[r][part], w, _mm512_set1_epi32(x));
                }
            }
        }
        const __m512 scale = _mm512_loadu_ps(tiles.weight_scales + (tile * tiles.blocks + b) * output_unit);
        for (int r = 0; r < rows; ++r) {
            const __m512 share =
                _mm512_mul_ps(scale, _mm512_set1_ps(tiles.input_scales[(row + r) * tiles.blocks + b]));
            sums[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_add_epi32(whole[r][0], whole[r][1])), share, sums[r]);
        }
    }
    for (int r = 0; r < rows; ++r) _mm512_storeu_ps(result + r * output_unit, sums[r]);
}

template <int rows>
HONE_BYTES void byte_tile_alone(const Tiles &tiles, int64_t tile, int64_t row, float *result) {
    byte_tile<rows>(tiles, tile, row, result);
}

// AVX2 multiplies unsigned with signed bytes into sums of two, in sixteen bits: the input's sign goes to the weight, whose 128 are
// taken off, so that a sum is at most 2 · 127 · 127 and fits.
template <int rows>
HONE_AVX2 void half_tile(const Tiles &tiles, int64_t tile, int64_t row, float *result) {
    const __m256i flip = _mm256_set1_epi8(-128), ones = _mm256_set1_epi16(1);
    __m256 sums[rows][2];
    for (int r = 0; r < rows; ++r) sums[r][0] = sums[r][1] = _mm256_setzero_ps();
    for (int64_t b = 0; b < tiles.blocks; ++b) {
        const uint8_t *weights = tiles.weights + (tile * tiles.blocks + b) * tile_bytes;
        __m256i whole[rows][2];
        for (int r = 0; r < rows; ++r) whole[r][0] = whole[r][1] = _mm256_setzero_si256();
        for (int64_t four = 0; four < block; four += 4) {
            const uint8_t *of = weights + four * output_unit;
            _mm_prefetch(reinterpret_cast<const char *>(of) + 4 * tile_bytes, _MM_HINT_T0);
            __m256i w[2];
            for (int h = 0; h < 2; ++h) {
                w[h] = _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(of + 32 * h)), flip);
            }
            for (int r = 0; r < rows; ++r) {
                int32_t numbers;
                __builtin_memcpy(&numbers, tiles.inputs + (row + r) * tiles.stride + b * block + four, sizeof numbers);
                const __m256i x = _mm256_set1_epi32(numbers), size = _mm256_abs_epi8(x);
                for (int h = 0; h < 2; ++h) {
                    const __m256i twos = _mm256_maddubs_epi16(size, _mm256_sign_epi8(w[h], x));
                    whole[r][h] = _mm256_add_epi32(whole[r][h], _mm256_madd_epi16(twos, ones));
                }
            }
        }
        const float *scale = tiles.weight_scales + (tile * tiles.blocks + b) * output_unit;
        for (int r = 0; r < rows; ++r) {
            const __m256 own = _mm256_set1_ps(tiles.input_scales[(row + r) * tiles.blocks + b]);
            for (int h = 0; h < 2; ++h) {
                const __m256 share = _mm256_mul_ps(_mm256_loadu_ps(scale + 8 * h), own);
                sums[r][h] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(whole[r][h]), share, sums[r][h]);
            }
        }
    }
    for (int r = 0; r < rows; ++r) {
        for (int h = 0; h < 2; ++h) _mm256_storeu_ps(result + r * output_unit + 8 * h, sums[r][h]);
    }
}

#endif

template <int rows>
void some_rows(const Tiles &tiles, int64_t tile, int64_t row, float *result, bool portable) {
#if defined(__x86_64__)
    if (has_byte_products() && !portable) return byte_tile_alone<rows>(tiles, tile, row, result);
    if (vectors() != Vectors::plain && !portable) {
        constexpr int together = rows < 2 ? rows : 2;
        for (int r = 0; r < rows; r += together) half_tile<together>(tiles, tile, row + r, result + r * output_unit);
        return;
    }
#endif
    plain_tile<rows>(tiles, tile, row, result);
}

}  // namespace

template <typename Element>
Int8Weight quantised(const Element *from, int64_t outputs, int64_t inputs) {
    Int8Weight made;
    made.outputs = outputs;
    made.inputs = inputs;
    const int64_t blocks = (inputs + block - 1) / block, tiles = (outputs + output_unit - 1) / output_unit;
    // Behind the last number as many as are asked for in advance.
    made.data.assign(tiles * blocks * tile_bytes, 128);
    made.scales.assign(tiles * blocks * output_unit, 0);
    parallel(outputs, 64, [&](int64_t begin, int64_t end) {
        for (int64_t output = begin; output < end; ++output) {
            const int64_t tile = output / output_unit, lane = output % output_unit;
            for (int64_t b = 0; b < blocks; ++b) {
                const Element *numbers = from + output * inputs + b * block;
                const int64_t count = std::min(block, inputs - b * block);
                float most = 0;
                for (int64_t i = 0; i < count; ++i) most = std::max(most, std::abs(static_cast<float>(numbers[i])));
                made.scales[(tile * blocks + b) * output_unit + lane] = most / 127;
                if (most == 0) continue;
                uint8_t *to = made.data.data() + (tile * blocks + b) * tile_bytes;
                for (int64_t i = 0; i < count; ++i) {
                    const long whole = std::clamp(std::lrintf(static_cast<float>(numbers[i]) * (127 / most)), -127l, 127l);
                    to[i / 4 * 4 * output_unit + lane * 4 + i % 4] = static_cast<uint8_t>(whole + 128);
                }
            }
        }
    });
    return made;
}
template Int8Weight quantised(const float *, int64_t, int64_t);
template Int8Weight quantised(const c10::BFloat16 *, int64_t, int64_t);

void int8_product(const Weight &weight, const Inputs &inputs, int64_t begin, int64_t end, float *out, int64_t stride,
                  bool portable) {
    const Tiles tiles{static_cast<const uint8_t *>(weight.data), weight.scales, inputs.bytes.data(),
                      inputs.scales.data(), inputs.corrections.data(), inputs.stride / block, inputs.stride};
    float sums[8 * output_unit];
    for (int64_t output = begin; output < end; output += output_unit) {
        const int64_t tile = output / output_unit;
        int64_t row = 0;
        for (; row + 8 <= inputs.rows; row += 8) {
            some_rows<8>(tiles, tile, row, sums, portable);
            store_rows(sums, 8, output, end, begin, out + row * stride, stride);
        }
        for (; row + 2 <= inputs.rows; row += 2) {
            some_rows<2>(tiles, tile, row, sums, portable);
            store_rows(sums, 2, output, end, begin, out + row * stride, stride);
        }
        if (row < inputs.rows) {
            some_rows<1>(tiles, tile, row, sums, portable);
            store_rows(sums, 1, output, end, begin, out + row * stride, stride);
        }
    }
}

}  // namespace hone::decoding
