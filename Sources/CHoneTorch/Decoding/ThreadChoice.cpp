#include "Decoder.h"

#include <algorithm>

namespace hone::decoding {

int ThreadChoice::next(int limit) {
    if (limit != most) {
        most = limit;
        tries = chosen = 0;
        candidates.clear();
        for (int count = most; count >= 1; count /= 2) candidates.push_back({count});
    }
    if (candidates.size() == 1) return most;
    if (chosen > 0) return chosen;
    // The very first step also brings the weights into memory; then the candidates take turns.
    return tries == 0 ? most : candidates[(tries - 1) % candidates.size()].threads;
}

void ThreadChoice::took(double seconds) {
    if (candidates.size() == 1 || chosen > 0) return;
    if (tries++ == 0) return;
    const size_t place = (tries - 2) % candidates.size();
    Candidate &own = candidates[place];
    ++own.turns;
    own.sum += seconds;
    own.slowest = std::max(own.slowest, seconds);
    if (place + 1 < candidates.size() || own.turns < 2) return;
    const auto fastest = std::min_element(candidates.begin(), candidates.end(), [](const auto &a, const auto &b) {
        return a.seconds() < b.seconds();
    });
    // A clear difference shows in two turns, a small one needs five.
    const bool is_clear = std::all_of(candidates.begin(), candidates.end(), [&](const auto &other) {
        return other.threads == fastest->threads || other.seconds() > 1.3 * fastest->seconds();
    });
    if (is_clear || own.turns >= 5) chosen = fastest->threads;
}

}  // namespace hone::decoding
