#include "CHoneTransfer.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// From libcurl's binary interface: kinds of options are told by their thousands (0 long, 10000 pointer, 20000 function).
enum {
    option_write_data = 10001,
    option_url = 10002,
    option_proxy = 10004,
    option_error_buffer = 10010,
    option_http_header = 10023,
    option_header_data = 10029,
    option_progress_data = 10057,
    option_ca_info = 10065,
    option_protocols_text = 10318,
    option_low_speed_limit = 19,
    option_low_speed_time = 20,
    option_no_progress = 43,
    option_no_body = 44,
    option_follow_location = 52,
    option_no_signal = 99,
    option_timeout_ms = 155,
    option_connect_timeout_ms = 156,
    option_protocols = 181,
    option_write_function = 20011,
    option_header_function = 20079,
    option_progress_function = 20219,
    info_response_code = 0x200002,
    protocol_http = 1,
    protocol_https = 2,
    global_all = 3,
};

struct hone_transfer {
    void *easy;
};

static struct {
    int (*global_init)(long);
    const char *(*version)(void);
    void *(*new)(void);
    void (*reset)(void *);
    void (*free)(void *);
    int (*set)(void *, int, ...);
    int (*get)(void *, int, ...);
    int (*perform)(void *);
    void *(*append)(void *, const char *);
    void (*free_list)(void *);
    int is_ready;
} curl;

static void load(void) {
    static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4", "libcurl.4.dylib"};
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !library; ++i) library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    const struct {
        const char *name;
        void *target;
    } symbols[] = {
        {"curl_global_init", &curl.global_init},   {"curl_version", &curl.version},
        {"curl_easy_init", &curl.new},             {"curl_easy_reset", &curl.reset},
        {"curl_easy_cleanup", &curl.free},         {"curl_easy_setopt", &curl.set},
        {"curl_easy_getinfo", &curl.get},          {"curl_easy_perform", &curl.perform},
        {"curl_slist_append", &curl.append},       {"curl_slist_free_all", &curl.free_list},
    };
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; ++i) {
        void *symbol = dlsym(library, symbols[i].name);
        if (!symbol) return;
        memcpy(symbols[i].target, &symbol, sizeof symbol);
    }
    curl.is_ready = curl.global_init(global_all) == 0;
}

static int is_ready(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return curl.is_ready;
}

const char *hone_transfer_version(void) { return is_ready() ? curl.version() : NULL; }

hone_transfer *hone_transfer_new(void) {
    if (!is_ready()) return NULL;
    hone_transfer *transfer = malloc(sizeof *transfer);
    if (!transfer) return NULL;
    transfer->easy = curl.new();
    if (transfer->easy) return transfer;
    free(transfer);
    return NULL;
}

void hone_transfer_free(hone_transfer *transfer) {
    if (!transfer) return;
    curl.free(transfer->easy);
    free(transfer);
}

static size_t pass_header(char *bytes, size_t size, size_t count, void *data) {
    const hone_transfer_request *request = data;
    return request->on_header(request->context, bytes, size * count) ? size * count : 0;
}

static size_t pass_body(char *bytes, size_t size, size_t count, void *data) {
    const hone_transfer_request *request = data;
    // Anything but the given count stops libcurl; the count itself is never 0 where there is a body.
    return request->on_body(request->context, bytes, size * count) ? size * count : size * count + 1;
}

static int pass_wait(void *data, long long a, long long b, long long c, long long d) {
    (void)a, (void)b, (void)c, (void)d;
    const hone_transfer_request *request = data;
    return request->on_wait(request->context) ? 0 : 1;
}

static int kind_of_failure(int code) {
    switch (code) {
        case 0: return HONE_TRANSFER_DONE;
        case 23: case 42: return HONE_TRANSFER_STOPPED;
        case 5: case 6: case 7: return HONE_TRANSFER_CANNOT_REACH;
        case 28: return HONE_TRANSFER_TIMED_OUT;
        case 16: case 18: case 52: case 55: case 56: case 92: return HONE_TRANSFER_CUT;
        case 35: case 51: case 53: case 54: case 58: case 59: case 60: case 66: case 77: case 80: case 82: case 83: case 91:
            return HONE_TRANSFER_NOT_TRUSTED;
        default: return HONE_TRANSFER_FAILED;
    }
}

int hone_transfer_perform(hone_transfer *transfer, const hone_transfer_request *request, long *status, char *words) {
    *status = 0;
    words[0] = 0;
    void *easy = transfer->easy;
    void *list = NULL;
    for (size_t i = 0; i < request->header_count; ++i) {
        void *longer = curl.append(list, request->headers[i]);
        if (!longer) {
            curl.free_list(list);
            return HONE_TRANSFER_FAILED;
        }
        list = longer;
    }
    // Keeps the connection, forgets the options.
    curl.reset(easy);
    int code = curl.set(easy, option_url, request->url);
    if (!code) code = curl.set(easy, option_no_signal, 1L);
    if (!code) code = curl.set(easy, option_follow_location, 0L);
    // The text since 7.85, before that the number.
    if (!code && curl.set(easy, option_protocols_text, "http,https")) {
        code = curl.set(easy, option_protocols, (long)(protocol_http | protocol_https));
    }
    if (!code) code = curl.set(easy, option_no_body, request->is_head ? 1L : 0L);
    if (!code) code = curl.set(easy, option_http_header, list);
    if (!code && request->proxy) code = curl.set(easy, option_proxy, request->proxy);
    if (!code && request->certificates) code = curl.set(easy, option_ca_info, request->certificates);
    if (!code) code = curl.set(easy, option_connect_timeout_ms, request->connect_milliseconds);
    if (!code) code = curl.set(easy, option_timeout_ms, request->total_milliseconds);
    if (!code) code = curl.set(easy, option_low_speed_limit, request->slowest_bytes);
    if (!code) code = curl.set(easy, option_low_speed_time, request->slowest_seconds);
    if (!code) code = curl.set(easy, option_error_buffer, words);
    if (!code) code = curl.set(easy, option_header_function, pass_header);
    if (!code) code = curl.set(easy, option_header_data, (void *)request);
    if (!code) code = curl.set(easy, option_write_function, pass_body);
    if (!code) code = curl.set(easy, option_write_data, (void *)request);
    if (!code) code = curl.set(easy, option_progress_function, pass_wait);
    if (!code) code = curl.set(easy, option_progress_data, (void *)request);
    if (!code) code = curl.set(easy, option_no_progress, 0L);
    if (!code) {
        // A connection that the other side has closed must not end the process.
        sigset_t pipe, before, pending;
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        pthread_sigmask(SIG_BLOCK, &pipe, &before);
        code = curl.perform(easy);
        sigpending(&pending);
#if defined(__linux__)
        if (sigismember(&pending, SIGPIPE) && !sigismember(&before, SIGPIPE)) {
            struct timespec none = {0, 0};
            sigtimedwait(&pipe, NULL, &none);
        }
#endif
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        curl.get(easy, info_response_code, status);
    }
    curl.free_list(list);
    // The buffer belongs to this call.
    curl.set(easy, option_error_buffer, (char *)NULL);
    return kind_of_failure(code);
}
