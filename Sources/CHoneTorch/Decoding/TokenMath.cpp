#include "TokenMath.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace hone::decoding {
namespace {

HONE_INLINE void normalise(const float *from, const Norm &norm, bool centres, float epsilon, int64_t width, float *to) {
    Floats first = {}, second = {}, x, part;
    for (int64_t i = 0; i < width; i += lanes) {
        load_some(x, from + i, width - i);
        first += x;
        second += x * x;
    }
    float mean = 0, square = total(second) / width;
    if (centres) {
        mean = total(first) / width;
        second = Floats{};
        for (int64_t i = 0; i < width; i += lanes) {
            load_some(x, from + i, width - i);
            x -= mean;
            for (int64_t j = std::max<int64_t>(0, width - i); j < lanes; ++j) x[j] = 0;
            second += x * x;
        }
        square = total(second) / width;
    }
    const float scale = 1 / std::sqrt(square + epsilon);
    for (int64_t i = 0; i < width; i += lanes) {
        load_some(x, from + i, width - i);
        load_some(part, norm.weight.data() + i, width - i);
        x = (x - mean) * scale * part;
        if (!norm.bias.empty()) {
            load_some(part, norm.bias.data() + i, width - i);
            x += part;
        }
        store_some(x, to + i, width - i);
    }
}

HONE_INLINE void activate(int kind, float *values, int64_t count) {
    if (kind == 2 || kind == 3) {
        for (int64_t i = 0; i < count; ++i) {
            const float x = values[i];
            values[i] = kind == 3 ? std::max(x, 0.0f) + (x - x) : 0.5f * x * (1 + std::erf(x * 0.70710678118654752f));
        }
        return;
    }
    for (int64_t i = 0; i < count; i += lanes) {
        Floats x;
        load_some(x, values + i, count - i);
        Floats argument = x;
        if (kind == 1) argument = x * (1.5957691216057308f + 1.5957691216057308f * 0.044715f * x * x);
        if (kind == 4) argument = x * 1.702f;
        argument = -argument;
        exponentiate(argument);
        store_some(x / (1.0f + argument), values + i, count - i);
    }
}

HONE_INLINE void add(float *to, const float *base, const float *change, int64_t count) {
    for (int64_t i = 0; i < count; ++i) to[i] = base[i] + change[i];
}
HONE_INLINE void multiply(float *to, const float *factor, int64_t count) {
    for (int64_t i = 0; i < count; ++i) to[i] *= factor[i];
}
// The largest of some scores and where it first stands; not a number where one of them is not finite.
HONE_INLINE void find_largest(const float *scores, int64_t count, int64_t start, float &best, int64_t &place) {
    Floats most = {}, spoiled = {}, x;
    most += -std::numeric_limits<float>::infinity();
    int64_t i = 0;
    for (; i + lanes <= count; i += lanes) {
        load(x, scores + i);
        raise(most, x);
        spoiled += x * 0.0f;
    }
    float top = largest(most), rest = total(spoiled);
    for (; i < count; ++i) {
        top = std::max(top, scores[i]);
        rest += scores[i] * 0;
    }
    if (!(rest == 0)) best = std::numeric_limits<float>::quiet_NaN();
    if (!(top > best)) return;
    best = top;
    for (i = 0; scores[i] != top; ++i) {}
    place = start + i;
}

}  // namespace

void normalise_best(const float *from, const Norm &norm, bool centres, float epsilon, int64_t width, float *to) {
    with_vectors([&](auto) HONE_BODY { normalise(from, norm, centres, epsilon, width, to); });
}
void activate_best(int kind, float *values, int64_t count) {
    with_vectors([&](auto) HONE_BODY { activate(kind, values, count); });
}
void add_best(float *to, const float *base, const float *change, int64_t count) {
    with_vectors([&](auto) HONE_BODY { add(to, base, change, count); });
}
void multiply_best(float *to, const float *factor, int64_t count) {
    with_vectors([&](auto) HONE_BODY { multiply(to, factor, count); });
}
void find_largest_best(const float *scores, int64_t count, int64_t start, float &best, int64_t &place) {
    with_vectors([&](auto) HONE_BODY { find_largest(scores, count, start, best, place); });
}

}  // namespace hone::decoding
