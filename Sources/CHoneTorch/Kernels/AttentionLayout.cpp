#include "AttentionLayout.h"

#include <algorithm>

namespace hone::attention {
namespace {

// More segments are put together until a bundle has so many tokens: scores of one segment's queries with another's keys are
// computed and thrown away.
constexpr int64_t bundle_tokens = 128;

struct Piece {
    int64_t begin, end, parent, before;
};

// Segments, those that are too long cut into pieces of which each goes on from the one before it.
std::vector<Piece> pieces_of(const int64_t *offsets, const int64_t *parents, int64_t segments, int64_t longest) {
    std::vector<Piece> pieces;
    std::vector<int64_t> last(segments);
    for (int64_t s = 0; s < segments; ++s) {
        const int64_t length = offsets[s + 1] - offsets[s], count = length <= longest ? 1 : 1 + (length - 1) / longest;
        int64_t parent = parents && parents[s] >= 0 ? last[parents[s]] : -1;
        for (int64_t i = 0; i < count; ++i) {
            const int64_t before = parent < 0 ? 0 : pieces[parent].before + pieces[parent].end - pieces[parent].begin;
            pieces.push_back({offsets[s] + length * i / count, offsets[s] + length * (i + 1) / count, parent, before});
            parent = static_cast<int64_t>(pieces.size()) - 1;
        }
        last[s] = parent;
    }
    return pieces;
}

}  // namespace

Layout layout_of(const int64_t *offsets, const int64_t *parents, int64_t segments, int64_t longest) {
    Layout layout;
    const std::vector<Piece> pieces = pieces_of(offsets, parents, segments, longest);
    const int64_t tokens = offsets[segments], count = static_cast<int64_t>(pieces.size());
    layout.starts.resize(tokens);
    layout.is_trunk.resize(tokens);
    std::vector<int64_t> trunk(count, -1);
    for (const Piece &piece : pieces) {
        for (int64_t t = piece.begin; t < piece.end; ++t) layout.starts[t] = piece.begin;
        if (piece.parent < 0 || trunk[piece.parent] >= 0) continue;
        const Piece &above = pieces[piece.parent];
        trunk[piece.parent] = static_cast<int64_t>(layout.trunks.size());
        layout.trunks.push_back({above.begin, above.end, above.before, {}});
        for (int64_t t = above.begin; t < above.end; ++t) layout.is_trunk[t] = true;
    }
    struct Family {
        Bundle bundle;
        int64_t parent;
    };
    std::vector<Family> families;
    for (int64_t p = 0; p < count;) {
        const int64_t first = p, parent = pieces[p].parent;
        for (++p; parent >= 0 && p < count && pieces[p].parent == parent &&
                  pieces[p].end - pieces[first].begin <= bundle_tokens;) {
            ++p;
        }
        const Bundle bundle{pieces[first].begin, pieces[p - 1].end, pieces[first].before, 0, 0};
        if (bundle.begin < bundle.end) families.push_back({bundle, parent});
    }
    // The longest work comes first, so that threads end together.
    const auto work = [](const Bundle &bundle) { return (bundle.end - bundle.begin) * (bundle.before + bundle.length()); };
    std::sort(families.begin(), families.end(), [&](const Family &a, const Family &b) {
        const int64_t first = work(a.bundle), second = work(b.bundle);
        return first == second ? a.bundle.begin < b.bundle.begin : first > second;
    });
    for (auto &[bundle, parent] : families) {
        const int64_t number = static_cast<int64_t>(layout.bundles.size());
        std::vector<int64_t> chain;
        for (int64_t above = parent; above >= 0; above = pieces[above].parent) chain.push_back(above);
        bundle.keys = static_cast<int64_t>(layout.keys.size());
        bundle.chain = layout.chained;
        layout.chained += bundle.before;
        for (auto above = chain.rbegin(); above != chain.rend(); ++above) {
            layout.trunks[trunk[*above]].bundles.push_back(number);
            for (int64_t t = pieces[*above].begin; t < pieces[*above].end; ++t) layout.keys.push_back(t);
        }
        for (int64_t t = bundle.begin; t < bundle.end; ++t) layout.keys.push_back(t);
        layout.bundles.push_back(bundle);
    }
    return layout;
}

}  // namespace hone::attention
