// A model of one stack as decoding needs it, and texts in the middle of being written.
#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <functional>

#include "Pages.h"
#include "Product.h"
#include "Team.h"

namespace hone::decoding {

// A linear map with what is attached to it.
struct Map {
    Weight weight;
    std::vector<float> bias;
    // A low-rank update, where the rank is above 0.
    const float *down = nullptr, *up = nullptr;
    int64_t rank = 0;
    float scale = 1;
};

struct Norm {
    std::vector<float> weight, bias;
};

struct Layer {
    std::vector<Map> inputs;
    Map output, gate, up, down;
    Norm attention_norm, mlp_norm, query_norm, key_norm;
    int64_t window = 0;
    float scale = 1;
};

// Which number of threads is fastest for steps of about so many tokens; what comes out does not depend on it, so it is found while
// working.
class ThreadChoice {
  public:
    // How many threads the next step is to take, of at most so many.
    int next(int most);
    // How long it took.
    void took(double seconds);

  private:
    // A number of threads with the time that its turns took; the slowest turn says nothing.
    struct Candidate {
        int threads, turns = 0;
        double sum = 0, slowest = 0;
        double seconds() const { return (sum - slowest) / (turns - 1); }
    };
    std::vector<Candidate> candidates;
    int most = 0, tries = 0, chosen = 0;
};

struct Decoder {
    // What the weights lie in.
    std::vector<at::Tensor> tensors;
    std::vector<Int8Weight> quantised;
    std::vector<Layer> layers;
    Map head;
    Norm last_norm;
    // Float32 or bfloat16, as the model's own type is.
    const void *tokens = nullptr, *positions = nullptr;
    Form table_form = Form::float32;
    int64_t vocabulary = 0, position_count = 0, position_offset = 0;
    std::vector<float> prefix, frequencies;
    float amplitude = 1;
    int64_t width = 0, inner = 0, heads = 0, key_heads = 0, head_width = 0;
    int joined = 0, activation = 0;
    bool centres = false, parallel = false;
    float epsilon = 0;
    PageShape pages{};
    int64_t bytes = 0;
    // By the power of two that the tokens of a step reach.
    std::array<ThreadChoice, 9> choices;

    int64_t query_width() const { return heads * head_width; }
    int64_t key_width() const { return key_heads * head_width; }
    int64_t input_width() const { return query_width() + 2 * key_width(); }
};

enum class Wanted { last_likeliest, every_likeliest, last_scores };

class Decoding {
  public:
    Decoding(Decoder &decoder, int64_t rows) : decoder(decoder), rows(rows) {}
    // What hone_decoding_read says; `scores` is `[rows, vocabulary]`.
    void read(const int64_t *tokens, const int64_t *counts, Wanted wanted, int64_t *likeliest, float *scores);
    void select(const int64_t *numbers, int64_t count);
    void shorten(int64_t row, int64_t length);
    int64_t row_count() const { return static_cast<int64_t>(rows.size()); }
    Decoder &decoder;

  private:
    friend class Step;
    std::vector<Row> rows;
};

}  // namespace hone::decoding
