// Which tokens attention looks at: rows that stand one after the other, or a tree of segments in which rows that begin alike
// have that beginning in common.
#pragma once
#include <cstdint>
#include <vector>

namespace hone::attention {

// Neighbouring segments that go on from the same one; they are computed together, so that what stands before them is
// prepared once. A row that shares nothing is a bundle of its own.
struct Bundle {
    int64_t begin, end;  // its tokens
    int64_t before;      // how many tokens stand before each of its segments
    int64_t keys;        // where its columns begin in `Layout::keys`: what stands before, then its own tokens
    int64_t chain;       // where its columns before begin in `Sums::chains`
    int64_t length() const { return before + end - begin; }
};

// A segment that others go on from.
struct Trunk {
    int64_t begin, end;
    int64_t before;
    std::vector<int64_t> bundles;  // that have it before them
};

struct Layout {
    std::vector<Bundle> bundles;
    std::vector<int64_t> keys;    // the tokens that the bundles' columns stand for
    std::vector<int64_t> starts;  // of each token, the first of its segment
    std::vector<Trunk> trunks;
    std::vector<bool> is_trunk;   // of each token
    int64_t chained = 0;          // how many columns stand before all bundles together
};

// The layout of `segments` segments that begin at `offsets` and go on from `parents` (-1 for none, or a null pointer for none
// at all); a parent stands before its children. Segments of more than `longest` tokens are cut into pieces that go on from one
// another, so that several threads can work on them; only where a token sees what is before it.
Layout layout_of(const int64_t *offsets, const int64_t *parents, int64_t segments, int64_t longest);

}  // namespace hone::attention
