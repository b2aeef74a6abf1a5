// One call reads new tokens through all layers: one parallel region, in which each thread does its share of every part.
#include "Decoder.h"
#include "TokenMath.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

namespace hone::decoding {
namespace {

// So many tokens pass the layers together; of long prompts one such piece after the other.
constexpr int64_t piece_tokens = 128;
// So many scores of a row are formed before the largest is looked for.
constexpr int64_t head_outputs = 1024;

// What a thread has for itself.
struct Scratch {
    Inputs inputs;
    std::vector<float> normed, products, scores, queries, mixed;
    std::vector<float> best;
    std::vector<int64_t> places;
};

// A token on its way: its row, its place in it, and its place among the results, -1 where nothing is wanted of it.
struct Token {
    int64_t id, row, position, result;
};

}  // namespace

// The memory and the tokens of one call.
class Step {
  public:
    Step(Decoding &decoding, const int64_t *tokens, const int64_t *counts, Wanted wanted)
        : decoding(decoding), decoder(decoding.decoder) {
        const int64_t rows = decoding.row_count();
        for (int64_t row = 0; row < rows; ++row) {
            const int64_t before = decoding.rows[row].length, count = counts[row];
            TORCH_CHECK(count > 0, "a row has no tokens");
            for (int64_t i = 0; i < count; ++i) {
                const int64_t id = *tokens++;
                TORCH_CHECK(id < decoder.vocabulary && -id * decoder.width <= static_cast<int64_t>(decoder.prefix.size()),
                            "token ", id, " is outside the vocabulary");
                const bool counts_here = wanted == Wanted::every_likeliest || i == count - 1;
                all.push_back({id, row, before + i, counts_here ? results++ : -1});
            }
            TORCH_CHECK(decoder.positions == nullptr ||
                            before + count + decoder.position_offset <= decoder.position_count,
                        before + count, " tokens are more than the model's positions");
            longest = std::max(longest, before + count);
        }
        piece = std::min<int64_t>(piece_tokens, all.size());
    }

    // Everything that can fail comes before the threads start.
    void prepare(int threads) {
        const int64_t pairs = decoder.frequencies.size(), n = all.size();
        cosine.resize(n * pairs);
        sine.resize(n * pairs);
        for (int64_t t = 0; t < n; ++t) {
            for (int64_t i = 0; i < pairs; ++i) {
                const float angle = static_cast<float>(all[t].position) * decoder.frequencies[i];
                cosine[t * pairs + i] = std::cos(angle) * decoder.amplitude;
                sine[t * pairs + i] = std::sin(angle) * decoder.amplitude;
            }
        }
        int64_t rank = 0;
        for (const Layer &layer : decoder.layers) {
            int64_t own = std::max({layer.output.rank, layer.down.rank, layer.gate.rank + layer.up.rank}), inputs = 0;
            for (const Map &map : layer.inputs) inputs += map.rank;
            rank = std::max({rank, own, inputs});
        }
        x.resize(piece * decoder.width);
        delta.resize(decoder.parallel ? piece * decoder.width : 0);
        joined.resize(piece * decoder.input_width());
        mixed.resize(piece * decoder.query_width());
        hidden.resize(piece * decoder.inner);
        thin.resize(piece * rank);
        last.resize(results * decoder.width);
        scratch.resize(threads);
        const int64_t padded = decoder.pages.padded(), group = decoder.heads / decoder.key_heads;
        const int64_t columns = (longest + 2 * page_positions) / page_positions * page_positions;
        for (Scratch &own : scratch) {
            own.normed.resize(piece * decoder.width);
            own.products.resize(std::max(piece * std::max(decoder.width, decoder.inner), results * head_outputs));
            own.scores.resize(4 * columns);
            own.queries.resize(group * decoder.head_width);
            own.mixed.resize(group * padded);
            own.best.assign(results, -std::numeric_limits<float>::infinity());
            own.places.assign(results, 0);
            const int64_t most = std::max({decoder.width, decoder.inner, decoder.query_width()});
            own.inputs.reserve(decoder.head.weight.form, std::max(piece, results), most);
            own.inputs.reserve(decoder.layers.empty() ? decoder.head.weight.form : decoder.layers[0].output.weight.form,
                               std::max(piece, results), most);
        }
        std::vector<int64_t> counts(decoding.rows.size());
        for (const Token &token : all) ++counts[token.row];
        for (size_t row = 0; row < counts.size(); ++row) decoding.rows[row].extend(counts[row], decoder.pages);
    }

    void run(Team &team, int thread, float *scores) {
        for (int64_t start = 0; start < static_cast<int64_t>(all.size()); start += piece) {
            const int64_t count = std::min<int64_t>(piece, all.size() - start);
            layers(team, thread, start, count);
            // The last states of this piece, before the next one takes their place.
            if (thread == 0) {
                for (int64_t t = 0; t < count; ++t) {
                    if (all[start + t].result < 0) continue;
                    std::copy_n(x.data() + t * decoder.width, decoder.width,
                                last.data() + all[start + t].result * decoder.width);
                }
            }
            team.wait();
        }
        head(team, thread, scores);
    }

    void finish(int64_t *likeliest) {
        for (const Token &token : all) decoding.rows[token.row].length = token.position + 1;
        if (!likeliest) return;
        for (int64_t result = 0; result < results; ++result) {
            float best = -std::numeric_limits<float>::infinity();
            likeliest[result] = -1;
            for (const Scratch &own : scratch) {
                if (std::isnan(own.best[result])) {
                    likeliest[result] = -1;
                    break;
                }
                // Threads have their scores in order, so the first of equals stays.
                if (own.best[result] > best) {
                    best = own.best[result];
                    likeliest[result] = own.places[result];
                }
            }
        }
    }

    int64_t token_count() const { return static_cast<int64_t>(all.size()); }

  private:
    Decoding &decoding;
    const Decoder &decoder;
    std::vector<Token> all;
    int64_t results = 0, piece = 0, longest = 0;
    std::vector<float> cosine, sine, x, delta, joined, mixed, hidden, thin, last;
    std::vector<Scratch> scratch;

    void embed(const Team &team, int thread, int64_t start, int64_t count) {
        const int64_t width = decoder.width;
        for (int64_t t = thread; t < count; t += team.size()) {
            const Token &token = all[start + t];
            float *to = x.data() + t * width;
            if (token.id < 0) {
                std::copy_n(decoder.prefix.data() + (-token.id - 1) * width, width, to);
            } else {
                read_row(decoder.tokens, token.id, [&](int64_t i, float value) { to[i] = value; });
            }
            if (decoder.positions) {
                read_row(decoder.positions, token.position + decoder.position_offset,
                         [&](int64_t i, float value) { to[i] += value; });
            }
        }
    }
    template <typename Body>
    void read_row(const void *table, int64_t row, const Body &body) {
        for (int64_t i = 0; i < decoder.width; ++i) {
            body(i, decoder.table_form == Form::float32
                        ? static_cast<const float *>(table)[row * decoder.width + i]
                        : static_cast<float>(static_cast<const c10::BFloat16 *>(table)[row * decoder.width + i]));
        }
    }

    // The norm of states as what maps are given, in every thread's own memory: that costs less than waiting for each other.
    void take_norm(Scratch &own, const Norm &norm, const float *from, int64_t count, Form form) {
        own.inputs.reserve(form, count, decoder.width);
        for (int64_t t = 0; t < count; ++t) {
            float *to = own.normed.data() + t * decoder.width;
            normalise_best(from + t * decoder.width, norm, decoder.centres, decoder.epsilon, decoder.width, to);
            own.inputs.take_row(t, to);
        }
    }

    // The thin products of low-rank updates that maps of one input have; everyone needs them, so everyone waits.
    void take_updates(Team &team, int thread, std::initializer_list<const Map *> maps, const float *from,
                      int64_t stride, int64_t count) {
        int64_t place = 0, all_ranks = 0;
        for (const Map *map : maps) all_ranks += map->rank;
        if (all_ranks == 0) return;
        for (const Map *map : maps) {
            for (int64_t r = 0; r < map->rank; ++r, ++place) {
                if (place % team.size() != thread) continue;
                for (int64_t t = 0; t < count; ++t) {
                    thin[t * all_ranks + place] = dot(map->down + r * map->weight.inputs, from + t * stride, map->weight.inputs);
                }
            }
        }
        team.wait();
    }

    // Outputs `share` of a map: `out[t · stride + output - share.begin]`. The thin products stand at `place` of `ranks`.
    void project(const Map &map, const Scratch &own, const Share &share, int64_t count, float *out, int64_t stride,
                 int64_t place = 0, int64_t ranks = 0) {
        product(map.weight, own.inputs, share.begin, share.end, out, stride);
        const int64_t outputs = share.end - share.begin;
        if (!map.bias.empty()) {
            for (int64_t t = 0; t < count; ++t) {
                add_best(out + t * stride, out + t * stride, map.bias.data() + share.begin, outputs);
            }
        }
        if (map.rank == 0) return;
        for (int64_t t = 0; t < count; ++t) {
            const float *inner = thin.data() + t * ranks + place;
            for (int64_t o = 0; o < outputs; ++o) {
                float sum = 0;
                for (int64_t r = 0; r < map.rank; ++r) sum += inner[r] * map.up[(share.begin + o) * map.rank + r];
                out[t * stride + o] += map.scale * sum;
            }
        }
    }

    // The vector of one head of a token: 0 of the query, 1 of the key, 2 of the value.
    const float *part(int64_t t, int which, int64_t head) const {
        const int64_t width = decoder.head_width;
        const float *all_parts = joined.data() + t * decoder.input_width();
        if (decoder.joined == 2) return all_parts + (3 * head + which) * width;
        return all_parts + (which == 0 ? 0 : decoder.query_width() + (which - 1) * decoder.key_width()) + head * width;
    }

    // A query or key as attention takes it: normalised, turned, scaled.
    void turn(const float *from, const Norm &norm, int64_t token, float scale, float *to) {
        const int64_t width = decoder.head_width, pairs = decoder.frequencies.size();
        if (norm.weight.empty()) {
            std::copy_n(from, width, to);
        } else {
            normalise_best(from, norm, false, decoder.epsilon, width, to);
        }
        const float *c = cosine.data() + token * pairs, *s = sine.data() + token * pairs;
        for (int64_t i = 0; i < pairs; ++i) {
            const float a = to[i], b = to[i + pairs];
            to[i] = a * c[i] - b * s[i];
            to[i + pairs] = b * c[i] + a * s[i];
        }
        for (int64_t i = 0; i < width; ++i) to[i] *= scale;
    }

    void attention(Team &team, int thread, int64_t index, int64_t start, int64_t count) {
        const Layer &layer = decoder.layers[index];
        Scratch &own = scratch[thread];
        const int64_t width = decoder.head_width, group = decoder.heads / decoder.key_heads;
        for (int64_t task = thread; task < count * decoder.key_heads; task += team.size()) {
            const int64_t t = task / decoder.key_heads, head = task % decoder.key_heads;
            const Token &token = all[start + t];
            turn(part(t, 1, head), layer.key_norm, start + t, 1, own.queries.data());
            keep(decoding.rows[token.row], decoder.pages, index, head, token.position, own.queries.data(), part(t, 2, head));
        }
        team.wait();
        // Where there are few tokens, heads that share keys are given to several threads.
        const int64_t most = count * decoder.key_heads >= 4 * team.size() ? group : (group + 1) / 2;
        const int64_t parts = (group + most - 1) / most;
        for (int64_t task = thread; task < count * decoder.key_heads * parts; task += team.size()) {
            const int64_t t = task / (decoder.key_heads * parts), head = task / parts % decoder.key_heads;
            // Parts are of unequal size: each thread has some of both.
            const int64_t first = (task + head) % parts * most, some = std::min(most, group - first);
            const Token &token = all[start + t];
            for (int64_t q = 0; q < some; ++q) {
                turn(part(t, 0, head * group + first + q), layer.query_norm, start + t, layer.scale,
                     own.queries.data() + q * width);
            }
            const int64_t from = layer.window > 0 ? std::max<int64_t>(0, token.position + 1 - layer.window) : 0;
            attend(decoding.rows[token.row], decoder.pages, index, head, from, token.position, own.queries.data(), some,
                   own.mixed.data(), own.scores.data());
            for (int64_t q = 0; q < some; ++q) {
                std::copy_n(own.mixed.data() + q * decoder.pages.padded(), width,
                            mixed.data() + t * decoder.query_width() + (head * group + first + q) * width);
            }
        }
        team.wait();
    }

    void layers(Team &team, int thread, int64_t start, int64_t count) {
        const int64_t width = decoder.width, inner = decoder.inner;
        Scratch &own = scratch[thread];
        embed(team, thread, start, count);
        team.wait();
        for (size_t index = 0; index < decoder.layers.size(); ++index) {
            const Layer &layer = decoder.layers[index];
            const Form form = layer.output.weight.form;
            take_norm(own, layer.attention_norm, x.data(), count, form);
            int64_t ranks = 0, place = 0, column = 0;
            for (const Map &map : layer.inputs) ranks += map.rank;
            if (layer.inputs.size() == 1) {
                take_updates(team, thread, {&layer.inputs[0]}, own.normed.data(), width, count);
            } else {
                take_updates(team, thread, {&layer.inputs[0], &layer.inputs[1], &layer.inputs[2]}, own.normed.data(), width, count);
            }
            for (const Map &map : layer.inputs) {
                const Share share(map.weight.outputs, output_unit, team, thread);
                project(map, own, share, count, joined.data() + column + share.begin, decoder.input_width(), place, ranks);
                column += map.weight.outputs;
                place += map.rank;
            }
            team.wait();
            attention(team, thread, static_cast<int64_t>(index), start, count);

            const Share share(width, output_unit, team, thread);
            const int64_t mine = share.end - share.begin;
            own.inputs.take(form, mixed.data(), decoder.query_width(), count, decoder.query_width());
            take_updates(team, thread, {&layer.output}, mixed.data(), decoder.query_width(), count);
            float *change = own.products.data();
            project(layer.output, own, share, count, change, mine, 0, layer.output.rank);
            for (int64_t t = 0; t < count; ++t) {
                const int64_t at = t * width + share.begin;
                if (decoder.parallel) {
                    std::copy_n(change + t * mine, mine, delta.data() + at);
                } else {
                    add_best(x.data() + at, x.data() + at, change + t * mine, mine);
                }
            }
            team.wait();

            take_norm(own, layer.mlp_norm, x.data(), count, form);
            const Share hers(inner, output_unit, team, thread);
            const int64_t units = hers.end - hers.begin;
            if (layer.gate.weight.data) {
                ranks = layer.gate.rank + layer.up.rank;
                take_updates(team, thread, {&layer.gate, &layer.up}, own.normed.data(), width, count);
                project(layer.gate, own, hers, count, hidden.data() + hers.begin, inner, 0, ranks);
                project(layer.up, own, hers, count, own.products.data(), units, layer.gate.rank, ranks);
            } else {
                take_updates(team, thread, {&layer.up}, own.normed.data(), width, count);
                project(layer.up, own, hers, count, hidden.data() + hers.begin, inner, 0, layer.up.rank);
            }
            for (int64_t t = 0; t < count && units > 0; ++t) {
                float *values = hidden.data() + t * inner + hers.begin;
                activate_best(decoder.activation, values, units);
                if (layer.gate.weight.data) multiply_best(values, own.products.data() + t * units, units);
            }
            team.wait();

            own.inputs.take(form, hidden.data(), inner, count, inner);
            take_updates(team, thread, {&layer.down}, hidden.data(), inner, count);
            project(layer.down, own, share, count, own.products.data(), mine, 0, layer.down.rank);
            for (int64_t t = 0; t < count; ++t) {
                const int64_t at = t * width + share.begin;
                add_best(x.data() + at, x.data() + at, own.products.data() + t * mine, mine);
                if (decoder.parallel) add_best(x.data() + at, x.data() + at, delta.data() + at, mine);
            }
            team.wait();
        }
    }

    void head(Team &team, int thread, float *scores) {
        Scratch &own = scratch[thread];
        for (int64_t first = 0; first < results; first += piece) {
            const int64_t count = std::min(piece, results - first);
            take_norm(own, decoder.last_norm, last.data() + first * decoder.width, count, decoder.head.weight.form);
            const Share share(decoder.vocabulary, output_unit, team, thread);
            for (int64_t output = share.begin; output < share.end; output += head_outputs) {
                const int64_t some = std::min(head_outputs, share.end - output);
                product(decoder.head.weight, own.inputs, output, output + some, own.products.data(), head_outputs);
                for (int64_t t = 0; t < count; ++t) {
                    const float *found = own.products.data() + t * head_outputs;
                    if (scores) {
                        std::copy_n(found, some, scores + (first + t) * decoder.vocabulary + output);
                    } else {
                        find_largest_best(found, some, output, own.best[first + t], own.places[first + t]);
                    }
                }
            }
        }
    }
};

void Decoding::read(const int64_t *tokens, const int64_t *counts, Wanted wanted, int64_t *likeliest, float *scores) {
    if (rows.empty()) return;
    Step step(*this, tokens, counts, wanted);
    size_t power = 0;
    while (power + 1 < decoder.choices.size() && (int64_t(1) << power) < step.token_count()) ++power;
    ThreadChoice &choice = decoder.choices[power];
    const int threads = choice.next(at::get_num_threads());
    step.prepare(threads);
    const auto start = std::chrono::steady_clock::now();
    with_team(threads, [&](Team &team, int thread) { step.run(team, thread, scores); });
    choice.took(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() /
                static_cast<double>(step.token_count()));
    step.finish(scores ? nullptr : likeliest);
}

}  // namespace hone::decoding
