#include "CHoneDigest.h"

#include <string.h>

static uint32_t turn(uint32_t word, int bits) { return word << bits | word >> (32 - bits); }

// Section 6.1.2.
static void block(uint32_t *state, const uint8_t *bytes) {
    uint32_t schedule[80];
    for (int t = 0; t < 16; ++t) {
        const uint8_t *word = bytes + 4 * t;
        schedule[t] = (uint32_t)word[0] << 24 | (uint32_t)word[1] << 16 | (uint32_t)word[2] << 8 | word[3];
    }
    for (int t = 16; t < 80; ++t) {
        schedule[t] = turn(schedule[t - 3] ^ schedule[t - 8] ^ schedule[t - 14] ^ schedule[t - 16], 1);
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    for (int t = 0; t < 80; ++t) {
        uint32_t mixed, constant;
        if (t < 20) {
            mixed = (b & c) | (~b & d), constant = 0x5a827999;
        } else if (t < 40) {
            mixed = b ^ c ^ d, constant = 0x6ed9eba1;
        } else if (t < 60) {
            mixed = (b & c) | (b & d) | (c & d), constant = 0x8f1bbcdc;
        } else {
            mixed = b ^ c ^ d, constant = 0xca62c1d6;
        }
        uint32_t next = turn(a, 5) + mixed + e + constant + schedule[t];
        e = d, d = c, c = turn(b, 30), b = a, a = next;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
}

void hone_sha1_start(hone_sha1 *digest) {
    static const uint32_t start[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    memset(digest, 0, sizeof *digest);
    memcpy(digest->state, start, sizeof start);
}

void hone_sha1_update(hone_sha1 *digest, const void *bytes, size_t count) {
    const uint8_t *rest = bytes;
    size_t waiting = digest->length % 64;
    digest->length += count;
    if (waiting > 0) {
        size_t taken = 64 - waiting < count ? 64 - waiting : count;
        if (taken > 0) memcpy(digest->pending + waiting, rest, taken);
        rest += taken, count -= taken, waiting += taken;
        if (waiting < 64) return;
        block(digest->state, digest->pending);
    }
    for (; count >= 64; rest += 64, count -= 64) block(digest->state, rest);
    if (count > 0) memcpy(digest->pending, rest, count);
}

void hone_sha1_finish(hone_sha1 *digest, uint8_t *result) {
    uint64_t bits = digest->length * 8;
    static const uint8_t padding[64] = {0x80};
    size_t waiting = digest->length % 64;
    hone_sha1_update(digest, padding, waiting < 56 ? 56 - waiting : 120 - waiting);
    uint8_t length[8];
    for (int i = 0; i < 8; ++i) length[i] = (uint8_t)(bits >> (56 - 8 * i));
    hone_sha1_update(digest, length, 8);
    for (int i = 0; i < 20; ++i) result[i] = (uint8_t)(digest->state[i / 4] >> (24 - 8 * (i % 4)));
}
