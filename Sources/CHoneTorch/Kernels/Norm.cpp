// Layer and root-mean-square norms with the residual sum before them in one pass, forward and backward.
#include "Kernels.h"
#include "Parallel.h"

#include <cmath>

namespace hone {
namespace {

// So many rows at least for each thread that is woken.
int64_t row_grain(int64_t width) { return std::max<int64_t>(8, 16384 / width); }

template <typename Element>
void forward(const Element *input, const Element *residual, const Element *weight, const Element *bias, bool centres,
             double epsilon, int64_t rows, int64_t width, Element *sum, Element *out, float *means, float *scales) {
    parallel(rows, row_grain(width), [=](int64_t begin, int64_t end) HONE_BODY {
        for (int64_t row = begin; row < end; ++row) {
            const int64_t place = row * width;
            Floats first = {}, second = {}, x, part;
            for (int64_t i = 0; i < width; i += lanes) {
                load_some(x, input + place + i, width - i);
                if (residual) {
                    load_some(part, residual + place + i, width - i);
                    x += part;
                    store_some(x, sum + place + i, width - i);
                    // The norm is that of the sum as it is kept.
                    load_some(x, sum + place + i, width - i);
                }
                first += x;
                second += x * x;
            }
            const Element *from = residual ? sum : input;
            float mean = 0, square = total(second) / width;
            if (centres) {
                mean = total(first) / width;
                // A second pass: the difference of two large sums would lose the variance of far-off rows.
                second = second * 0.0f;
                for (int64_t i = 0; i < width; i += lanes) {
                    load_some(x, from + place + i, width - i);
                    x -= mean;
                    if (width - i < lanes) {
                        for (int64_t j = width - i; j < lanes; ++j) x[j] = 0;
                    }
                    second += x * x;
                }
                square = total(second) / width;
            }
            const float scale = 1 / std::sqrt(square + static_cast<float>(epsilon));
            means[row] = mean;
            scales[row] = scale;
            for (int64_t i = 0; i < width; i += lanes) {
                load_some(x, from + place + i, width - i);
                load_some(part, weight + i, width - i);
                x = (x - mean) * scale * part;
                if (bias) {
                    load_some(part, bias + i, width - i);
                    x += part;
                }
                store_some(x, out + place + i, width - i);
            }
        }
    });
}

template <typename Element>
void backward(const Element *given, const Element *given_sum, const Element *sum, const Element *weight,
              const float *means, const float *scales, bool centres, int64_t rows, int64_t width, Element *gradient) {
    parallel(rows, row_grain(width), [=](int64_t begin, int64_t end) HONE_BODY {
        for (int64_t row = begin; row < end; ++row) {
            const int64_t place = row * width;
            const float mean = means[row], scale = scales[row];
            Floats level = {}, slope = {}, x, y, part;
            for (int64_t i = 0; i < width; i += lanes) {
                load_some(x, sum + place + i, width - i);
                load_some(y, given + place + i, width - i);
                load_some(part, weight + i, width - i);
                y *= part;
                level += y;
                slope += y * ((x - mean) * scale);
            }
            const float shift = centres ? total(level) / width : 0, tilt = total(slope) / width;
            for (int64_t i = 0; i < width; i += lanes) {
                load_some(x, sum + place + i, width - i);
                load_some(y, given + place + i, width - i);
                load_some(part, weight + i, width - i);
                y = (y * part - shift - (x - mean) * scale * tilt) * scale;
                if (given_sum) {
                    load_some(part, given_sum + place + i, width - i);
                    y += part;
                }
                store_some(y, gradient + place + i, width - i);
            }
        }
    });
}

template <typename Element>
const Element *data(const std::optional<at::Tensor> &tensor) {
    return tensor && tensor->defined() ? read<Element>(*tensor) : nullptr;
}
template <typename Element>
const Element *data(const at::Tensor &tensor) {
    return tensor.defined() ? read<Element>(tensor) : nullptr;
}

struct Norm : torch::autograd::Function<Norm> {
    static torch::autograd::variable_list forward(torch::autograd::AutogradContext *context, const at::Tensor &given,
                                                  const std::optional<at::Tensor> &given_residual,
                                                  const at::Tensor &weight, const std::optional<at::Tensor> &bias,
                                                  bool centres, double epsilon) {
        at::AutoDispatchBelowADInplaceOrView guard;
        const at::Tensor input = given.contiguous();
        std::optional<at::Tensor> residual;
        if (given_residual) residual = given_residual->contiguous();
        const int64_t width = input.size(-1), rows = input.numel() / width;
        at::Tensor out = at::empty_like(input), sum = residual ? at::empty_like(input) : input;
        at::Tensor means = at::empty({rows}, input.options().dtype(at::kFloat)), scales = at::empty_like(means);
        for_element(input, [&](auto element) {
            using Element = decltype(element);
            hone::forward<Element>(read<Element>(input), data<Element>(residual),
                                   read<Element>(weight), data<Element>(bias), centres, epsilon, rows, width,
                                   residual ? sum.mutable_data_ptr<Element>() : nullptr,
                                   out.mutable_data_ptr<Element>(), means.mutable_data_ptr<float>(),
                                   scales.mutable_data_ptr<float>());
        });
        context->save_for_backward({sum, weight, means, scales});
        context->saved_data["centres"] = centres;
        context->saved_data["has_residual"] = residual.has_value();
        if (!residual) return {out};
        return {out, sum};
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context,
                                                   const torch::autograd::variable_list &gradients) {
        refuse_second_derivative("norm");
        const auto saved = context->get_saved_variables();
        const at::Tensor &sum = saved[0], &weight = saved[1];
        const bool centres = context->saved_data["centres"].toBool();
        const bool has_residual = context->saved_data["has_residual"].toBool();
        at::Tensor onward = has_residual ? gradients[1] : at::Tensor(), gradient;
        if (!gradients[0].defined()) {
            gradient = onward;
        } else {
            const int64_t width = sum.size(-1), rows = sum.numel() / width;
            const at::Tensor given = gradients[0].contiguous();
            if (onward.defined()) onward = onward.contiguous();
            gradient = at::empty_like(sum);
            for_element(sum, [&](auto element) {
                using Element = decltype(element);
                hone::backward<Element>(read<Element>(given), data<Element>(onward),
                                        read<Element>(sum), read<Element>(weight),
                                        read<float>(saved[2]), read<float>(saved[3]), centres,
                                        rows, width, gradient.mutable_data_ptr<Element>());
            });
        }
        return {gradient, has_residual ? gradient : at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor(),
                at::Tensor()};
    }
};

}  // namespace

std::tuple<at::Tensor, at::Tensor> norm(const at::Tensor &input, const std::optional<at::Tensor> &residual,
                                        const at::Tensor &weight, const std::optional<at::Tensor> &bias, bool centres,
                                        double epsilon) {
    TORCH_CHECK(input.dim() > 0 && input.device().is_cpu(), "norms are of rows on the CPU");
    TORCH_CHECK(!residual || (residual->sizes() == input.sizes() && residual->scalar_type() == input.scalar_type()),
                "input and residual differ");
    for (const at::Tensor &tensor : {weight, bias.value_or(weight)}) {
        TORCH_CHECK(tensor.is_contiguous() && tensor.dim() == 1 && tensor.size(0) == input.size(-1) &&
                        tensor.scalar_type() == input.scalar_type(),
                    "weight and bias are [width] and of the input's type");
        TORCH_CHECK(!tensor.requires_grad(), "this kernel has no gradient for weight and bias");
    }
    auto made = Norm::apply(input, residual, weight, bias, centres, epsilon);
    return {made[0], residual ? made[1] : input};
}

}  // namespace hone
