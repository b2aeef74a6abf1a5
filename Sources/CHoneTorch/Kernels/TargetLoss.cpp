// The summed cross-entropy of states against target tokens through the language-model head, a few rows at a time: the
// gradient is formed while a chunk's logits are there, so that no logits are kept.
#include "Kernels.h"
#include "Parallel.h"

#include <cmath>
#include <limits>

namespace hone {
namespace {

// The loss of each row; logits become the loss's gradient where `forms_gradient`.
template <typename Element>
void rows_loss(Element *logits, const int64_t *targets, int64_t rows, int64_t classes, bool forms_gradient,
               double *losses) {
    parallel(rows, std::max<int64_t>(1, 8192 / classes), [=](int64_t begin, int64_t end) HONE_BODY {
        for (int64_t row = begin; row < end; ++row) {
            Element *line = logits + row * classes;
            const float infinity = std::numeric_limits<float>::infinity();
            Floats most = {}, x, sum = {};
            most += -infinity;
            int64_t i = 0;
            for (; i + lanes <= classes; i += lanes) {
                load(x, line + i);
                raise(most, x);
            }
            float top = largest(most);
            for (; i < classes; ++i) top = std::max(top, static_cast<float>(line[i]));
            double mass = 0;
            // Sums of a few thousand at a time keep the last bits of a large vocabulary.
            for (i = 0; i + lanes <= classes;) {
                const int64_t stop = std::min(classes - lanes + 1, i + 256 * lanes);
                sum = sum * 0.0f;
                for (; i < stop; i += lanes) {
                    load(x, line + i);
                    x -= top;
                    exponentiate(x);
                    sum += x;
                }
                mass += total(sum);
            }
            for (; i < classes; ++i) mass += std::exp(static_cast<float>(line[i]) - top);
            const double log = top + std::log(mass);
            losses[row] = log - static_cast<float>(line[targets[row]]);
            if (!forms_gradient) continue;
            const float all = static_cast<float>(log);
            const float hit = std::exp(static_cast<float>(line[targets[row]]) - all) - 1;
            for (i = 0; i + lanes <= classes; i += lanes) {
                load(x, line + i);
                x -= all;
                exponentiate(x);
                store(x, line + i);
            }
            for (; i < classes; ++i) line[i] = static_cast<Element>(std::exp(static_cast<float>(line[i]) - all));
            line[targets[row]] = static_cast<Element>(hit);
        }
    });
}

struct TargetLoss : torch::autograd::Function<TargetLoss> {
    static at::Tensor forward(torch::autograd::AutogradContext *context, const at::Tensor &states,
                              const at::Tensor &weight, const at::Tensor &targets, int64_t chunk_rows,
                              bool needs_states, bool needs_weight) {
        const bool records = needs_states || needs_weight;
        at::AutoDispatchBelowADInplaceOrView guard;
        const int64_t count = states.size(0), classes = weight.size(0);
        const at::Tensor head = widened(weight);
        at::Tensor state_gradient, weight_gradient;
        if (needs_states) state_gradient = at::empty_like(states);
        if (needs_weight) weight_gradient = at::zeros(weight.sizes(), weight.options().dtype(at::kFloat));
        std::vector<double> losses(count);
        for (int64_t start = 0; start < count; start += chunk_rows) {
            const int64_t rows = std::min(chunk_rows, count - start);
            const at::Tensor some = widened(states.narrow(0, start, rows));
            at::Tensor logits = product(some, head).contiguous();
            for_element(logits, [&](auto element) {
                using Element = decltype(element);
                rows_loss<Element>(logits.mutable_data_ptr<Element>(), read<int64_t>(targets) + start, rows,
                                   classes, records, losses.data() + start);
            });
            if (needs_states) state_gradient.narrow(0, start, rows).copy_(product(logits, head.t()));
            if (needs_weight) weight_gradient.add_(product(logits.t(), some.t()).to(at::kFloat));
        }
        double loss = 0;
        for (double part : losses) loss += part;
        context->save_for_backward({state_gradient, weight_gradient});
        context->saved_data["type"] = static_cast<int64_t>(weight.scalar_type());
        return at::scalar_tensor(loss, at::TensorOptions().dtype(at::kFloat));
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context,
                                                   const torch::autograd::variable_list &gradients) {
        refuse_second_derivative("loss");
        const auto saved = context->get_saved_variables();
        const auto type = static_cast<at::ScalarType>(context->saved_data["type"].toInt());
        const double factor = gradients[0].item<double>();
        return {saved[0].defined() ? saved[0] * factor : at::Tensor(),
                saved[1].defined() ? (saved[1] * factor).to(type) : at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor(),
                at::Tensor()};
    }
};

}  // namespace

at::Tensor target_loss(const at::Tensor &states, const at::Tensor &weight, const at::Tensor &targets,
                       int64_t chunk_rows) {
    TORCH_CHECK(states.dim() == 2 && weight.dim() == 2 && states.size(1) == weight.size(1) &&
                    states.scalar_type() == weight.scalar_type() && states.device().is_cpu(),
                "states are [targets, width], the head [tokens, width]");
    TORCH_CHECK(targets.scalar_type() == at::kLong && targets.is_contiguous() && targets.dim() == 1 &&
                    targets.size(0) == states.size(0) && chunk_rows > 0,
                "there is one target a state");
    const int64_t *ids = read<int64_t>(targets);
    for (int64_t i = 0; i < targets.numel(); ++i) {
        TORCH_CHECK(ids[i] >= 0 && ids[i] < weight.size(0), "target ", ids[i], " is outside the vocabulary");
    }
    // Inside the function nothing is recorded, so it is told what will be asked for.
    const bool records = c10::GradMode::is_enabled();
    return TargetLoss::apply(states, weight, targets, chunk_rows, records && states.requires_grad(),
                             records && weight.requires_grad());
}

}  // namespace hone
