// HTTP requests through libcurl, which is loaded when the first one is made.
//
// libcurl is there wherever Swift is (its package manager needs it), its headers are not; so the few functions and option
// numbers that are used are declared here. They belong to its stable binary interface (soname 4 since 2006).
#ifndef C_HONE_TRANSFER_H
#define C_HONE_TRANSFER_H

#include <stddef.h>

// One connection that is used again by the next request to the same host; for one thread at a time.
typedef struct hone_transfer hone_transfer;

// What to ask for. Redirects are not followed, nothing is decoded, only http and https are spoken.
typedef struct {
    const char *url;
    int is_head;
    // Complete header lines, "Name: value".
    const char *const *headers;
    size_t header_count;
    // "" for none whatever the environment says, NULL for what the environment says.
    const char *proxy;
    // A file with certificates instead of the system's; NULL for the system's.
    const char *certificates;
    long connect_milliseconds;
    // How long the whole may take; 0 for no limit.
    long total_milliseconds;
    // Gives up where fewer bytes a second arrive for so many seconds; 0 for never.
    long slowest_bytes;
    long slowest_seconds;
    void *context;
    // Called for each header line and each piece of the body; returns 0 to stop. The body of a redirect comes too.
    int (*on_header)(void *context, const char *bytes, size_t count);
    int (*on_body)(void *context, const char *bytes, size_t count);
    // Called about once a second, also where nothing arrives; returns 0 to stop.
    int (*on_wait)(void *context);
} hone_transfer_request;

// How a request ended.
enum {
    HONE_TRANSFER_DONE = 0,
    HONE_TRANSFER_STOPPED = 1,
    HONE_TRANSFER_CANNOT_REACH = 2,
    HONE_TRANSFER_TIMED_OUT = 3,
    HONE_TRANSFER_CUT = 4,
    HONE_TRANSFER_NOT_TRUSTED = 5,
    HONE_TRANSFER_FAILED = 6,
};

// The version of libcurl, or NULL where there is none.
const char *hone_transfer_version(void);
hone_transfer *hone_transfer_new(void);
void hone_transfer_free(hone_transfer *transfer);
// Writes the status (0 where no answer came) and, on failure, libcurl's own words, at most 255 bytes and a NUL.
int hone_transfer_perform(hone_transfer *transfer, const hone_transfer_request *request, long *status, char *words);

#endif
