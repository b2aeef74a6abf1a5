// Linear maps of one input, each with an optional low-rank update, as one step of the graph: the input's gradient is
// summed in place, the thin products of all maps are made together, and what the update has in between is kept in its
// small form only.
#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>

#include "Kernels.h"

namespace hone {
namespace {

using Pointwise = at::Tensor(const at::Tensor &, const at::Tensor &, const std::optional<at::Tensor> &,
                             std::string_view, c10::List<std::optional<at::Scalar>>, std::optional<std::string_view>);
using Onto = at::Tensor(const at::Tensor &, const at::Tensor &, const at::Tensor &, const std::optional<at::Tensor> &,
                        std::string_view);

// A product of fewer multiplications than this is not worth another library's preparations.
constexpr int64_t worthwhile = 1 << 15;

bool through_onednn(const at::Tensor &x, const at::Tensor &weight) {
    return x.scalar_type() == at::kFloat && weight.scalar_type() == at::kFloat && x.device().is_cpu() &&
           x.numel() * weight.size(0) >= worthwhile;
}

}  // namespace

at::Tensor product(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias) {
    std::optional<at::Tensor> optional_bias;
    if (bias.defined()) optional_bias = bias;
    if (!through_onednn(x, weight)) return at::linear(x, weight, optional_bias);
    static const auto call =
        c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_linear_pointwise", "").typed<Pointwise>();
    return call.call(x, weight, optional_bias, "none", c10::List<std::optional<at::Scalar>>(), "");
}

at::Tensor product_onto(at::Tensor sum, const at::Tensor &x, const at::Tensor &weight) {
    if (!sum.defined()) return product(x, weight);
    if (!through_onednn(x, weight)) return sum.addmm_(x, weight.t());
    static const auto call =
        c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_linear_pointwise", "binary").typed<Onto>();
    return call.call(x, sum, weight, std::nullopt, "add");
}

namespace {

// What a group consists of besides its input: the tensors that are there, and where the weights, biases, downs and ups of
// the maps stand among them; -1 for those that are not. Downs and ups stand map by map for each segment of the tokens.
struct Parts {
    const at::TensorList all;
    const std::vector<int64_t> &places;
    const size_t count, segments;
    at::Tensor part(size_t i) const { return places[i] < 0 ? at::Tensor() : all[places[i]]; }
    at::Tensor weight(size_t i) const { return part(i); }
    at::Tensor bias(size_t i) const { return part(count + i); }
    size_t down_place(size_t segment, size_t i) const { return 2 * count + segment * count + i; }
    size_t up_place(size_t segment, size_t i) const { return down_place(segments + segment, i); }
    at::Tensor down(size_t segment, size_t i) const { return part(down_place(segment, i)); }
    at::Tensor up(size_t segment, size_t i) const { return part(up_place(segment, i)); }
    // Whether any down is among the parts that are asked for: downs stand together.
    bool has_down(const std::vector<int64_t> &needs) const {
        const auto begin = needs.begin() + down_place(0, 0), end = begin + segments * count;
        return std::any_of(begin, end, [](int64_t need) { return need != 0; });
    }
};

// Where segments of tokens begin, and the number of tokens at the end.
struct Segments {
    const std::vector<int64_t> &bounds;
    size_t count() const { return bounds.size() - 1; }
    bool is_whole() const { return count() == 1; }
    int64_t length(size_t i) const { return bounds[i + 1] - bounds[i]; }
    at::Tensor of(const at::Tensor &rows, size_t i) const {
        return is_whole() ? rows : rows.narrow(0, bounds[i], length(i));
    }
    // Adds `x · weightᵀ` to the segment's rows of a sum.
    void add(at::Tensor &sum, size_t i, const at::Tensor &x, const at::Tensor &weight) const {
        if (is_whole()) {
            sum = product_onto(sum, x, weight);
        } else if (through_onednn(x, weight)) {
            of(sum, i).add_(product(x, weight));
        } else {
            of(sum, i).addmm_(x, weight.t());
        }
    }
};

// Whether all segments have as many tokens and updates of the same ranks: their thin products can then be made as one.
bool are_alike(const Parts &parts, const Segments &segments) {
    if (segments.is_whole() || segments.length(0) == 0) return false;
    bool has_update = false;
    for (size_t s = 0; s < segments.count(); ++s) {
        if (segments.length(s) != segments.length(0)) return false;
        for (size_t i = 0; i < parts.count; ++i) {
            const at::Tensor down = parts.down(s, i), first = parts.down(0, i);
            if (down.defined() != first.defined() || (down.defined() && down.size(0) != first.size(0))) return false;
            has_update = has_update || down.defined();
        }
    }
    return has_update;
}

// Rows as `[segments, length, width]`.
at::Tensor by_segment(const at::Tensor &rows, size_t segments) {
    const int64_t count = static_cast<int64_t>(segments);
    return rows.view({count, rows.size(0) / count, rows.size(1)});
}

// The updates of alike segments: factors and products of all of them at once. Kept between the passes are the input's thin
// products and the factors, ups with their scales.
struct AlikeUpdates {
    at::Tensor down;               // [segments, ranks, inputs]
    std::vector<at::Tensor> ups;   // [segments, outputs, rank], one a map that has updates
    at::Tensor inner;              // [segments, length, ranks]

    static AlikeUpdates forward(const Parts &parts, const Segments &segments, const std::vector<double> &scales,
                                const at::Tensor &x, std::vector<at::Tensor> &made) {
        AlikeUpdates all;
        const auto type = x.scalar_type();
        const size_t count = parts.count, groups = segments.count();
        std::vector<at::Tensor> downs;
        for (size_t i = 0; i < count; ++i) {
            if (!parts.down(0, i).defined()) continue;
            std::vector<at::Tensor> own_downs, own_ups;
            for (size_t s = 0; s < groups; ++s) {
                const double scale = scales[s * count + i];
                own_downs.push_back(parts.down(s, i));
                own_ups.push_back(scale == 1 ? parts.up(s, i) : parts.up(s, i) * scale);
            }
            downs.push_back(at::stack(own_downs));
            all.ups.push_back(at::stack(own_ups).to(type));
        }
        all.down = (downs.size() == 1 ? downs[0] : at::cat(downs, 1)).to(type);
        all.inner = at::bmm(by_segment(x, groups), all.down.transpose(1, 2));
        int64_t rank = 0;
        size_t place = 0;
        for (size_t i = 0; i < count; ++i) {
            if (!parts.down(0, i).defined()) continue;
            const at::Tensor &up = all.ups[place++];
            by_segment(made[i], groups).baddbmm_(all.inner.narrow(2, rank, up.size(2)), up.transpose(1, 2));
            rank += up.size(2);
        }
        return all;
    }

    // Adds to the input's gradient, and leaves those of the factors.
    void backward(const Parts &parts, const Segments &segments, const std::vector<double> &scales,
                  const std::vector<int64_t> &needs, const at::Tensor &x, const std::vector<at::Tensor> &given,
                  at::Tensor &input_gradient, std::vector<at::Tensor> &found) const {
        const size_t count = parts.count, groups = segments.count();
        std::vector<at::Tensor> inner_gradients;
        int64_t rank = 0;
        size_t place = 0;
        for (size_t i = 0; i < count; ++i) {
            if (parts.places[parts.down_place(0, i)] < 0) continue;
            const at::Tensor &up = ups[place++];
            const int64_t own = up.size(2);
            if (given[i].defined()) {
                const at::Tensor mine = by_segment(given[i], groups);
                inner_gradients.push_back(at::bmm(mine, up));
                const at::Tensor turned = at::bmm(mine.transpose(1, 2), inner.narrow(2, rank, own)).to(at::kFloat);
                for (size_t s = 0; s < groups; ++s) {
                    if (!needs[parts.up_place(s, i)]) continue;
                    const double scale = scales[s * count + i];
                    found[parts.up_place(s, i)] = scale == 1 ? turned[s] : turned[s] * scale;
                }
            } else {
                inner_gradients.push_back(at::zeros({inner.size(0), inner.size(1), own}, inner.options()));
            }
            rank += own;
        }
        const at::Tensor all = inner_gradients.size() == 1 ? inner_gradients[0] : at::cat(inner_gradients, 2);
        if (input_gradient.defined()) by_segment(input_gradient, groups).baddbmm_(all, down);
        if (!parts.has_down(needs)) return;
        const at::Tensor turned = at::bmm(all.transpose(1, 2), by_segment(x, groups)).to(at::kFloat);
        rank = 0;
        place = 0;
        for (size_t i = 0; i < count; ++i) {
            if (parts.places[parts.down_place(0, i)] < 0) continue;
            const int64_t own = ups[place++].size(2);
            for (size_t s = 0; s < groups; ++s) {
                if (needs[parts.down_place(s, i)]) {
                    found[parts.down_place(s, i)] = turned[s].narrow(0, rank, own);
                }
            }
            rank += own;
        }
    }
};

struct LinearGroup : torch::autograd::Function<LinearGroup> {
    static torch::autograd::variable_list forward(torch::autograd::AutogradContext *context, const at::Tensor &input,
                                                  at::TensorList given, std::vector<int64_t> places,
                                                  std::vector<double> scales, std::vector<int64_t> bounds) {
        at::AutoDispatchBelowADInplaceOrView guard;
        const Segments segments{bounds};
        const size_t count = scales.size() / segments.count();
        const Parts parts{given, places, count, segments.count()};
        const at::Tensor rows = input.reshape({-1, input.size(-1)}).contiguous(), x = widened(rows);
        const auto type = x.scalar_type();
        std::vector<int64_t> shape = input.sizes().vec();
        std::vector<at::Tensor> made(count), ups(scales.size()), downs(segments.count()), inners(segments.count());
        for (size_t i = 0; i < count; ++i) made[i] = product(x, widened(parts.weight(i)), widened(parts.bias(i)));
        const bool alike = are_alike(parts, segments);
        std::vector<at::Tensor> kept{rows}, results;
        if (alike) {
            AlikeUpdates all = AlikeUpdates::forward(parts, segments, scales, x, made);
            kept.push_back(all.down);
            kept.push_back(all.inner);
            kept.insert(kept.end(), all.ups.begin(), all.ups.end());
        }
        for (size_t s = 0; s < segments.count() && !alike; ++s) {
            if (segments.length(s) == 0) continue;
            std::vector<at::Tensor> own;
            for (size_t i = 0; i < count; ++i) {
                if (!parts.down(s, i).defined()) continue;
                const double scale = scales[s * count + i];
                own.push_back(parts.down(s, i).to(type));
                ups[s * count + i] = (scale == 1 ? parts.up(s, i) : parts.up(s, i) * scale).to(type);
            }
            if (own.empty()) continue;
            downs[s] = own.size() == 1 ? own[0] : at::cat(own);
            inners[s] = product(segments.of(x, s), downs[s]);
            int64_t rank = 0;
            for (size_t i = 0; i < count; ++i) {
                const at::Tensor &up = ups[s * count + i];
                if (!up.defined()) continue;
                segments.add(made[i], s, inners[s].narrow(1, rank, up.size(1)), up);
                rank += up.size(1);
            }
        }
        // The weights stand first among what is kept, after the input.
        std::vector<at::Tensor> weights;
        for (size_t i = 0; i < count; ++i) {
            weights.push_back(parts.weight(i));
            shape.back() = made[i].size(1);
            results.push_back(made[i].to(rows.scalar_type()).view(shape));
        }
        kept.insert(kept.begin() + 1, weights.begin(), weights.end());
        if (!alike) {
            for (const auto *list : {&ups, &downs, &inners}) kept.insert(kept.end(), list->begin(), list->end());
        }
        context->saved_data["alike"] = alike;
        context->save_for_backward(kept);
        context->saved_data["scales"] = scales;
        context->saved_data["shape"] = input.sizes().vec();
        std::vector<int64_t> needs;
        for (int64_t place : places) needs.push_back(place >= 0 && given[place].requires_grad());
        context->saved_data["needs"] = needs;
        context->saved_data["places"] = places;
        context->saved_data["bounds"] = bounds;
        context->saved_data["needs_input"] = input.requires_grad();
        context->set_materialize_grads(false);
        return results;
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context,
                                                   const torch::autograd::variable_list &gradients) {
        refuse_second_derivative("linear");
        const auto saved = context->get_saved_variables();
        const auto needs = context->saved_data["needs"].toIntVector();
        const auto places = context->saved_data["places"].toIntVector();
        const auto scales = context->saved_data["scales"].toDoubleVector();
        const auto bounds = context->saved_data["bounds"].toIntVector();
        const bool needs_input = context->saved_data["needs_input"].toBool();
        const Segments segments{bounds};
        const size_t count = scales.size() / segments.count();
        const Parts parts{{}, places, count, segments.count()};
        const at::Tensor &rows = saved[0];
        const auto type = rows.scalar_type();
        const auto kept_up = [&](size_t s, size_t i) -> const at::Tensor & { return saved[1 + count + s * count + i]; };
        const size_t first_down = 1 + count + scales.size();
        // Only the gradients of weights and downs ask for the input.
        const bool trains_weight = std::any_of(needs.begin(), needs.begin() + count, [](int64_t need) { return need != 0; });
        const at::Tensor x = trains_weight || parts.has_down(needs) ? widened(rows) : rows;
        std::vector<at::Tensor> found(places.size()), given(count);
        at::Tensor input_gradient;
        for (size_t i = 0; i < count; ++i) {
            if (!gradients[i].defined()) continue;
            given[i] = widened(gradients[i].reshape({x.size(0), -1}).contiguous());
            if (needs_input) input_gradient = product_onto(input_gradient, given[i], widened(saved[1 + i]).t());
            if (needs[i]) found[i] = product(given[i].t(), x.t()).to(type);
            if (needs[count + i]) found[count + i] = given[i].sum(0).to(type);
        }
        if (context->saved_data["alike"].toBool()) {
            const AlikeUpdates all{saved[1 + count], {saved.begin() + 3 + count, saved.end()}, saved[2 + count]};
            all.backward(parts, segments, scales, needs, x, given, input_gradient, found);
        }
        for (size_t s = 0; s < segments.count() && !context->saved_data["alike"].toBool(); ++s) {
            const at::Tensor &down = saved[first_down + s], &inner = saved[first_down + segments.count() + s];
            if (!down.defined()) continue;
            std::vector<at::Tensor> inner_gradients;
            int64_t rank = 0;
            bool trains_down = false;
            for (size_t i = 0; i < count; ++i) {
                const at::Tensor &up = kept_up(s, i);
                if (!up.defined()) continue;
                const int64_t start = rank, own = up.size(1);
                rank += own;
                trains_down = trains_down || needs[parts.down_place(s, i)];
                if (!given[i].defined()) {
                    inner_gradients.push_back(at::zeros({segments.length(s), own}, inner.options()));
                    continue;
                }
                const at::Tensor mine = segments.of(given[i], s);
                inner_gradients.push_back(product(mine, up.t()));
                if (needs[parts.up_place(s, i)]) {
                    const double scale = scales[s * count + i];
                    const at::Tensor thin = inner.narrow(1, start, own).t().contiguous();
                    const at::Tensor turned = product(thin, mine.t()).to(at::kFloat);
                    found[parts.up_place(s, i)] = (scale == 1 ? turned : turned * scale).t();
                }
            }
            const at::Tensor all = inner_gradients.size() == 1 ? inner_gradients[0] : at::cat(inner_gradients, 1);
            if (needs_input && input_gradient.defined()) segments.add(input_gradient, s, all, down.t());
            if (!trains_down) continue;
            const at::Tensor turned = product(all.t().contiguous(), segments.of(x, s).t()).to(at::kFloat);
            int64_t start = 0;
            for (size_t i = 0; i < count; ++i) {
                const at::Tensor &up = kept_up(s, i);
                if (!up.defined()) continue;
                if (needs[parts.down_place(s, i)]) {
                    found[parts.down_place(s, i)] = turned.narrow(0, start, up.size(1));
                }
                start += up.size(1);
            }
        }
        torch::autograd::variable_list all(1);
        if (input_gradient.defined()) all[0] = input_gradient.to(type).view(context->saved_data["shape"].toIntVector());
        for (size_t i = 0; i < found.size(); ++i) {
            if (places[i] >= 0) all.push_back(found[i]);
        }
        all.resize(all.size() + 3);
        return all;
    }
};

}  // namespace

std::vector<at::Tensor> linear_group(const at::Tensor &input, at::TensorList weights,
                                     const c10::List<std::optional<at::Tensor>> &biases,
                                     const c10::List<std::optional<at::Tensor>> &downs,
                                     const c10::List<std::optional<at::Tensor>> &ups, at::ArrayRef<double> scales,
                                     at::IntArrayRef bounds) {
    const size_t count = weights.size();
    const int64_t tokens = input.size(-1) > 0 ? input.numel() / input.size(-1) : 0;
    std::vector<int64_t> ends = bounds.vec();
    if (ends.empty()) ends = {0, tokens};
    const size_t segments = ends.size() - 1;
    TORCH_CHECK(segments > 0 && ends.front() == 0 && ends.back() == tokens && std::is_sorted(ends.begin(), ends.end()),
                "segments go from the first token to the last");
    TORCH_CHECK(count > 0 && biases.size() == count && downs.size() == count * segments &&
                    ups.size() == count * segments && scales.size() == count * segments,
                "a group has as many biases as weights, and as many updates and scales for each segment");
    std::vector<at::Tensor> parts;
    std::vector<int64_t> places;
    const auto add = [&](const at::Tensor &tensor) {
        places.push_back(tensor.defined() ? static_cast<int64_t>(parts.size()) : -1);
        if (tensor.defined()) parts.push_back(tensor);
    };
    for (const auto &weight : weights) add(weight);
    for (const auto *list : {&biases, &downs, &ups}) {
        for (size_t i = 0; i < list->size(); ++i) add(list->get(i).value_or(at::Tensor()));
    }
    const Parts all{parts, places, count, segments};
    for (size_t i = 0; i < count; ++i) {
        const at::Tensor weight = all.weight(i);
        TORCH_CHECK(weight.defined() && weight.dim() == 2 && input.dim() > 0 && weight.size(1) == input.size(-1) &&
                        weight.scalar_type() == input.scalar_type(),
                    "weights are [outputs, inputs] and of the input's type");
        for (size_t s = 0; s < segments; ++s) {
            const at::Tensor down = all.down(s, i), up = all.up(s, i);
            TORCH_CHECK(down.defined() == up.defined(), "an update has two factors");
            TORCH_CHECK(!down.defined() || (down.dim() == 2 && up.dim() == 2 && down.size(1) == weight.size(1) &&
                                            up.size(0) == weight.size(0) && down.size(0) == up.size(1) &&
                                            down.scalar_type() == at::kFloat && up.scalar_type() == at::kFloat),
                        "an update's factors are [rank, inputs] and [outputs, rank] in float32");
        }
    }
    return LinearGroup::apply(input, at::TensorList(parts), places, scales.vec(), ends);
}

}  // namespace hone
