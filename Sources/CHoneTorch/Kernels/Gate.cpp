// `activation(gate) · up` in one pass, forward and backward.
#include "Kernels.h"
#include "Parallel.h"

namespace hone {
namespace {

constexpr int64_t grain = 8192;

// 0: x · sigmoid(x). 1: the tanh approximation of the Gaussian error linear unit, which is x · sigmoid(2 · inner(x)).
template <int activation>
HONE_INLINE void activate(const Floats &x, Floats &value, Floats &slope) {
    Floats argument = x, change = {};
    change += 1.0f;
    if (activation == 1) {
        const float first = 1.5957691216057308f, third = 0.044715f;
        argument = x * (first + first * third * x * x);
        change = first + 3 * first * third * x * x;
    }
    argument = -argument;
    exponentiate(argument);
    const Floats share = 1.0f / (1.0f + argument);
    value = x * share;
    slope = share + x * share * (1.0f - share) * change;
}

template <int activation, typename Element>
void forward(const Element *gate, const Element *up, int64_t count, Element *out) {
    parallel((count + lanes - 1) / lanes, grain / lanes, [=](int64_t begin, int64_t end) HONE_BODY {
        for (int64_t i = begin * lanes; i < std::min(count, end * lanes); i += lanes) {
            Floats x, y, value, slope;
            load_some(x, gate + i, count - i);
            load_some(y, up + i, count - i);
            activate<activation>(x, value, slope);
            store_some(value * y, out + i, count - i);
        }
    });
}

template <int activation, typename Element>
void backward(const Element *given, const Element *gate, const Element *up, int64_t count, Element *gate_gradient,
              Element *up_gradient) {
    parallel((count + lanes - 1) / lanes, grain / lanes, [=](int64_t begin, int64_t end) HONE_BODY {
        for (int64_t i = begin * lanes; i < std::min(count, end * lanes); i += lanes) {
            Floats x, y, z, value, slope;
            load_some(x, gate + i, count - i);
            load_some(y, up + i, count - i);
            load_some(z, given + i, count - i);
            activate<activation>(x, value, slope);
            store_some(z * y * slope, gate_gradient + i, count - i);
            store_some(z * value, up_gradient + i, count - i);
        }
    });
}

struct Gated : torch::autograd::Function<Gated> {
    static at::Tensor forward(torch::autograd::AutogradContext *context, const at::Tensor &given_gate,
                              const at::Tensor &given_up, int64_t activation) {
        at::AutoDispatchBelowADInplaceOrView guard;
        const at::Tensor gate = given_gate.contiguous(), up = given_up.contiguous();
        at::Tensor out = at::empty_like(gate);
        for_element(gate, [&](auto element) {
            using Element = decltype(element);
            auto kernel = activation == 0 ? hone::forward<0, Element> : hone::forward<1, Element>;
            kernel(read<Element>(gate), read<Element>(up), gate.numel(),
                   out.mutable_data_ptr<Element>());
        });
        context->save_for_backward({gate, up});
        context->saved_data["activation"] = activation;
        return out;
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context,
                                                   const torch::autograd::variable_list &gradients) {
        refuse_second_derivative("gate");
        const auto saved = context->get_saved_variables();
        const at::Tensor &gate = saved[0], &up = saved[1], given = gradients[0].contiguous();
        at::Tensor gate_gradient = at::empty_like(gate), up_gradient = at::empty_like(gate);
        const int64_t activation = context->saved_data["activation"].toInt();
        for_element(gate, [&](auto element) {
            using Element = decltype(element);
            auto kernel = activation == 0 ? hone::backward<0, Element> : hone::backward<1, Element>;
            kernel(read<Element>(given), read<Element>(gate), read<Element>(up),
                   gate.numel(), gate_gradient.mutable_data_ptr<Element>(), up_gradient.mutable_data_ptr<Element>());
        });
        return {gate_gradient, up_gradient, at::Tensor()};
    }
};

}  // namespace

at::Tensor gated(const at::Tensor &gate, const at::Tensor &up, int64_t activation) {
    TORCH_CHECK(gate.sizes() == up.sizes() && gate.scalar_type() == up.scalar_type() && gate.device().is_cpu(),
                "gate and up differ");
    TORCH_CHECK(activation == 0 || activation == 1, "an activation that this kernel does not have");
    return Gated::apply(gate, up, activation);
}

}  // namespace hone
