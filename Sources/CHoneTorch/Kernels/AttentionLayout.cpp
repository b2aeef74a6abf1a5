#include "AttentionLayout.h"

namespace hone::attention {
namespace {

// More segments are put together until a bundle has so many tokens: scores of one segment's queries with another's keys are
// computed and thrown away.
constexpr int64_t bundle_tokens = 128;

}  // namespace

Layout layout_of(const int64_t *offsets, const int64_t *parents, int64_t segments) {
    Layout layout;
    const int64_t tokens = offsets[segments];
    layout.starts.resize(tokens);
    layout.is_trunk.resize(tokens);
    std::vector<int64_t> before(segments, 0), trunk(segments, -1);
    for (int64_t s = 0; s < segments; ++s) {
        for (int64_t t = offsets[s]; t < offsets[s + 1]; ++t) layout.starts[t] = offsets[s];
        const int64_t parent = parents ? parents[s] : -1;
        if (parent < 0) continue;
        before[s] = before[parent] + offsets[parent + 1] - offsets[parent];
        if (trunk[parent] >= 0) continue;
        trunk[parent] = static_cast<int64_t>(layout.trunks.size());
        layout.trunks.push_back({offsets[parent], offsets[parent + 1], before[parent], {}});
        for (int64_t t = offsets[parent]; t < offsets[parent + 1]; ++t) layout.is_trunk[t] = true;
    }
    for (int64_t s = 0; s < segments;) {
        const int64_t parent = parents ? parents[s] : -1, first = s;
        for (++s; parent >= 0 && s < segments && parents[s] == parent &&
                  offsets[s + 1] - offsets[first] <= bundle_tokens;) {
            ++s;
        }
        if (offsets[s] == offsets[first]) continue;
        std::vector<int64_t> chain;
        for (int64_t above = parent; above >= 0; above = parents[above]) chain.push_back(above);
        const int64_t number = static_cast<int64_t>(layout.bundles.size());
        layout.bundles.push_back({offsets[first], offsets[s], before[first],
                                  static_cast<int64_t>(layout.keys.size()), layout.chained});
        layout.chained += before[first];
        for (auto above = chain.rbegin(); above != chain.rend(); ++above) {
            layout.trunks[trunk[*above]].bundles.push_back(number);
            for (int64_t t = offsets[*above]; t < offsets[*above + 1]; ++t) layout.keys.push_back(t);
        }
        for (int64_t t = offsets[first]; t < offsets[s]; ++t) layout.keys.push_back(t);
    }
    return layout;
}

}  // namespace hone::attention
