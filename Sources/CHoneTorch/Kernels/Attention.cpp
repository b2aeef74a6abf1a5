// Attention over rows of unequal length that stand one after the other without padding, or that share their beginnings, with
// rotary positions and grouped heads inside, forward and backward. Everything is computed in f32 whatever the inputs are.
#include "Attention.h"
#include "Kernels.h"
#include "Parallel.h"
#include "SmallProduct.h"

#include <cmath>
#include <limits>
#include <vector>

namespace hone {
namespace {

using attention::block_rows;
using attention::Bundle;
using attention::fetch;
using attention::give_back;
using attention::Rows;
using attention::Shape;
using attention::Sums;
using attention::Trunk;
using attention::whole;

// Rows are not cut into shorter pieces than this for the threads' sake: each piece prepares all keys before it.
constexpr int64_t shortest_piece = 256;

template <typename Element>
void forward(const Shape &shape, Rows<Element> queries, Rows<Element> keys, Rows<Element> values,
             const Element *cosine, const Element *sine, Element *out, float *logs) {
    parallel_tasks(shape.tasks(), shape.work(), [&](auto level, int64_t task) HONE_BODY {
        const int64_t width = shape.width, padded = shape.padded;
        const Bundle &bundle = shape.layout.bundles[task / shape.shared];
        const int64_t *tokens = shape.layout.keys.data() + bundle.keys;
        const int64_t head = task % shape.shared, before = bundle.before, count = bundle.end - bundle.begin;
        const int64_t length = bundle.length(), columns = whole(length, lanes);
        thread_local std::vector<float> scratch;
        scratch.assign(padded * columns + length * padded + block_rows * (2 * padded + columns), 0);
        float *across = scratch.data(), *value = across + padded * columns, *query = value + length * padded;
        float *sum = query + block_rows * padded, *scores = sum + block_rows * padded;
        for (int64_t j = 0; j < length; ++j) {
            const Element *c = cosine ? cosine + tokens[j] * width : nullptr;
            const Element *s = sine ? sine + tokens[j] * width : nullptr;
            fetch(keys.at(tokens[j], head, width), c, s, width, 1, query);
            for (int64_t i = 0; i < width; ++i) across[i * columns + j] = query[i];
            fetch<Element, float>(values.at(tokens[j], head, width), nullptr, nullptr, width, 1, value + j * padded);
        }
        for (int64_t own = head * shape.group(); own < (head + 1) * shape.group(); ++own) {
            for (int64_t first = 0; first < count; first += block_rows) {
                const int64_t rows = std::min(block_rows, count - first);
                const int64_t seen = shape.causal ? before + first + rows : length, tiled = whole(seen, lanes);
                for (int64_t r = 0; r < rows; ++r) {
                    const int64_t token = bundle.begin + first + r;
                    fetch(queries.at(token, own, width), cosine ? cosine + token * width : nullptr,
                          sine ? sine + token * width : nullptr, width, static_cast<float>(shape.scale),
                          query + r * padded);
                }
                small_product<level>(query, padded, 1, across, columns, scores, columns, rows, tiled, width, false);
                for (int64_t r = 0; r < rows; ++r) {
                    const int64_t open = shape.causal ? before + first + r + 1 : length;
                    const int64_t hidden = before + shape.layout.starts[bundle.begin + first + r] - bundle.begin;
                    float *row = scores + r * columns;
                    const float infinity = std::numeric_limits<float>::infinity();
                    for (int64_t j = before; j < hidden; ++j) row[j] = -infinity;
                    for (int64_t j = open; j < tiled; ++j) row[j] = -infinity;
                    Floats most = {}, part;
                    most += -infinity;
                    for (int64_t j = 0; j < tiled; j += lanes) {
                        load(part, row + j);
                        raise(most, part);
                    }
                    const float top = largest(most);
                    Floats sums = {};
                    for (int64_t j = 0; j < tiled; j += lanes) {
                        load(part, row + j);
                        part -= top;
                        exponentiate(part);
                        sums += part;
                        store(part, row + j);
                    }
                    const float mass = total(sums), share = 1 / mass;
                    logs[own * shape.tokens + bundle.begin + first + r] = top + std::log(mass);
                    for (int64_t j = 0; j < tiled; j += lanes) {
                        load(part, row + j);
                        store(part * share, row + j);
                    }
                }
                small_product<level>(scores, columns, 1, value, padded, sum, padded, rows, padded, seen, false);
                for (int64_t r = 0; r < rows; ++r) {
                    Element *to = out + ((bundle.begin + first + r) * shape.heads + own) * width;
                    give_back<Element>(sum + r * padded, nullptr, nullptr, width, 1, to);
                }
            }
        }
    });
}

template <typename Element>
void backward(const Shape &shape, Rows<Element> queries, Rows<Element> keys, Rows<Element> values,
              const Element *cosine, const Element *sine, const Element *out, const float *logs, const Element *given,
              Element *query_gradient, Element *key_gradient, Element *value_gradient, const Sums &sums) {
    parallel_tasks(shape.tasks(), shape.work(), [&](auto level, int64_t task) HONE_BODY {
        const int64_t width = shape.width, padded = shape.padded;
        const Bundle &bundle = shape.layout.bundles[task / shape.shared];
        const int64_t *tokens = shape.layout.keys.data() + bundle.keys;
        const int64_t head = task % shape.shared, before = bundle.before, count = bundle.end - bundle.begin;
        const int64_t length = bundle.length(), columns = whole(length, lanes);
        thread_local std::vector<float> scratch;
        scratch.assign(2 * padded * columns + 3 * length * padded + block_rows * (3 * padded + 2 * columns), 0);
        float *key_across = scratch.data(), *value_across = key_across + padded * columns;
        float *key = value_across + padded * columns, *key_sum = key + length * padded;
        float *value_sum = key_sum + length * padded, *query = value_sum + length * padded;
        float *outer = query + block_rows * padded, *query_sum = outer + block_rows * padded;
        float *shares = query_sum + block_rows * padded, *slopes = shares + block_rows * columns;
        for (int64_t j = 0; j < length; ++j) {
            const Element *c = cosine ? cosine + tokens[j] * width : nullptr;
            const Element *s = sine ? sine + tokens[j] * width : nullptr;
            fetch(keys.at(tokens[j], head, width), c, s, width, 1, key + j * padded);
            const Element *value = values.at(tokens[j], head, width);
            for (int64_t i = 0; i < width; ++i) {
                key_across[i * columns + j] = key[j * padded + i];
                value_across[i * columns + j] = static_cast<float>(value[i]);
            }
        }
        for (int64_t own = head * shape.group(); own < (head + 1) * shape.group(); ++own) {
            for (int64_t first = 0; first < count; first += block_rows) {
                const int64_t rows = std::min(block_rows, count - first);
                const int64_t seen = shape.causal ? before + first + rows : length, tiled = whole(seen, lanes);
                float inner[block_rows];
                for (int64_t r = 0; r < rows; ++r) {
                    const int64_t token = bundle.begin + first + r, place = (token * shape.heads + own) * width;
                    fetch(queries.at(token, own, width), cosine ? cosine + token * width : nullptr,
                          sine ? sine + token * width : nullptr, width, static_cast<float>(shape.scale),
                          query + r * padded);
                    float sum = 0;
                    for (int64_t i = 0; i < width; ++i) {
                        const float gradient = given[place + i];
                        outer[r * padded + i] = gradient;
                        sum += gradient * static_cast<float>(out[place + i]);
                    }
                    inner[r] = sum;
                }
                small_product<level>(query, padded, 1, key_across, columns, shares, columns, rows, tiled, width, false);
                small_product<level>(outer, padded, 1, value_across, columns, slopes, columns, rows, tiled, width, false);
                for (int64_t r = 0; r < rows; ++r) {
                    const int64_t open = shape.causal ? before + first + r + 1 : length;
                    const int64_t hidden = before + shape.layout.starts[bundle.begin + first + r] - bundle.begin;
                    float *row = shares + r * columns, *slope = slopes + r * columns;
                    const float log = logs[own * shape.tokens + bundle.begin + first + r], less = inner[r];
                    const float infinity = std::numeric_limits<float>::infinity();
                    for (int64_t j = before; j < hidden; ++j) row[j] = -infinity;
                    for (int64_t j = open; j < tiled; ++j) row[j] = -infinity;
                    for (int64_t j = 0; j < tiled; j += lanes) {
                        Floats share, change;
                        load(share, row + j);
                        load(change, slope + j);
                        share -= log;
                        exponentiate(share);
                        store(share, row + j);
                        store(share * (change - less), slope + j);
                    }
                }
                small_product<level>(shares, 1, columns, outer, padded, value_sum, padded, seen, padded, rows, true);
                small_product<level>(slopes, 1, columns, query, padded, key_sum, padded, seen, padded, rows, true);
                small_product<level>(slopes, columns, 1, key, padded, query_sum, padded, rows, padded, seen, false);
                for (int64_t r = 0; r < rows; ++r) {
                    const int64_t token = bundle.begin + first + r;
                    give_back(query_sum + r * padded, cosine ? cosine + token * width : nullptr,
                              sine ? sine + token * width : nullptr, width, static_cast<float>(shape.scale),
                              query_gradient + (token * shape.heads + own) * width);
                }
            }
        }
        for (int64_t j = 0; j < length; ++j) {
            const int64_t token = tokens[j], place = (token * shape.shared + head) * width;
            if (float *part = part_of_sum(shape, sums, bundle, j, head)) {
                std::memcpy(part, key_sum + j * padded, width * sizeof(float));
                std::memcpy(part + width, value_sum + j * padded, width * sizeof(float));
                continue;
            }
            give_back(key_sum + j * padded, cosine ? cosine + token * width : nullptr,
                      sine ? sine + token * width : nullptr, width, 1, key_gradient + place);
            give_back<Element>(value_sum + j * padded, nullptr, nullptr, width, 1, value_gradient + place);
        }
    });
}

// The gradients of keys and values that several bundles look at, from the parts that their tasks have left.
template <typename Element>
void gather(const Shape &shape, const Sums &sums, const Element *cosine, const Element *sine, Element *key_gradient,
            Element *value_gradient) {
    const int64_t width = shape.width;
    for (const Trunk &trunk : shape.layout.trunks) {
        parallel(trunk.end - trunk.begin, 8, [&](int64_t begin, int64_t end) HONE_BODY {
            for (int64_t i = begin; i < end; ++i) {
                const int64_t token = trunk.begin + i;
                for (int64_t head = 0; head < shape.shared; ++head) {
                    const int64_t place = token * shape.shared + head;
                    float *sum = sums.own + place * 2 * width;
                    for (int64_t number : trunk.bundles) {
                        const Bundle &bundle = shape.layout.bundles[number];
                        const float *part = part_of_sum(shape, sums, bundle, trunk.before + i, head);
                        for (int64_t k = 0; k < 2 * width; ++k) sum[k] += part[k];
                    }
                    give_back(sum, cosine ? cosine + token * width : nullptr, sine ? sine + token * width : nullptr,
                              width, 1, key_gradient + place * width);
                    give_back<Element>(sum + width, nullptr, nullptr, width, 1, value_gradient + place * width);
                }
            }
        });
    }
}

template <typename Element>
Rows<Element> rows_of(const at::Tensor &tensor) {
    return {read<Element>(tensor), tensor.stride(0)};
}

Shape shape_of(const at::Tensor &queries, const at::Tensor &keys, const at::Tensor &offsets,
               const at::Tensor &parents, int64_t width, bool causal, double scale) {
    Shape shape{};
    shape.tokens = queries.size(0);
    shape.heads = queries.size(1) / width;
    shape.shared = keys.size(1) / width;
    shape.width = width;
    shape.padded = whole(width, lanes);
    shape.scale = scale;
    shape.causal = causal;
    const int64_t segments = offsets.numel() - 1, wanted = 4 * at::get_num_threads();
    int64_t longest = std::numeric_limits<int64_t>::max();
    if (causal && segments * shape.shared < wanted) {
        const int64_t pieces = (wanted + shape.shared - 1) / shape.shared;
        longest = std::max<int64_t>(shortest_piece, (shape.tokens + pieces - 1) / pieces);
    }
    shape.layout = attention::layout_of(read<int64_t>(offsets), parents.defined() ? read<int64_t>(parents) : nullptr,
                                        segments, longest);
    return shape;
}

at::Tensor in_rows(const at::Tensor &tensor) { return tensor.stride(1) == 1 ? tensor : tensor.contiguous(); }

bool suits_dot_products(const Shape &shape) {
    return attention::has_dot_products() && shape.width % (2 * lanes) == 0;
}

template <typename Element>
auto forward_kernel(const Shape &shape) {
    if constexpr (std::is_same_v<Element, c10::BFloat16>) {
        if (suits_dot_products(shape)) return &attention::dot_forward;
    }
    return &hone::forward<Element>;
}
template <typename Element>
auto backward_kernel(const Shape &shape) {
    if constexpr (std::is_same_v<Element, c10::BFloat16>) {
        if (suits_dot_products(shape)) return &attention::dot_backward;
    }
    return &hone::backward<Element>;
}

struct SegmentAttention : torch::autograd::Function<SegmentAttention> {
    static at::Tensor forward(torch::autograd::AutogradContext *context, const at::Tensor &given_queries,
                              const at::Tensor &given_keys, const at::Tensor &given_values, const at::Tensor &offsets,
                              const std::optional<at::Tensor> &parents, const std::optional<at::Tensor> &cosine,
                              const std::optional<at::Tensor> &sine, int64_t width, bool causal, double scale) {
        at::AutoDispatchBelowADInplaceOrView guard;
        const at::Tensor queries = in_rows(given_queries), keys = in_rows(given_keys), values = in_rows(given_values);
        const Shape shape = shape_of(queries, keys, offsets, parents.value_or(at::Tensor()), width, causal, scale);
        at::Tensor out = at::empty({shape.tokens, shape.heads * width}, queries.options());
        at::Tensor logs = at::empty({shape.heads, shape.tokens}, queries.options().dtype(at::kFloat));
        for_element(queries, [&](auto element) {
            using Element = decltype(element);
            const auto kernel = forward_kernel<Element>(shape);
            kernel(
                shape, rows_of<Element>(queries), rows_of<Element>(keys), rows_of<Element>(values),
                cosine ? read<Element>(*cosine) : nullptr, sine ? read<Element>(*sine) : nullptr,
                out.mutable_data_ptr<Element>(), logs.mutable_data_ptr<float>());
        });
        context->save_for_backward({queries, keys, values, offsets, cosine.value_or(at::Tensor()),
                                    sine.value_or(at::Tensor()), out, logs, parents.value_or(at::Tensor())});
        context->saved_data["width"] = width;
        context->saved_data["causal"] = causal;
        context->saved_data["scale"] = scale;
        return out;
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context,
                                                   const torch::autograd::variable_list &gradients) {
        refuse_second_derivative("attention");
        const auto saved = context->get_saved_variables();
        const at::Tensor &queries = saved[0], &keys = saved[1], &values = saved[2], &cosine = saved[4],
                         &sine = saved[5], &out = saved[6], &logs = saved[7];
        const int64_t width = context->saved_data["width"].toInt();
        const Shape shape = shape_of(queries, keys, saved[3], saved[8], width, context->saved_data["causal"].toBool(),
                                     context->saved_data["scale"].toDouble());
        const at::Tensor given = gradients[0].contiguous();
        at::Tensor query_gradient = at::empty({shape.tokens, shape.heads * width}, queries.options());
        at::Tensor key_gradient = at::empty({shape.tokens, shape.shared * width}, queries.options());
        at::Tensor value_gradient = at::empty_like(key_gradient);
        at::Tensor own, chains;
        Sums sums;
        if (!shape.layout.trunks.empty()) {
            own = at::empty({shape.tokens, shape.shared, 2, width}, queries.options().dtype(at::kFloat));
            chains = at::empty({shape.layout.chained, shape.shared, 2, width}, own.options());
            sums = {own.mutable_data_ptr<float>(), chains.mutable_data_ptr<float>()};
        }
        for_element(queries, [&](auto element) {
            using Element = decltype(element);
            const auto kernel = backward_kernel<Element>(shape);
            kernel(
                shape, rows_of<Element>(queries), rows_of<Element>(keys), rows_of<Element>(values),
                cosine.defined() ? read<Element>(cosine) : nullptr,
                sine.defined() ? read<Element>(sine) : nullptr, read<Element>(out),
                read<float>(logs), read<Element>(given),
                query_gradient.mutable_data_ptr<Element>(), key_gradient.mutable_data_ptr<Element>(),
                value_gradient.mutable_data_ptr<Element>(), sums);
            gather(shape, sums, cosine.defined() ? read<Element>(cosine) : nullptr,
                   sine.defined() ? read<Element>(sine) : nullptr, key_gradient.mutable_data_ptr<Element>(),
                   value_gradient.mutable_data_ptr<Element>());
        });
        return {query_gradient, key_gradient, value_gradient, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor(),
                at::Tensor(), at::Tensor(), at::Tensor()};
    }
};

}  // namespace

at::Tensor segment_attention(const at::Tensor &queries, const at::Tensor &keys, const at::Tensor &values,
                             const at::Tensor &offsets, const std::optional<at::Tensor> &parents,
                             const std::optional<at::Tensor> &cosine, const std::optional<at::Tensor> &sine,
                             int64_t width, bool causal, double scale) {
    for (const at::Tensor *tensor : {&queries, &keys, &values}) {
        TORCH_CHECK(tensor->dim() == 2 && tensor->size(0) == queries.size(0), "vectors are [tokens, heads · width]");
        TORCH_CHECK(tensor->scalar_type() == queries.scalar_type(), "queries, keys and values differ in type");
        TORCH_CHECK(tensor->device().is_cpu() && width > 0 && tensor->size(1) % width == 0, "heads of unequal width");
    }
    TORCH_CHECK(keys.size(1) == values.size(1) && keys.size(1) > 0 && queries.size(1) % keys.size(1) == 0,
                "the heads do not fall into groups");
    TORCH_CHECK(offsets.scalar_type() == at::kLong && offsets.dim() == 1 && offsets.numel() > 1 &&
                    offsets.is_contiguous() && offsets.device().is_cpu(),
                "offsets are whole numbers");
    const int64_t *places = read<int64_t>(offsets);
    TORCH_CHECK(places[0] == 0 && places[offsets.numel() - 1] == queries.size(0), "offsets do not cover the tokens");
    for (int64_t i = 1; i < offsets.numel(); ++i) TORCH_CHECK(places[i - 1] <= places[i], "offsets fall");
    if (parents) {
        TORCH_CHECK(parents->scalar_type() == at::kLong && parents->dim() == 1 && parents->is_contiguous() &&
                        parents->device().is_cpu() && parents->numel() == offsets.numel() - 1 && causal,
                    "each segment has one parent, and sees what is before it");
        const int64_t *above = read<int64_t>(*parents);
        for (int64_t i = 0; i < parents->numel(); ++i) {
            TORCH_CHECK(above[i] >= -1 && above[i] < i, "a segment's parent stands before it");
        }
    }
    TORCH_CHECK(cosine.has_value() == sine.has_value(), "angles come in pairs");
    for (const auto &angle : {cosine, sine}) {
        TORCH_CHECK(!angle || (angle->is_contiguous() && angle->scalar_type() == queries.scalar_type() &&
                               angle->numel() == queries.size(0) * width && width % 2 == 0),
                    "angles are [tokens, width]");
    }
    return SegmentAttention::apply(queries, keys, values, offsets, parents, cosine, sine, width, causal, scale);
}

}  // namespace hone
