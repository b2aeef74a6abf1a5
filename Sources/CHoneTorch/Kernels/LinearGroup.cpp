// Linear maps of one input, each with an optional low-rank update, as one step of the graph: the input's gradient is
// summed in place, the thin products of all maps are made together, and what the update has in between is kept in its
// small form only.
#include <ATen/core/dispatch/Dispatcher.h>

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
// the maps stand among them; -1 for those that are not.
struct Parts {
    const at::TensorList all;
    const std::vector<int64_t> &places;
    size_t count() const { return places.size() / 4; }
    at::Tensor part(size_t i) const { return places[i] < 0 ? at::Tensor() : all[places[i]]; }
    at::Tensor weight(size_t i) const { return part(i); }
    at::Tensor bias(size_t i) const { return part(count() + i); }
    at::Tensor down(size_t i) const { return part(2 * count() + i); }
    at::Tensor up(size_t i) const { return part(3 * count() + i); }
};

struct LinearGroup : torch::autograd::Function<LinearGroup> {
    static torch::autograd::variable_list forward(torch::autograd::AutogradContext *context, const at::Tensor &input,
                                                  at::TensorList given, std::vector<int64_t> places,
                                                  std::vector<double> scales) {
        at::AutoDispatchBelowADInplaceOrView guard;
        const Parts parts{given, places};
        const size_t count = parts.count();
        const auto type = input.scalar_type();
        const at::Tensor x = input.reshape({-1, input.size(-1)}).contiguous();
        std::vector<int64_t> shape = input.sizes().vec();
        std::vector<at::Tensor> downs, ups(count), parts_of_inner(count), results;
        for (size_t i = 0; i < count; ++i) {
            if (!parts.down(i).defined()) continue;
            downs.push_back(parts.down(i).to(type));
            ups[i] = (scales[i] == 1 ? parts.up(i) : parts.up(i) * scales[i]).to(type);
        }
        at::Tensor down, inner;
        if (!downs.empty()) {
            down = downs.size() == 1 ? downs[0] : at::cat(downs);
            inner = product(x, down);
        }
        int64_t rank = 0;
        for (size_t i = 0; i < count; ++i) {
            at::Tensor made = product(x, parts.weight(i), parts.bias(i));
            if (ups[i].defined()) {
                parts_of_inner[i] = inner.narrow(1, rank, ups[i].size(1));
                rank += ups[i].size(1);
                made = product_onto(made, parts_of_inner[i], ups[i]);
            }
            shape.back() = made.size(1);
            results.push_back(made.view(shape));
        }
        std::vector<at::Tensor> kept{x, down, inner};
        for (size_t i = 0; i < count; ++i) kept.push_back(parts.weight(i));
        kept.insert(kept.end(), ups.begin(), ups.end());
        context->save_for_backward(kept);
        context->saved_data["scales"] = scales;
        context->saved_data["shape"] = input.sizes().vec();
        std::vector<int64_t> needs;
        for (int64_t place : places) needs.push_back(place >= 0 && given[place].requires_grad());
        context->saved_data["needs"] = needs;
        context->saved_data["places"] = places;
        context->saved_data["needs_input"] = input.requires_grad();
        context->set_materialize_grads(false);
        return results;
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context,
                                                   const torch::autograd::variable_list &gradients) {
        refuse_second_derivative("linear");
        const auto saved = context->get_saved_variables();
        const at::Tensor &x = saved[0], &down = saved[1], &inner = saved[2];
        const size_t count = (saved.size() - 3) / 2;
        const auto needs = context->saved_data["needs"].toIntVector();
        const auto places = context->saved_data["places"].toIntVector();
        const auto scales = context->saved_data["scales"].toDoubleVector();
        const bool needs_input = context->saved_data["needs_input"].toBool();
        std::vector<at::Tensor> found(4 * count);
        at::Tensor input_gradient;
        std::vector<at::Tensor> inner_gradients;
        int64_t rank = 0;
        bool trains_down = false;
        for (size_t i = 0; i < count; ++i) {
            const at::Tensor &up = saved[3 + count + i];
            const int64_t own = up.defined() ? up.size(1) : 0;
            rank += own;
            trains_down = trains_down || needs[2 * count + i];
            if (!gradients[i].defined()) {
                if (own > 0) inner_gradients.push_back(at::zeros({x.size(0), own}, x.options()));
                continue;
            }
            const at::Tensor given = gradients[i].reshape({x.size(0), -1}).contiguous();
            if (needs_input) input_gradient = product_onto(input_gradient, given, saved[3 + i].t());
            if (needs[i]) found[i] = product(given.t(), x.t());
            if (needs[count + i]) found[count + i] = given.sum(0);
            if (own > 0) {
                inner_gradients.push_back(product(given, up.t()));
                if (needs[3 * count + i]) {
                    const at::Tensor thin = inner.narrow(1, rank - own, own).t().contiguous();
                    const at::Tensor turned = product(thin, given.t()).to(at::kFloat);
                    found[3 * count + i] = (scales[i] == 1 ? turned : turned * scales[i]).t();
                }
            }
        }
        if (!inner_gradients.empty()) {
            const at::Tensor given = inner_gradients.size() == 1 ? inner_gradients[0] : at::cat(inner_gradients, 1);
            if (needs_input) input_gradient = product_onto(input_gradient, given, down.t());
            if (trains_down) {
                const at::Tensor all = product(given.t().contiguous(), x.t()).to(at::kFloat);
                int64_t start = 0;
                for (size_t i = 0; i < count; ++i) {
                    const at::Tensor &up = saved[3 + count + i];
                    if (!up.defined()) continue;
                    if (needs[2 * count + i]) found[2 * count + i] = all.narrow(0, start, up.size(1));
                    start += up.size(1);
                }
            }
        }
        torch::autograd::variable_list all(1);
        if (input_gradient.defined()) all[0] = input_gradient.view(context->saved_data["shape"].toIntVector());
        for (size_t i = 0; i < found.size(); ++i) {
            if (places[i] >= 0) all.push_back(found[i]);
        }
        all.resize(all.size() + 2);
        return all;
    }
};

}  // namespace

std::vector<at::Tensor> linear_group(const at::Tensor &input, at::TensorList weights,
                                     const c10::List<std::optional<at::Tensor>> &biases,
                                     const c10::List<std::optional<at::Tensor>> &downs,
                                     const c10::List<std::optional<at::Tensor>> &ups, at::ArrayRef<double> scales) {
    const size_t count = weights.size();
    TORCH_CHECK(count > 0 && biases.size() == count && downs.size() == count && ups.size() == count &&
                    scales.size() == count,
                "a group has as many biases, updates and scales as weights");
    std::vector<at::Tensor> parts;
    std::vector<int64_t> places;
    const auto add = [&](const at::Tensor &tensor) {
        places.push_back(tensor.defined() ? static_cast<int64_t>(parts.size()) : -1);
        if (tensor.defined()) parts.push_back(tensor);
    };
    for (const auto &weight : weights) add(weight);
    for (const auto *list : {&biases, &downs, &ups}) {
        for (size_t i = 0; i < count; ++i) add(list->get(i).value_or(at::Tensor()));
    }
    const Parts all{parts, places};
    for (size_t i = 0; i < count; ++i) {
        const at::Tensor weight = all.weight(i), down = all.down(i), up = all.up(i);
        TORCH_CHECK(weight.defined() && weight.dim() == 2 && input.dim() > 0 && weight.size(1) == input.size(-1) &&
                        weight.scalar_type() == input.scalar_type(),
                    "weights are [outputs, inputs] and of the input's type");
        TORCH_CHECK(down.defined() == up.defined(), "an update has two factors");
        TORCH_CHECK(!down.defined() || (down.dim() == 2 && up.dim() == 2 && down.size(1) == weight.size(1) &&
                                        up.size(0) == weight.size(0) && down.size(0) == up.size(1) &&
                                        down.scalar_type() == at::kFloat && up.scalar_type() == at::kFloat),
                    "an update's factors are [rank, inputs] and [outputs, rank] in float32");
    }
    return LinearGroup::apply(input, at::TensorList(parts), places, scales.vec());
}

}  // namespace hone
