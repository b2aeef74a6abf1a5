// SHA-256 and SHA-1 (FIPS 180-4). Two functions of a cryptographic library; all of BoringSSL costs minutes of building for
// them. SHA-1 is there because git names small files by it.
#ifndef C_HONE_DIGEST_H
#define C_HONE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

// The state between pieces; start it with `hone_sha256_start`.
typedef struct {
    uint32_t state[8];
    uint64_t length;
    uint8_t pending[64];
} hone_sha256;

void hone_sha256_start(hone_sha256 *digest);
void hone_sha256_update(hone_sha256 *digest, const void *bytes, size_t count);
// Writes 32 bytes.
void hone_sha256_finish(hone_sha256 *digest, uint8_t *result);
// Uses the portable code even where the processor has instructions for SHA-256; for tests.
void hone_sha256_force_portable(int portable);

// The state between pieces; start it with `hone_sha1_start`.
typedef struct {
    uint32_t state[5];
    uint64_t length;
    uint8_t pending[64];
} hone_sha1;

void hone_sha1_start(hone_sha1 *digest);
void hone_sha1_update(hone_sha1 *digest, const void *bytes, size_t count);
// Writes 20 bytes.
void hone_sha1_finish(hone_sha1 *digest, uint8_t *result);

#endif
