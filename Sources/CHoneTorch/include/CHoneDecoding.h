// Decoding without libtorch's operators: a model of one stack as a plan, and texts in the middle of being written. One call reads the new
// tokens of some rows and gives what is likeliest to follow, or the scores. Errors are reported as in CHoneTorch.h.
#ifndef C_HONE_DECODING_H
#define C_HONE_DECODING_H

#include "CHoneTorch.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hone_decoder_s *hone_decoder;
typedef struct hone_decoding_s *hone_decoding;

// A linear map `[outputs, inputs]` with what is attached to it; absent tensors are null. Factors are float32, `[rank, inputs]` and
// `[outputs, rank]`.
typedef struct {
    hone_tensor weight, bias, down, up;
    double scale;
} hone_decoder_map;

typedef struct {
    hone_tensor weight, bias;
} hone_decoder_norm;

typedef struct {
    // Query, key and value; or one of all three in the first place.
    hone_decoder_map inputs[3];
    hone_decoder_map output, gate, up, down;
    hone_decoder_norm attention_norm, mlp_norm, query_norm, key_norm;
    // How many positions are seen, itself included; 0 for all.
    int64_t window;
    // What scores are multiplied by.
    double scale;
} hone_decoder_layer;

typedef struct {
    // `[vocabulary, width]`; `[positions, width]` or null; vectors that negative tokens stand for, -1 for the first; `[vocabulary, width]`.
    hone_tensor tokens, positions, prefix, head;
    int64_t position_offset;
    hone_decoder_norm last_norm;
    const hone_decoder_layer *layers;
    int64_t layer_count, width, inner, heads, key_heads, head_width;
    // Inputs joined: 0 no, 1 all queries, then keys, then values, 2 of each head its query, key and value.
    int32_t joined;
    bool centres, parallel;
    // 0 x·sigmoid(x), 1 the tanh form of the Gaussian unit, 2 its exact form, 3 max(x, 0), 4 x·sigmoid(1.702 x)
    int32_t activation;
    double epsilon;
    // The angle a position adds to each pair of elements; none where positions do not turn.
    const float *frequencies;
    int64_t frequency_count;
    double amplitude;
    // Whether maps and head are read as int8.
    bool quantises;
} hone_decoder_shape;

// A plan over tensors on the CPU, float32 or bfloat16, which it keeps.
int hone_decoder_make(const hone_decoder_shape *shape, hone_decoder *made);
void hone_decoder_free(hone_decoder decoder);
// The bytes of weights that a step for one row reads.
int64_t hone_decoder_bytes(hone_decoder decoder);

// Rows of texts without a token yet. The decoder must live as long.
int hone_decoding_make(hone_decoder decoder, int64_t rows, hone_decoding *made);
void hone_decoding_free(hone_decoding decoding);

// What a call gives: of each row's last token or of every token, what is likeliest to follow, or scores.
enum { HONE_LAST_LIKELIEST = 0, HONE_EVERY_LIKELIEST = 1, HONE_LAST_SCORES = 2 };

// Reads `counts[row]` new tokens of every row, row after row in `tokens`. `likeliest` has room for one a row or token; it is -1 where scores
// are not finite. `scores` becomes `[rows, vocabulary]` in float32.
int hone_decoding_read(hone_decoding decoding, const int64_t *tokens, const int64_t *counts, int32_t wanted,
                       int64_t *likeliest, hone_tensor *scores);
// Goes on with these rows: dropped, repeated, in another order. What rows share is kept once.
int hone_decoding_select(hone_decoding decoding, const int64_t *rows, int64_t count);
// Forgets the last tokens of a row.
int hone_decoding_shorten(hone_decoding decoding, int64_t row, int64_t length);

#ifdef __cplusplus
}
#endif
#endif
