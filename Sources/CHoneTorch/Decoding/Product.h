// Products of a few rows with a weight `[outputs, inputs]` that is read once from memory: what decoding consists of.
//
// The sum of one output for one row is always formed in the same order, whatever rows stand beside it and however many threads
// there are: what a row becomes does not depend on its company to the last bit.
#pragma once
#include "../Kernels/Vector.h"

#include <cstdint>
#include <vector>

namespace hone::decoding {

enum class Form { float32, bfloat16, int8 };

// A weight as it is read. Of int8 weights, `data` lies in tiles of 16 outputs, see Int8Product.cpp.
struct Weight {
    Form form = Form::float32;
    const void *data = nullptr;
    const float *scales = nullptr;
    int64_t outputs = 0, inputs = 0;
};

// Int8 weights and inputs share a scale among so many numbers.
constexpr int64_t block = 64;
// Outputs are shared out among threads in units of this.
constexpr int64_t output_unit = 16;

// Rows of inputs in the form that a weight's form asks for: `float32`, `bfloat16`, or int8 by blocks.
class Inputs {
  public:
    // Takes `rows` rows `[inputs]` of float32, `stride` apart.
    void take(Form form, const float *from, int64_t stride, int64_t rows, int64_t inputs);
    // As above, of one row.
    void take_row(int64_t row, const float *from);
    // Makes room for rows that `take_row` fills.
    void reserve(Form form, int64_t rows, int64_t inputs);

    Form form = Form::float32;
    int64_t rows = 0, inputs = 0;
    // Row after row, `stride` elements apart, zeros behind the inputs.
    int64_t stride = 0;
    std::vector<float> floats;
    std::vector<c10::BFloat16> halves;
    std::vector<int8_t> bytes;
    // Of each row and block: the scale, and what takes back that weights are stored with 128 added.
    std::vector<float> scales;
    std::vector<int32_t> corrections;
};

// `out[row · stride + output - begin]` for outputs `begin ..< end` of every row. `begin` is a whole number of units.
// `portable` takes the code that needs no instructions beyond the compiler's own.
void product(const Weight &weight, const Inputs &inputs, int64_t begin, int64_t end, float *out, int64_t stride,
             bool portable = false);

// Int8 weights of a float32 or bfloat16 weight: scales of blocks of 64 numbers of one output, so that the largest is 127.
struct Int8Weight {
    std::vector<uint8_t> data;
    std::vector<float> scales;
    int64_t outputs = 0, inputs = 0;
    Weight weight() const { return {Form::int8, data.data(), scales.data(), outputs, inputs}; }
};
template <typename Element>
Int8Weight quantised(const Element *from, int64_t outputs, int64_t inputs);

void int8_product(const Weight &weight, const Inputs &inputs, int64_t begin, int64_t end, float *out, int64_t stride,
                  bool portable);

}  // namespace hone::decoding
