// Any ATen operator through the dispatcher: arguments are shaped by the operator's own schema.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>

#include "Internal.h"

struct hone_operator_s {
    c10::OperatorHandle handle;
};

namespace {

using c10::IValue;
using c10::TypeKind;

const c10::Type &inner(const c10::TypePtr &type) {
    if (auto optional = type->cast<c10::OptionalType>()) return *optional->getElementType();
    return *type;
}

IValue tensor_list(const hone_value &value, const c10::Type &type) {
    auto element = type.containedTypes().at(0);
    if (element->kind() == TypeKind::OptionalType) {
        c10::List<std::optional<at::Tensor>> list;
        for (int64_t i = 0; i < value.count; ++i) {
            list.push_back(value.tensors[i] ? std::optional<at::Tensor>(hone::borrow(value.tensors[i])) : std::nullopt);
        }
        return list;
    }
    c10::List<at::Tensor> list;
    for (int64_t i = 0; i < value.count; ++i) list.push_back(hone::borrow(value.tensors[i]));
    return list;
}

IValue real_list(const hone_value &value) {
    return c10::List<double>(c10::ArrayRef<double>(value.reals, value.count));
}

IValue argument(const hone_value &value, const c10::Argument &wanted) {
    const c10::Type &type = inner(wanted.type());
    switch (value.tag) {
    case HONE_NONE:
        if (wanted.type()->kind() == TypeKind::TensorType) return at::Tensor();
        return IValue();
    case HONE_TENSOR:
        return hone::borrow(value.tensor);
    case HONE_INTEGER:
        if (type.kind() == TypeKind::FloatType) return static_cast<double>(value.integer);
        if (type.kind() == TypeKind::ListType) return c10::List<int64_t>({value.integer});
        return value.integer;
    case HONE_REAL:
        return value.real;
    case HONE_BOOLEAN:
        return value.integer != 0;
    case HONE_INTEGERS:
        return c10::List<int64_t>(c10::ArrayRef<int64_t>(value.integers, value.count));
    case HONE_REALS:
        return real_list(value);
    case HONE_TENSORS:
        TORCH_CHECK(type.kind() == TypeKind::ListType, "argument '", wanted.name(), "' takes no list of tensors");
        return tensor_list(value, type);
    case HONE_STRING:
        if (type.kind() == TypeKind::DeviceObjType) return c10::Device(std::string(value.string));
        return std::string(value.string);
    case HONE_SEED:
        return at::make_generator<at::CPUGeneratorImpl>(static_cast<uint64_t>(value.integer));
    }
    TORCH_CHECK(false, "an argument of an unknown kind");
}

struct Sink {
    hone_value *results;
    size_t capacity, produced = 0;

    void add(const hone_value &value) {
        if (produced < capacity) {
            results[produced] = value;
        } else if (value.tag == HONE_TENSOR) {
            hone_release(value.tensor);
        }
        ++produced;
    }

    void add(const IValue &value) {
        hone_value out{};
        if (value.isTensor()) {
            out.tag = HONE_TENSOR;
            out.tensor = hone::hand_over(value.toTensor());
            if (out.tensor == nullptr) out.tag = HONE_NONE;
        } else if (value.isInt()) {
            out.tag = HONE_INTEGER;
            out.integer = value.toInt();
        } else if (value.isDouble()) {
            out.tag = HONE_REAL;
            out.real = value.toDouble();
        } else if (value.isBool()) {
            out.tag = HONE_BOOLEAN;
            out.integer = value.toBool();
        } else if (value.isNone()) {
            out.tag = HONE_NONE;
        } else if (value.isList()) {
            for (const IValue &element : value.toListRef()) add(element);
            return;
        } else {
            TORCH_CHECK(false, "a result of kind ", value.tagKind(), " cannot be handed over");
        }
        add(out);
    }
};

}  // namespace

extern "C" int hone_find(const char *name, const char *overload, hone_operator *found) {
    return hone::guarded([&] {
        *found = new hone_operator_s{c10::Dispatcher::singleton().findSchemaOrThrow(name, overload)};
    });
}

extern "C" int hone_call(hone_operator op, const hone_value *arguments, size_t count, hone_value *results,
                         size_t capacity, size_t *produced) {
    *produced = 0;
    Sink sink{results, capacity};
    int status = hone::guarded([&] {
        const auto &wanted = op->handle.schema().arguments();
        TORCH_CHECK(count <= wanted.size(), op->handle.schema().name(), " takes ", wanted.size(), " arguments, not ",
                    count);
        torch::jit::Stack stack;
        stack.reserve(wanted.size());
        for (size_t i = 0; i < wanted.size(); ++i) {
            if (i < count) {
                stack.push_back(argument(arguments[i], wanted[i]));
            } else {
                TORCH_CHECK(wanted[i].default_value().has_value(), op->handle.schema().name(), " needs argument '",
                            wanted[i].name(), "'");
                stack.push_back(*wanted[i].default_value());
            }
        }
        op->handle.callBoxed(stack);
        for (const IValue &value : stack) sink.add(value);
        TORCH_CHECK(sink.produced <= capacity, op->handle.schema().name(), " gave ", sink.produced,
                    " results, there is room for ", capacity);
    });
    size_t stored = sink.produced < capacity ? sink.produced : capacity;
    if (status != 0) {
        for (size_t i = 0; i < stored; ++i) {
            if (results[i].tag == HONE_TENSOR) hone_release(results[i].tensor);
        }
        return status;
    }
    *produced = stored;
    return 0;
}
