// Attention in bfloat16 with the processor's products of pairs: scores, shares and slopes are rounded to bfloat16 before
// they are multiplied again and summed in f32, as libtorch's own kernel does it.
#include "Attention.h"

#include <cmath>
#include <limits>

#if defined(__x86_64__)
#include <immintrin.h>
#define HONE_DOT __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")))
#define HONE_DOT_INLINE inline __attribute__((always_inline)) HONE_DOT
#define HONE_DOT_LAMBDA __attribute__((always_inline, target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")))

namespace hone::attention {
namespace {

using Element = c10::BFloat16;
// The most rows of queries at a time; with tiles, in whole ones.
constexpr int64_t most_rows = 64;
int64_t rows_at_once() { return has_tiles() ? most_rows : block_rows; }

template <typename Body>
HONE_DOT void call_dot(const Body &body, int64_t task) {
    body(task);
}
template <typename Body>
void dot_tasks(const Shape &shape, const Body &body) {
    const int64_t count = shape.tasks();
    std::atomic<int64_t> next{0};
    on_threads(threads_for(count, shape.work()), [&](int) {
        if (has_tiles()) begin_tiles();
        for (int64_t task; (task = next.fetch_add(1)) < count;) call_dot(body, task);
        if (has_tiles()) end_tiles();
    });
}

template <int rows, int vectors>
HONE_DOT_INLINE void dot_tile(const Pair *a, int64_t a_row, int64_t a_pair, const Pair *b, int64_t b_row, float *c,
                              int64_t c_row, int64_t pairs, bool adds) {
    __m512 sum[rows][vectors];
    for (int r = 0; r < rows; ++r) {
        for (int v = 0; v < vectors; ++v) {
            sum[r][v] = adds ? _mm512_loadu_ps(c + r * c_row + v * lanes) : _mm512_setzero_ps();
        }
    }
    for (int64_t k = 0; k < pairs; ++k) {
        __m512bh line[vectors];
        for (int v = 0; v < vectors; ++v) line[v] = (__m512bh)_mm512_loadu_si512(b + k * b_row + v * lanes);
        for (int r = 0; r < rows; ++r) {
            const __m512bh factor = (__m512bh)_mm512_set1_epi32(static_cast<int>(a[r * a_row + k * a_pair]));
            for (int v = 0; v < vectors; ++v) sum[r][v] = _mm512_dpbf16_ps(sum[r][v], factor, line[v]);
        }
    }
    for (int r = 0; r < rows; ++r) {
        for (int v = 0; v < vectors; ++v) _mm512_storeu_ps(c + r * c_row + v * lanes, sum[r][v]);
    }
}

template <int vectors>
HONE_DOT_INLINE void dot_columns(const Pair *a, int64_t a_row, int64_t a_pair, const Pair *b, int64_t b_row, float *c,
                                 int64_t c_row, int64_t rows, int64_t pairs, bool adds) {
    int64_t r = 0;
    for (; r + 6 <= rows; r += 6) {
        dot_tile<6, vectors>(a + r * a_row, a_row, a_pair, b, b_row, c + r * c_row, c_row, pairs, adds);
    }
    for (; r + 2 <= rows; r += 2) {
        dot_tile<2, vectors>(a + r * a_row, a_row, a_pair, b, b_row, c + r * c_row, c_row, pairs, adds);
    }
    if (r < rows) dot_tile<1, vectors>(a + r * a_row, a_row, a_pair, b, b_row, c + r * c_row, c_row, pairs, adds);
}

HONE_DOT_INLINE void dot_vectors(const Pair *a, int64_t a_row, int64_t a_pair, const Pair *b, int64_t b_row, float *c,
                                 int64_t c_row, int64_t rows, int64_t columns, int64_t pairs, bool adds) {
    int64_t column = 0;
    for (; column + 4 * lanes <= columns; column += 4 * lanes) {
        dot_columns<4>(a, a_row, a_pair, b + column, b_row, c + column, c_row, rows, pairs, adds);
    }
    for (; column < columns; column += lanes) {
        dot_columns<1>(a, a_row, a_pair, b + column, b_row, c + column, c_row, rows, pairs, adds);
    }
}

// `c[rows, columns] (+)= a · b` with the inner dimension in pairs; columns are whole vectors. What makes whole tiles is multiplied
// by tiles.
HONE_DOT_INLINE void dot_product(const Pair *a, int64_t a_row, int64_t a_pair, const Pair *b, int64_t b_row, float *c,
                                 int64_t c_row, int64_t rows, int64_t columns, int64_t pairs, bool adds) {
    const int64_t whole_rows = has_tiles() && pairs >= lanes ? rows / lanes * lanes : 0;
    if (whole_rows > 0) {
        const int64_t whole_pairs = pairs / lanes * lanes;
        tile_product(a, a_row, a_pair, b, b_row, c, c_row, whole_rows, columns, whole_pairs, adds);
        if (whole_pairs < pairs) {
            dot_vectors(a + whole_pairs * a_pair, a_row, a_pair, b + whole_pairs * b_row, b_row, c, c_row, whole_rows,
                        columns, pairs - whole_pairs, true);
        }
    }
    if (whole_rows < rows) {
        dot_vectors(a + whole_rows * a_row, a_row, a_pair, b, b_row, c + whole_rows * c_row, c_row, rows - whole_rows,
                    columns, pairs, adds);
    }
}

HONE_DOT_INLINE __m512i halves(const Element *from) {
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(from)));
}
// Two rows with their elements side by side; a missing second one counts as zeros.
HONE_DOT_INLINE void pair_rows(const Element *first, const Element *second, int64_t count, Pair *to) {
    for (int64_t i = 0; i < count; i += lanes) {
        __m512i both = halves(first + i);
        if (second) both = _mm512_or_si512(both, _mm512_slli_epi32(halves(second + i), 16));
        _mm512_storeu_si512(to + i, both);
    }
}
// A row's pairs of elements as a column.
HONE_DOT_INLINE void stand_up(const Element *row, int64_t width, int64_t columns, Pair *to) {
    const Pair *pairs = reinterpret_cast<const Pair *>(row);
    for (int64_t i = 0; i < width / 2; ++i) to[i * columns] = pairs[i];
}
HONE_DOT_INLINE void round_off(const Floats &value, Element *to) {
    __m512 wide;
    __builtin_memcpy(&wide, &value, sizeof wide);
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(to), (__m256i)_mm512_cvtneps_pbh(wide));
}

const Element *angles(const Element *all, int64_t token, int64_t width) { return all ? all + token * width : nullptr; }

// Scratch memory of a thread, cut into pieces that begin on cache lines.
class Scratch {
  public:
    explicit Scratch(size_t bytes) {
        thread_local std::vector<char> memory;
        if (memory.size() < bytes + 64) memory.resize(bytes + 64);
        next = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
    }
    template <typename Kind>
    Kind *take(int64_t count, bool clears = false) {
        Kind *piece = reinterpret_cast<Kind *>(next);
        const int64_t bytes = whole(count * static_cast<int64_t>(sizeof(Kind)), 64);
        if (clears) std::memset(next, 0, bytes);
        next += bytes;
        return piece;
    }

  private:
    char *next;
};

}  // namespace

bool has_dot_products() {
    static const bool has = vectors() == Vectors::avx512 && __builtin_cpu_supports("avx512bf16");
    return has;
}

void dot_forward(const Shape &shape, Rows<Element> queries, Rows<Element> keys, Rows<Element> values,
                 const Element *cosine, const Element *sine, Element *out, float *logs) {
    dot_tasks(shape, [&](int64_t task) HONE_DOT_LAMBDA {
        const int64_t width = shape.width;
        const Bundle &bundle = shape.layout.bundles[task / shape.shared];
        const int64_t *tokens = shape.layout.keys.data() + bundle.keys;
        const int64_t head = task % shape.shared, before = bundle.before, count = bundle.end - bundle.begin;
        const int64_t length = bundle.length(), columns = whole(length, lanes);
        const int64_t block = rows_at_once();
        Scratch scratch(4 * width * columns + 2 * block * (3 * width + 3 * columns) + 8192);
        Pair *across = scratch.take<Pair>(width / 2 * columns, true);
        Pair *value = scratch.take<Pair>(columns / 2 * width, true);
        Element *query = scratch.take<Element>(block * width);
        Element *shares = scratch.take<Element>(block * columns);
        float *scores = scratch.take<float>(block * columns), *sum = scratch.take<float>(block * width);
        for (int64_t j = 0; j < length; ++j) {
            fetch(keys.at(tokens[j], head, width), angles(cosine, tokens[j], width), angles(sine, tokens[j], width),
                  width, 1, query);
            stand_up(query, width, columns, across + j);
            if (j % 2 == 0) {
                pair_rows(values.at(tokens[j], head, width),
                          j + 1 < length ? values.at(tokens[j + 1], head, width) : nullptr, width,
                          value + j / 2 * width);
            }
        }
        for (int64_t own = head * shape.group(); own < (head + 1) * shape.group(); ++own) {
            for (int64_t first = 0; first < count; first += block) {
                const int64_t rows = std::min(block, count - first);
                const int64_t seen = shape.causal ? before + first + rows : length, tiled = whole(seen, lanes);
                for (int64_t r = 0; r < rows; ++r) {
                    const int64_t token = bundle.begin + first + r;
                    fetch(queries.at(token, own, width), angles(cosine, token, width), angles(sine, token, width),
                          width, 1, query + r * width);
                }
                dot_product(reinterpret_cast<const Pair *>(query), width / 2, 1, across, columns, scores, columns, rows,
                            tiled, width / 2, false);
                const float scale = static_cast<float>(shape.scale), infinity = std::numeric_limits<float>::infinity();
                float divisors[most_rows];
                for (int64_t r = 0; r < rows; ++r) {
                    const int64_t open = shape.causal ? before + first + r + 1 : length;
                    const int64_t hidden = before + shape.layout.starts[bundle.begin + first + r] - bundle.begin;
                    float *row = scores + r * columns;
                    for (int64_t j = before; j < hidden; ++j) row[j] = -infinity;
                    for (int64_t j = open; j < tiled; ++j) row[j] = -infinity;
                    Floats most = {}, part, sums = {};
                    most += -infinity;
                    for (int64_t j = 0; j < tiled; j += lanes) {
                        load(part, row + j);
                        raise(most, part);
                    }
                    const float top = largest(most) * scale;
                    for (int64_t j = 0; j < tiled; j += lanes) {
                        load(part, row + j);
                        part = part * scale - top;
                        exponentiate(part);
                        sums += part;
                        round_off(part, shares + r * columns + j);
                    }
                    divisors[r] = 1 / total(sums);
                    logs[own * shape.tokens + bundle.begin + first + r] = top - std::log(divisors[r]);
                }
                dot_product(reinterpret_cast<const Pair *>(shares), columns / 2, 1, value, width, sum, width, rows,
                            width, whole(seen, 2) / 2, false);
                for (int64_t r = 0; r < rows; ++r) {
                    give_back<Element>(sum + r * width, nullptr, nullptr, width, divisors[r],
                                       out + ((bundle.begin + first + r) * shape.heads + own) * width);
                }
            }
        }
    });
}

void dot_backward(const Shape &shape, Rows<Element> queries, Rows<Element> keys, Rows<Element> values,
                  const Element *cosine, const Element *sine, const Element *out, const float *logs,
                  const Element *given, Element *query_gradient, Element *key_gradient, Element *value_gradient,
                  const Sums &sums) {
    dot_tasks(shape, [&](int64_t task) HONE_DOT_LAMBDA {
        const int64_t width = shape.width;
        const Bundle &bundle = shape.layout.bundles[task / shape.shared];
        const int64_t *tokens = shape.layout.keys.data() + bundle.keys;
        const int64_t head = task % shape.shared, before = bundle.before, count = bundle.end - bundle.begin;
        const int64_t length = bundle.length(), columns = whole(length, lanes);
        const int64_t block = rows_at_once();
        Scratch scratch(14 * width * columns + block * (12 * width + 14 * columns) + 16384);
        Pair *key_across = scratch.take<Pair>(width / 2 * columns, true);
        Pair *value_across = scratch.take<Pair>(width / 2 * columns, true);
        Pair *key = scratch.take<Pair>(columns / 2 * width, true);
        float *key_sum = scratch.take<float>(length * width, true);
        float *value_sum = scratch.take<float>(length * width, true);
        Element *query = scratch.take<Element>(block * width);
        Pair *query_pairs = scratch.take<Pair>(block / 2 * width);
        Pair *outer_pairs = scratch.take<Pair>(block / 2 * width);
        Element *outer = scratch.take<Element>(block * width), *share = scratch.take<Element>(block * columns);
        Element *slope = scratch.take<Element>(block * columns);
        Pair *pairs = scratch.take<Pair>(block / 2 * columns);
        float *scores = scratch.take<float>(block * columns), *slopes = scratch.take<float>(block * columns);
        float *query_sum = scratch.take<float>(block * width);
        for (int64_t j = 0; j < length; ++j) {
            Element *turned = query + j % 2 * width;
            fetch(keys.at(tokens[j], head, width), angles(cosine, tokens[j], width), angles(sine, tokens[j], width),
                  width, 1, turned);
            stand_up(turned, width, columns, key_across + j);
            stand_up(values.at(tokens[j], head, width), width, columns, value_across + j);
            if (j % 2 == 1) pair_rows(query, query + width, width, key + j / 2 * width);
            if (j % 2 == 0 && j + 1 == length) pair_rows(query, nullptr, width, key + j / 2 * width);
        }
        const float scale = static_cast<float>(shape.scale), infinity = std::numeric_limits<float>::infinity();
        for (int64_t own = head * shape.group(); own < (head + 1) * shape.group(); ++own) {
            for (int64_t first = 0; first < count; first += block) {
                const int64_t rows = std::min(block, count - first);
                const int64_t seen = shape.causal ? before + first + rows : length, tiled = whole(seen, lanes);
                float inner[most_rows];
                for (int64_t r = 0; r < rows; ++r) {
                    const int64_t token = bundle.begin + first + r, place = (token * shape.heads + own) * width;
                    fetch(queries.at(token, own, width), angles(cosine, token, width), angles(sine, token, width),
                          width, 1, query + r * width);
                    std::memcpy(outer + r * width, given + place, width * sizeof(Element));
                    Floats sum = {}, a, b;
                    for (int64_t i = 0; i < width; i += lanes) {
                        load(a, given + place + i);
                        load(b, out + place + i);
                        sum += a * b;
                    }
                    inner[r] = total(sum);
                }
                for (int64_t r = 0; r < rows; r += 2) {
                    const bool both = r + 1 < rows;
                    pair_rows(query + r * width, both ? query + (r + 1) * width : nullptr, width,
                              query_pairs + r / 2 * width);
                    pair_rows(outer + r * width, both ? outer + (r + 1) * width : nullptr, width,
                              outer_pairs + r / 2 * width);
                }
                dot_product(reinterpret_cast<const Pair *>(query), width / 2, 1, key_across, columns, scores, columns,
                            rows, tiled, width / 2, false);
                dot_product(reinterpret_cast<const Pair *>(outer), width / 2, 1, value_across, columns, slopes, columns,
                            rows, tiled, width / 2, false);
                for (int64_t r = 0; r < rows; ++r) {
                    const int64_t open = shape.causal ? before + first + r + 1 : length;
                    const int64_t hidden = before + shape.layout.starts[bundle.begin + first + r] - bundle.begin;
                    float *row = scores + r * columns;
                    const float log = logs[own * shape.tokens + bundle.begin + first + r], less = inner[r];
                    for (int64_t j = before; j < hidden; ++j) row[j] = -infinity;
                    for (int64_t j = open; j < tiled; ++j) row[j] = -infinity;
                    for (int64_t j = 0; j < tiled; j += lanes) {
                        Floats part, change;
                        load(part, row + j);
                        load(change, slopes + r * columns + j);
                        part = part * scale - log;
                        exponentiate(part);
                        round_off(part, share + r * columns + j);
                        round_off(part * (change - less) * scale, slope + r * columns + j);
                    }
                }
                const int64_t row_pairs = whole(rows, 2) / 2;
                for (int64_t r = 0; r < rows; r += 2) {
                    pair_rows(share + r * columns, r + 1 < rows ? share + (r + 1) * columns : nullptr, tiled,
                              pairs + r / 2 * columns);
                }
                dot_product(pairs, 1, columns, outer_pairs, width, value_sum, width, seen, width, row_pairs, true);
                for (int64_t r = 0; r < rows; r += 2) {
                    pair_rows(slope + r * columns, r + 1 < rows ? slope + (r + 1) * columns : nullptr, tiled,
                              pairs + r / 2 * columns);
                }
                dot_product(pairs, 1, columns, query_pairs, width, key_sum, width, seen, width, row_pairs, true);
                dot_product(reinterpret_cast<const Pair *>(slope), columns / 2, 1, key, width, query_sum, width, rows,
                            width, whole(seen, 2) / 2, false);
                for (int64_t r = 0; r < rows; ++r) {
                    const int64_t token = bundle.begin + first + r;
                    give_back(query_sum + r * width, angles(cosine, token, width), angles(sine, token, width), width, 1,
                              query_gradient + (token * shape.heads + own) * width);
                }
            }
        }
        for (int64_t j = 0; j < length; ++j) {
            const int64_t token = tokens[j], place = (token * shape.shared + head) * width;
            if (float *part = part_of_sum(shape, sums, bundle, j, head)) {
                std::memcpy(part, key_sum + j * width, width * sizeof(float));
                std::memcpy(part + width, value_sum + j * width, width * sizeof(float));
                continue;
            }
            give_back(key_sum + j * width, angles(cosine, token, width), angles(sine, token, width), width, 1,
                      key_gradient + place);
            give_back<Element>(value_sum + j * width, nullptr, nullptr, width, 1, value_gradient + place);
        }
    });
}

}  // namespace hone::attention
#else
namespace hone::attention {
using Element = c10::BFloat16;
bool has_dot_products() { return false; }
void dot_forward(const Shape &, Rows<Element>, Rows<Element>, Rows<Element>, const Element *, const Element *,
                 Element *, float *) {}
void dot_backward(const Shape &, Rows<Element>, Rows<Element>, Rows<Element>, const Element *, const Element *,
                  const Element *, const float *, const Element *, Element *, Element *, Element *, const Sums &) {}
}  // namespace hone::attention
#endif
