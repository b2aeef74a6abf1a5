#include "CHoneDigest.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// Section 4.2.2: the first 32 bits of the fractional parts of the cube roots of the first 64 primes.
static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static int force_portable = 0;

static uint32_t turn(uint32_t word, int bits) { return word >> bits | word << (32 - bits); }

// Section 6.2.2.
static void blocks_portable(uint32_t *state, const uint8_t *bytes, size_t count) {
    for (; count > 0; --count, bytes += 64) {
        uint32_t schedule[64];
        for (int t = 0; t < 16; ++t) {
            const uint8_t *word = bytes + 4 * t;
            schedule[t] = (uint32_t)word[0] << 24 | (uint32_t)word[1] << 16 | (uint32_t)word[2] << 8 | word[3];
        }
        for (int t = 16; t < 64; ++t) {
            uint32_t early = schedule[t - 15], late = schedule[t - 2];
            schedule[t] = schedule[t - 16] + (turn(early, 7) ^ turn(early, 18) ^ early >> 3) + schedule[t - 7] +
                          (turn(late, 17) ^ turn(late, 19) ^ late >> 10);
        }
        uint32_t w[8];
        memcpy(w, state, sizeof w);
        for (int t = 0; t < 64; ++t) {
            uint32_t first = w[7] + (turn(w[4], 6) ^ turn(w[4], 11) ^ turn(w[4], 25)) +
                             ((w[4] & w[5]) ^ (~w[4] & w[6])) + constants[t] + schedule[t];
            uint32_t second =
                (turn(w[0], 2) ^ turn(w[0], 13) ^ turn(w[0], 22)) + ((w[0] & w[1]) ^ (w[0] & w[2]) ^ (w[1] & w[2]));
            memmove(w + 1, w, 7 * sizeof *w);
            w[4] += first;
            w[0] = first + second;
        }
        for (int i = 0; i < 8; ++i) state[i] += w[i];
    }
}

#if defined(__x86_64__)
// The same by the processor's instructions, which do two rounds at a time on the halves ABEF and CDGH.
__attribute__((target("sha,sse4.1,ssse3"))) static void blocks_x86(uint32_t *state, const uint8_t *bytes, size_t count) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xb1);
    __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1b);
    __m128i abef = _mm_alignr_epi8(low, high, 8);
    __m128i cdgh = _mm_blend_epi16(high, low, 0xf0);
    for (; count > 0; --count, bytes += 64) {
        __m128i first = abef, second = cdgh, words[4];
        for (int group = 0; group < 16; ++group) {
            __m128i *now = &words[group & 3];
            if (group < 4) {
                *now = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(bytes + 16 * group)), big_endian);
            } else {
                __m128i last = words[(group + 3) & 3];
                __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(*now, words[(group + 1) & 3]),
                                            _mm_alignr_epi8(last, words[(group + 2) & 3], 4));
                *now = _mm_sha256msg2_epu32(sum, last);
            }
            __m128i keyed = _mm_add_epi32(*now, _mm_loadu_si128((const __m128i *)(constants + 4 * group)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, keyed);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(keyed, 0x0e));
        }
        abef = _mm_add_epi32(abef, first);
        cdgh = _mm_add_epi32(cdgh, second);
    }
    low = _mm_shuffle_epi32(abef, 0x1b);
    high = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(low, high, 0xf0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(high, low, 8));
}
#endif

static void blocks(uint32_t *state, const uint8_t *bytes, size_t count) {
#if defined(__x86_64__)
    if (!force_portable && __builtin_cpu_supports("sha") && __builtin_cpu_supports("sse4.1")) {
        blocks_x86(state, bytes, count);
        return;
    }
#endif
    blocks_portable(state, bytes, count);
}

void hone_sha256_force_portable(int portable) { force_portable = portable; }

void hone_sha256_start(hone_sha256 *digest) {
    // Section 5.3.3: the fractional parts of the square roots of the first 8 primes.
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(digest->state, start, sizeof start);
    digest->length = 0;
}

void hone_sha256_update(hone_sha256 *digest, const void *bytes, size_t count) {
    if (count == 0) return;
    const uint8_t *next = bytes;
    size_t held = digest->length % 64;
    digest->length += count;
    if (held > 0) {
        size_t taken = count < 64 - held ? count : 64 - held;
        memcpy(digest->pending + held, next, taken);
        next += taken;
        count -= taken;
        if (held + taken < 64) return;
        blocks(digest->state, digest->pending, 1);
    }
    blocks(digest->state, next, count / 64);
    if (count % 64 > 0) memcpy(digest->pending, next + count / 64 * 64, count % 64);
}

void hone_sha256_finish(hone_sha256 *digest, uint8_t *result) {
    // Section 5.1.1: a one bit, zeros, and the length in bits at the end of a block.
    uint64_t bits = digest->length * 8;
    uint8_t padding[128] = {0x80};
    size_t held = digest->length % 64;
    size_t count = (held < 56 ? 56 : 120) - held;
    for (int i = 0; i < 8; ++i) padding[count + i] = (uint8_t)(bits >> (56 - 8 * i));
    hone_sha256_update(digest, padding, count + 8);
    for (int i = 0; i < 32; ++i) result[i] = (uint8_t)(digest->state[i / 4] >> (24 - 8 * (i % 4)));
}
