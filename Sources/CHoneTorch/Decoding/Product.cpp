#include "Product.h"

#include "ProductTiles.h"

namespace hone::decoding {
namespace {

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

// One tile, `together` outputs at a time: of one row more streams than four, and the processor no longer sees what is read next.
template <int rows, int together, bool looks_ahead, typename Element>
HONE_INLINE void tile(const Lines<Element> &lines, int64_t output, int64_t row, float *result) {
    constexpr int outputs = 16 / rows;
    constexpr int64_t element_bytes = sizeof(Element), step = 64 / element_bytes;
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
                if (looks_ahead) __builtin_prefetch(next + k * together * element_bytes + (o - some) * 64);
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
    if (lines.rows == 1) {
        return for_tiles<1>(lines, begin, end, out, stride, [&](int64_t output, int64_t row, float *sums) HONE_BODY {
            tile<1, 4, true>(lines, output, row, sums);
        });
    }
    for_tiles<rows>(lines, begin, end, out, stride, [&](int64_t output, int64_t row, float *sums) HONE_BODY {
        if (row == 0) return tile<rows, together, true>(lines, output, row, sums);
        tile<rows, together, false>(lines, output, row, sums);
    });
}

template <typename Element>
void vector_product(Vectors level, const Lines<Element> &lines, int64_t begin, int64_t end, float *out, int64_t stride) {
    with_vectors(level, [&](auto level) HONE_BODY { vector_product<level()>(lines, begin, end, out, stride); });
}

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
        if (!portable && bfloat16_product(lines, begin, end, out, stride)) return;
        return vector_product(level, lines, begin, end, out, stride);
    }
    case Form::int8: return int8_product(weight, inputs, begin, end, out, stride, portable);
    }
}

}  // namespace hone::decoding
