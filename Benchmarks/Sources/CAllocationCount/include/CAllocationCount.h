#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Tensor memory as libtorch's CPU allocator gives it out.
struct hone_allocation_count {
    int64_t allocations;  // since the last reset
    int64_t bytes;        // given out since the last reset
    int64_t peak_bytes;   // the most in use at once since the last reset, beyond what was in use then
};

// Puts a counter before libtorch's CPU allocator, for the rest of the process.
void hone_count_allocations(void);
void hone_reset_allocation_count(void);
struct hone_allocation_count hone_allocations(void);

// Under valgrind's callgrind, counts the instructions between these and dumps the count under a name; otherwise nothing.
void hone_begin_instructions(void);
void hone_end_instructions(const char *name);

#ifdef __cplusplus
}
#endif
