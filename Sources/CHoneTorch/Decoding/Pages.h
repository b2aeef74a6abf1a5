// Keys and values of texts, in pages of 64 positions. A page holds all layers; texts with a common beginning share its pages until one
// of them writes into the last. So rows take room for what they have read only, nothing moves when they grow, and repeating a row
// copies nothing.
#pragma once
#include "../Kernels/Vector.h"

#include <memory>
#include <vector>

namespace hone::decoding {

constexpr int64_t page_positions = 64;

struct PageShape {
    int64_t layers, heads, width;
    bool halves;
    int64_t padded() const { return (width + lanes - 1) / lanes * lanes; }
    int64_t element() const { return halves ? 2 : 4; }
    // Of a head in a layer: keys `[width, 64]`, so that sixteen positions fill a vector, then values `[64, padded width]`.
    int64_t key_bytes() const { return width * page_positions * element(); }
    int64_t head_bytes() const { return key_bytes() + padded() * page_positions * element(); }
    int64_t bytes() const { return layers * heads * head_bytes(); }
};

struct Page {
    explicit Page(int64_t bytes) : memory(new char[bytes]) {}
    std::unique_ptr<char[]> memory;
};

// One text.
struct Row {
    std::vector<std::shared_ptr<Page>> pages;
    int64_t length = 0;

    // Makes room for so many positions behind those held; pages that are written to belong to this row alone afterwards.
    void extend(int64_t count, const PageShape &shape) {
        if (count > 0 && length % page_positions != 0 && pages.back().use_count() > 1) {
            auto own = std::make_shared<Page>(shape.bytes());
            __builtin_memcpy(own->memory.get(), pages.back()->memory.get(), shape.bytes());
            pages.back() = own;
        }
        while (static_cast<int64_t>(pages.size()) * page_positions < length + count) {
            pages.push_back(std::make_shared<Page>(shape.bytes()));
        }
    }
    void shorten(int64_t to) {
        length = to;
        pages.resize((to + page_positions - 1) / page_positions);
    }
    char *head(int64_t page, int64_t layer, int64_t head, const PageShape &shape) const {
        return pages[page]->memory.get() + (layer * shape.heads + head) * shape.head_bytes();
    }
};

// Writes the key and value of one position.
void keep(const Row &row, const PageShape &shape, int64_t layer, int64_t head, int64_t position, const float *key,
          const float *value);

// Attention of `count` queries `[count, width]` to positions `first ... last` of one head: `[count, padded width]`. `scores` has room for four
// times the positions in whole pages.
void attend(const Row &row, const PageShape &shape, int64_t layer, int64_t head, int64_t first, int64_t last,
            const float *queries, int64_t count, float *out, float *scores);

}  // namespace hone::decoding
