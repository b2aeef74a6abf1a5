// The C functions of CHoneDecoding.h: tensors become a plan.
#include <ATen/ops/empty.h>

#include "../Internal.h"
#include "../Kernels/Kernels.h"
#include "CHoneDecoding.h"
#include "Decoder.h"

using namespace hone::decoding;

struct hone_decoder_s {
    Decoder decoder;
};
struct hone_decoding_s {
    Decoding decoding;
};

namespace {

class Builder {
  public:
    Builder(const hone_decoder_shape &shape, Decoder &made) : shape(shape), made(made) {}

    void build() {
        made.width = shape.width;
        made.inner = shape.inner;
        made.heads = shape.heads;
        made.key_heads = shape.key_heads;
        made.head_width = shape.head_width;
        made.joined = shape.joined;
        made.activation = shape.activation;
        made.centres = shape.centres;
        made.parallel = shape.parallel;
        made.epsilon = static_cast<float>(shape.epsilon);
        made.amplitude = static_cast<float>(shape.amplitude);
        made.position_offset = shape.position_offset;
        for (int64_t size : {shape.width, shape.inner, shape.heads, shape.key_heads, shape.head_width}) {
            TORCH_CHECK(size > 0, "a decoder has sizes above 0");
        }
        TORCH_CHECK(shape.heads % shape.key_heads == 0 && 2 * shape.frequency_count <= shape.head_width,
                    "heads do not fit");
        const at::Tensor tokens = table(shape.tokens);
        made.vocabulary = tokens.size(0);
        made.tokens = tokens.const_data_ptr();
        made.table_form = form(tokens);
        if (shape.positions) {
            const at::Tensor positions = table(shape.positions);
            TORCH_CHECK(form(positions) == made.table_form, "tables differ in type");
            made.positions = positions.const_data_ptr();
            made.position_count = positions.size(0);
        }
        if (shape.prefix) {
            const at::Tensor prefix = table(shape.prefix);
            made.prefix = floats(prefix);
        }
        made.frequencies.assign(shape.frequencies, shape.frequencies + shape.frequency_count);
        made.last_norm = norm(shape.last_norm, shape.width);
        made.quantised.reserve(shape.quantises ? 7 * shape.layer_count + 1 : 0);
        for (int64_t i = 0; i < shape.layer_count; ++i) made.layers.push_back(layer(shape.layers[i]));
        hone_decoder_map head{shape.head, nullptr, nullptr, nullptr, 1};
        made.head = map(head, made.vocabulary, shape.width);
        made.pages = {shape.layer_count, shape.key_heads, shape.head_width, made.table_form == Form::bfloat16};
    }

  private:
    const hone_decoder_shape &shape;
    Decoder &made;

    static Form form(const at::Tensor &tensor) {
        return tensor.scalar_type() == at::kFloat ? Form::float32 : Form::bfloat16;
    }

    // The tensor of a handle, kept for as long as the plan.
    at::Tensor tensor(hone_tensor handle, at::IntArrayRef sizes) {
        at::Tensor found = hone::borrow(handle).detach();
        TORCH_CHECK(found.device().is_cpu() && (found.scalar_type() == at::kFloat || found.scalar_type() == at::kBFloat16),
                    "a decoder is made of float32 or bfloat16 tensors on the CPU");
        TORCH_CHECK(sizes.empty() || found.sizes() == sizes, "a tensor of shape ", found.sizes(), " where ", sizes, " is needed");
        found = found.contiguous();
        made.tensors.push_back(found);
        return found;
    }
    at::Tensor table(hone_tensor handle) {
        at::Tensor found = tensor(handle, {});
        TORCH_CHECK(found.dim() == 2 && found.size(1) == shape.width, "a table is [rows, width]");
        return found;
    }
    static std::vector<float> floats(const at::Tensor &tensor) {
        const at::Tensor all = tensor.to(at::kFloat).contiguous();
        const auto *from = static_cast<const float *>(all.const_data_ptr());
        return {from, from + all.numel()};
    }

    Norm norm(const hone_decoder_norm &given, int64_t width) {
        Norm found;
        if (!given.weight) return found;
        found.weight = floats(tensor(given.weight, {width}));
        if (given.bias) found.bias = floats(tensor(given.bias, {width}));
        return found;
    }

    Map map(const hone_decoder_map &given, int64_t outputs, int64_t inputs) {
        Map found;
        const at::Tensor weight = tensor(given.weight, {outputs, inputs});
        if (shape.quantises) {
            if (form(weight) == Form::float32) {
                made.quantised.push_back(quantised(static_cast<const float *>(weight.const_data_ptr()), outputs, inputs));
            } else {
                made.quantised.push_back(
                    quantised(static_cast<const c10::BFloat16 *>(weight.const_data_ptr()), outputs, inputs));
            }
            const Int8Weight &kept = made.quantised.back();
            found.weight = kept.weight();
            made.bytes += static_cast<int64_t>(kept.data.size() + kept.scales.size() * sizeof(float));
        } else {
            found.weight = {form(weight), weight.const_data_ptr(), nullptr, outputs, inputs};
            made.bytes += static_cast<int64_t>(weight.numel() * weight.element_size());
        }
        if (given.bias) found.bias = floats(tensor(given.bias, {outputs}));
        if (given.down) {
            const int64_t rank = hone::borrow(given.down).size(0);
            const at::Tensor down = tensor(given.down, {rank, inputs}), up = tensor(given.up, {outputs, rank});
            TORCH_CHECK(form(down) == Form::float32 && form(up) == Form::float32, "an update's factors are float32");
            found.down = static_cast<const float *>(down.const_data_ptr());
            found.up = static_cast<const float *>(up.const_data_ptr());
            found.rank = rank;
            found.scale = static_cast<float>(given.scale);
        }
        return found;
    }

    Layer layer(const hone_decoder_layer &given) {
        Layer found;
        const int64_t width = shape.width, queries = made.query_width(), keys = made.key_width();
        if (shape.joined != 0) {
            TORCH_CHECK(shape.joined == 1 || shape.heads == shape.key_heads, "joined heads have keys of their own");
            found.inputs.push_back(map(given.inputs[0], queries + 2 * keys, width));
        } else {
            for (int i = 0; i < 3; ++i) found.inputs.push_back(map(given.inputs[i], i == 0 ? queries : keys, width));
        }
        found.output = map(given.output, width, queries);
        if (given.gate.weight) found.gate = map(given.gate, shape.inner, width);
        found.up = map(given.up, shape.inner, width);
        found.down = map(given.down, width, shape.inner);
        found.attention_norm = norm(given.attention_norm, width);
        found.mlp_norm = norm(given.mlp_norm, width);
        found.query_norm = norm(given.query_norm, shape.head_width);
        found.key_norm = norm(given.key_norm, shape.head_width);
        found.window = given.window;
        found.scale = static_cast<float>(given.scale);
        return found;
    }
};

}  // namespace

at::Tensor hone::few_rows_product(const at::Tensor &input, const at::Tensor &weight, bool quantises, bool portable) {
    TORCH_CHECK(input.dim() == 2 && weight.dim() == 2 && input.size(1) == weight.size(1) && input.device().is_cpu(),
                "input is [rows, inputs], weight [outputs, inputs]");
    const at::Tensor numbers = input.to(at::kFloat).contiguous(), kept = weight.contiguous();
    at::Tensor out = at::empty({input.size(0), weight.size(0)}, numbers.options());
    for_element(kept, [&](auto element) {
        using Element = decltype(element);
        Int8Weight bytes;
        Weight read{std::is_same_v<Element, float> ? Form::float32 : Form::bfloat16, kept.const_data_ptr(), nullptr,
                    kept.size(0), kept.size(1)};
        if (quantises) {
            bytes = quantised(hone::read<Element>(kept), kept.size(0), kept.size(1));
            read = bytes.weight();
        }
        Inputs inputs;
        inputs.take(read.form, hone::read<float>(numbers), numbers.size(1), numbers.size(0), numbers.size(1));
        product(read, inputs, 0, read.outputs, static_cast<float *>(out.mutable_data_ptr()), read.outputs, portable);
    });
    return out;
}

extern "C" {

int hone_decoder_make(const hone_decoder_shape *shape, hone_decoder *made) {
    return hone::guarded([&] {
        auto plan = std::make_unique<hone_decoder_s>();
        Builder(*shape, plan->decoder).build();
        *made = plan.release();
    });
}
void hone_decoder_free(hone_decoder decoder) { delete decoder; }
int64_t hone_decoder_bytes(hone_decoder decoder) { return decoder->decoder.bytes; }

int hone_decoding_make(hone_decoder decoder, int64_t rows, hone_decoding *made) {
    return hone::guarded([&] { *made = new hone_decoding_s{Decoding(decoder->decoder, rows)}; });
}
void hone_decoding_free(hone_decoding decoding) { delete decoding; }

int hone_decoding_read(hone_decoding decoding, const int64_t *tokens, const int64_t *counts, int32_t wanted,
                       int64_t *likeliest, hone_tensor *scores) {
    return hone::guarded([&] {
        Decoding &all = decoding->decoding;
        if (wanted == HONE_LAST_SCORES) {
            at::Tensor made = at::empty({all.row_count(), all.decoder.vocabulary}, at::TensorOptions().dtype(at::kFloat));
            all.read(tokens, counts, Wanted::last_scores, nullptr, static_cast<float *>(made.mutable_data_ptr()));
            *scores = hone::hand_over(made);
        } else {
            all.read(tokens, counts, wanted == HONE_EVERY_LIKELIEST ? Wanted::every_likeliest : Wanted::last_likeliest,
                     likeliest, nullptr);
        }
    });
}
int hone_decoding_select(hone_decoding decoding, const int64_t *rows, int64_t count) {
    return hone::guarded([&] { decoding->decoding.select(rows, count); });
}
int hone_decoding_shorten(hone_decoding decoding, int64_t row, int64_t length) {
    return hone::guarded([&] { decoding->decoding.shorten(row, length); });
}

}  // extern "C"
