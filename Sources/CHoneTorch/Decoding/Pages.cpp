#include "Pages.h"

#include "../Kernels/Parallel.h"

#include <limits>

namespace hone::decoding {
namespace {

template <typename Element>
void write(char *head, const PageShape &shape, int64_t place, const float *key, const float *value) {
    auto *keys = reinterpret_cast<Element *>(head);
    auto *values = reinterpret_cast<Element *>(head + shape.key_bytes()) + place * shape.padded();
    for (int64_t i = 0; i < shape.width; ++i) keys[i * page_positions + place] = static_cast<Element>(key[i]);
    for (int64_t i = 0; i < shape.width; ++i) values[i] = static_cast<Element>(value[i]);
    for (int64_t i = shape.width; i < shape.padded(); ++i) values[i] = static_cast<Element>(0.0f);
}

// Scores of one page for some queries at once: the sums of 64 positions each stay in registers.
template <int count, typename Element>
HONE_INLINE void page_scores(const Element *keys, int64_t width, const float *queries, float *scores, int64_t stride) {
    constexpr int vectors = page_positions / lanes;
    Floats sums[count][vectors];
    for (int q = 0; q < count; ++q) {
        for (int v = 0; v < vectors; ++v) sums[q][v] = Floats{};
    }
    for (int64_t i = 0; i < width; ++i) {
        Floats line[vectors];
        for (int v = 0; v < vectors; ++v) load(line[v], keys + i * page_positions + v * lanes);
        for (int q = 0; q < count; ++q) {
            const float factor = queries[q * width + i];
            for (int v = 0; v < vectors; ++v) sums[q][v] += factor * line[v];
        }
    }
    for (int q = 0; q < count; ++q) {
        for (int v = 0; v < vectors; ++v) store(sums[q][v], scores + q * stride + v * lanes);
    }
}

// Values of one page by their shares; `vectors` vectors of their elements at a time.
template <int count, int vectors, typename Element>
HONE_INLINE void page_values(const Element *values, int64_t padded, int64_t first, int64_t last, const float *shares,
                             int64_t stride, float *out) {
    Floats sums[count][vectors];
    for (int q = 0; q < count; ++q) {
        for (int v = 0; v < vectors; ++v) load(sums[q][v], out + q * padded + v * lanes);
    }
    for (int64_t place = first; place <= last; ++place) {
        Floats line[vectors];
        for (int v = 0; v < vectors; ++v) load(line[v], values + place * padded + v * lanes);
        for (int q = 0; q < count; ++q) {
            const float share = shares[q * stride + place];
            for (int v = 0; v < vectors; ++v) sums[q][v] += share * line[v];
        }
    }
    for (int q = 0; q < count; ++q) {
        for (int v = 0; v < vectors; ++v) store(sums[q][v], out + q * padded + v * lanes);
    }
}

struct Work {
    const Row &row;
    const PageShape &shape;
    int64_t layer, head, first, last;
    const float *queries;
    float *out, *scores;
};

template <int count, typename Element>
HONE_INLINE void attend_some(const Work &work) {
    const PageShape &shape = work.shape;
    const int64_t first_page = work.first / page_positions, last_page = work.last / page_positions;
    const int64_t stride = (last_page - first_page + 1) * page_positions, padded = shape.padded();
    for (int64_t page = first_page; page <= last_page; ++page) {
        page_scores<count>(reinterpret_cast<const Element *>(work.row.head(page, work.layer, work.head, shape)),
                           shape.width, work.queries, work.scores + (page - first_page) * page_positions, stride);
    }
    const int64_t start = work.first - first_page * page_positions, end = work.last - first_page * page_positions;
    float mass[count];
    for (int q = 0; q < count; ++q) {
        float *scores = work.scores + q * stride;
        // What is not seen gets no share.
        for (int64_t i = 0; i < start; ++i) scores[i] = -std::numeric_limits<float>::infinity();
        for (int64_t i = end + 1; i < stride; ++i) scores[i] = -std::numeric_limits<float>::infinity();
        Floats most, some, sum = {};
        load(most, scores);
        for (int64_t i = lanes; i < stride; i += lanes) {
            load(some, scores + i);
            raise(most, some);
        }
        const float top = largest(most);
        for (int64_t i = 0; i < stride; i += lanes) {
            load(some, scores + i);
            some -= top;
            exponentiate(some);
            store(some, scores + i);
            sum += some;
        }
        mass[q] = total(sum);
    }
    __builtin_memset(work.out, 0, count * padded * sizeof(float));
    for (int64_t page = first_page; page <= last_page; ++page) {
        const auto *values = reinterpret_cast<const Element *>(work.row.head(page, work.layer, work.head, shape) +
                                                               shape.key_bytes());
        const int64_t from = page == first_page ? work.first % page_positions : 0;
        const int64_t to = page == last_page ? work.last % page_positions : page_positions - 1;
        const float *shares = work.scores + (page - first_page) * page_positions;
        int64_t column = 0;
        for (; column + 4 * lanes <= padded; column += 4 * lanes) {
            page_values<count, 4>(values + column, padded, from, to, shares, stride, work.out + column);
        }
        for (; column < padded; column += lanes) {
            page_values<count, 1>(values + column, padded, from, to, shares, stride, work.out + column);
        }
    }
    for (int q = 0; q < count; ++q) {
        for (int64_t i = 0; i < padded; i += lanes) {
            Floats some;
            load(some, work.out + q * padded + i);
            store(some / mass[q], work.out + q * padded + i);
        }
    }
}

template <int count>
HONE_INLINE void attend_typed(const Work &work) {
    if (work.shape.halves) {
        attend_some<count, c10::BFloat16>(work);
    } else {
        attend_some<count, float>(work);
    }
}

HONE_INLINE void attend_counted(const Work &work, int64_t count) {
    switch (count) {
    case 1: return attend_typed<1>(work);
    case 2: return attend_typed<2>(work);
    case 3: return attend_typed<3>(work);
    default: return attend_typed<4>(work);
    }
}

}  // namespace

void keep(const Row &row, const PageShape &shape, int64_t layer, int64_t head, int64_t position, const float *key,
          const float *value) {
    char *to = row.head(position / page_positions, layer, head, shape);
    if (shape.halves) {
        write<c10::BFloat16>(to, shape, position % page_positions, key, value);
    } else {
        write<float>(to, shape, position % page_positions, key, value);
    }
}

void attend(const Row &row, const PageShape &shape, int64_t layer, int64_t head, int64_t first, int64_t last,
            const float *queries, int64_t count, float *out, float *scores) {
    for (int64_t query = 0; query < count; query += 4) {
        const Work work{row, shape, layer, head, first, last, queries + query * shape.width, out + query * shape.padded(), scores};
        const int64_t some = std::min<int64_t>(4, count - query);
        with_vectors([&](auto) HONE_BODY { attend_counted(work, some); });
    }
}

}  // namespace hone::decoding
