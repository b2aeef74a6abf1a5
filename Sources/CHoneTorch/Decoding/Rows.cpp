// Which rows are being written, and how far.
#include "Decoder.h"

#include <c10/util/Exception.h>

namespace hone::decoding {

void Decoding::select(const int64_t *numbers, int64_t count) {
    std::vector<Row> selected;
    for (int64_t i = 0; i < count; ++i) {
        TORCH_CHECK(numbers[i] >= 0 && numbers[i] < row_count(), "there is no row ", numbers[i]);
        selected.push_back(rows[numbers[i]]);
    }
    rows = std::move(selected);
}

void Decoding::shorten(int64_t row, int64_t length) {
    TORCH_CHECK(row >= 0 && row < row_count() && length >= 0 && length <= rows[row].length, "there is no such row or length");
    rows[row].shorten(length);
}

}  // namespace hone::decoding
