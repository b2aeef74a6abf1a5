// What is computed of one token's vector beside products: compiled for wide vectors where the processor has them.
#pragma once
#include "../Kernels/Vector.h"
#include "Decoder.h"

#include <cstdint>

namespace hone::decoding {

// The product of two vectors.
HONE_INLINE float dot(const float *a, const float *b, int64_t count) {
    Floats sum = {}, x, y;
    for (int64_t i = 0; i < count; i += lanes) {
        load_some(x, a + i, count - i);
        load_some(y, b + i, count - i);
        sum += x * y;
    }
    return total(sum);
}

// The norm of a vector of `width` numbers.
void normalise_best(const float *from, const Norm &norm, bool centres, float epsilon, int64_t width, float *to);
// 0 the sigmoid-weighted unit, 1 the tanh approximation of the Gaussian one, 2 the Gaussian one, 3 rectified, 4 the quick one.
void activate_best(int kind, float *values, int64_t count);
// `to = base + change`
void add_best(float *to, const float *base, const float *change, int64_t count);
// `to *= factor`
void multiply_best(float *to, const float *factor, int64_t count);
// The largest of some scores and where it first stands; not a number where one of them is not finite.
void find_largest_best(const float *scores, int64_t count, int64_t start, float &best, int64_t &place);

}  // namespace hone::decoding
