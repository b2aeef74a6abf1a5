#include "CHoneImages.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include "Library.h"

// The binary interface of libjpeg 6b, which libjpeg-turbo keeps under the name libjpeg.so.62.
enum {
    interface_version = 62,
    space_grey = 1,
    space_rgb = 2,
    space_cmyk = 4,
    header_ok = 1,
    // Scans of a progressive file; the usual have ten.
    most_scans = 64,
};

struct decompression;

struct errors {
    void (*exit)(struct decompression *);
    void (*emit)(struct decompression *, int level);
    void (*output)(struct decompression *);
    void (*format)(struct decompression *, char *words);
    void (*reset)(struct decompression *);
    int code;
    union {
        int numbers[8];
        char text[80];
    } parameters;
    int trace_level;
    long warnings;
    const char *const *messages;
    int last_message;
    const char *const *more_messages;
    int first_more_message;
    int last_more_message;
};

struct source {
    const uint8_t *next;
    size_t left;
    void (*start)(struct decompression *);
    int (*fill)(struct decompression *);
    void (*skip)(struct decompression *, long);
    int (*resynchronise)(struct decompression *, int);
    void (*finish)(struct decompression *);
};

struct progress {
    void (*monitor)(struct decompression *);
    long pass_counter;
    long pass_limit;
    int completed_passes;
    int total_passes;
};

struct decompression {
    struct errors *errors;
    void *memory;
    struct progress *progress;
    void *client_data;
    int is_decompressor;
    int state;
    struct source *source;
    unsigned image_width;
    unsigned image_height;
    int components;
    int file_space;
    int output_space;
    unsigned scale_numerator;
    unsigned scale_denominator;
    double gamma;
    int options[12];
    unsigned output_width;
    unsigned output_height;
    int output_colours;
    int output_components;
    int recommended_rows;
    int palette_size;
    uint8_t **palette;
    unsigned output_row;
    int input_scan;
    unsigned input_row;
    int output_scan;
    unsigned output_block_row;
    void *coefficient_bits;
    void *tables[12];
    int precision;
    char rest[632 - 300];
};

_Static_assert(sizeof(void *) != 8 || sizeof(struct decompression) == 632, "the structure of libjpeg 6b has 632 bytes");
_Static_assert(sizeof(void *) != 8 || offsetof(struct decompression, precision) == 296, "its precision is at byte 296");

static struct {
    struct errors *(*standard_errors)(struct errors *);
    void (*create)(struct decompression *, int version, size_t size);
    int (*read_header)(struct decompression *, int needs_image);
    int (*start)(struct decompression *);
    unsigned (*read_rows)(struct decompression *, uint8_t **, unsigned);
    void (*destroy)(struct decompression *);
    int (*resynchronise)(struct decompression *, int);
    int is_ready;
} jpeg;

static void load(void) {
    const struct hone_symbol symbols[] = {
        {"jpeg_std_error", &jpeg.standard_errors},     {"jpeg_CreateDecompress", &jpeg.create},
        {"jpeg_read_header", &jpeg.read_header},       {"jpeg_start_decompress", &jpeg.start},
        {"jpeg_read_scanlines", &jpeg.read_rows},      {"jpeg_destroy_decompress", &jpeg.destroy},
        {"jpeg_resync_to_restart", &jpeg.resynchronise},
    };
    jpeg.is_ready = hone_load("libjpeg.so.62", symbols, sizeof symbols / sizeof *symbols);
}

struct reading {
    struct decompression decompression;
    struct errors errors;
    struct source source;
    struct progress progress;
    jmp_buf on_error;
    char *words;
    uint8_t *samples;
};

static _Noreturn void stop(struct decompression *decompression, const char *words) {
    struct reading *reading = decompression->client_data;
    snprintf(reading->words, 256, "%s", words);
    longjmp(reading->on_error, 1);
}

static void fail(struct decompression *decompression) {
    char words[256] = "";
    decompression->errors->format(decompression, words);
    stop(decompression, words);
}

static void ignore_level(struct decompression *decompression, int level) { (void)decompression, (void)level; }
static void ignore(struct decompression *decompression) { (void)decompression; }

static int end_too_early(struct decompression *decompression) { stop(decompression, "the file ends too early"); }

static void skip(struct decompression *decompression, long count) {
    struct source *source = decompression->source;
    if (count <= 0) return;
    if ((size_t)count > source->left) stop(decompression, "the file ends too early");
    source->next += count;
    source->left -= (size_t)count;
}

static void watch(struct decompression *decompression) {
    if (decompression->input_scan > most_scans) stop(decompression, "it has more scans than any camera or program writes");
}

static int read(struct reading *reading, const uint8_t *bytes, size_t count, uint64_t most_pixels, hone_image *image) {
    struct decompression *decompression = &reading->decompression;
    decompression->errors = jpeg.standard_errors(&reading->errors);
    reading->errors.exit = fail;
    reading->errors.emit = ignore_level;
    reading->errors.output = ignore;
    decompression->client_data = reading;
    // Fails by its own check where the library has another structure.
    jpeg.create(decompression, interface_version, sizeof *decompression);
    reading->source = (struct source){bytes, count, ignore, end_too_early, skip, jpeg.resynchronise, ignore};
    decompression->source = &reading->source;
    reading->progress.monitor = watch;
    decompression->progress = &reading->progress;
    if (jpeg.read_header(decompression, 1) != header_ok) return HONE_IMAGE_DAMAGED;
    uint64_t pixels = (uint64_t)decompression->image_width * decompression->image_height;
    // A block of 8 by 8 pixels takes a bit at least; four times as much is let pass for components that have fewer blocks.
    if (pixels > most_pixels || pixels / 2048 > count + 1024) {
        snprintf(reading->words, 256, "it claims %u by %u pixels", decompression->image_width, decompression->image_height);
        return HONE_IMAGE_TOO_LARGE;
    }
    if (decompression->precision != 8) {
        snprintf(reading->words, 256, "samples of %d bits", decompression->precision);
        return HONE_IMAGE_NOT_SUPPORTED;
    }
    switch (decompression->components) {
    case 1: decompression->output_space = space_grey, image->layout = HONE_IMAGE_GREY; break;
    case 3: decompression->output_space = space_rgb, image->layout = HONE_IMAGE_RGB; break;
    case 4: decompression->output_space = space_cmyk, image->layout = HONE_IMAGE_CMYK; break;
    default:
        snprintf(reading->words, 256, "%d components a pixel", decompression->components);
        return HONE_IMAGE_NOT_SUPPORTED;
    }
    size_t size = (size_t)decompression->components;
    if (!jpeg.start(decompression)) return HONE_IMAGE_DAMAGED;
    if (decompression->output_width != decompression->image_width || decompression->output_components != (int)size
        || decompression->output_height != decompression->image_height)
        return HONE_IMAGE_DAMAGED;
    image->width = decompression->output_width;
    image->height = decompression->output_height;
    reading->samples = calloc(pixels, size);
    if (!reading->samples) return HONE_IMAGE_NO_MEMORY;
    while (decompression->output_row < decompression->output_height) {
        uint8_t *row = reading->samples + (size_t)decompression->output_row * image->width * size;
        if (jpeg.read_rows(decompression, &row, 1) != 1) return HONE_IMAGE_DAMAGED;
    }
    image->count = pixels * size;
    return HONE_IMAGE_DONE;
}

int hone_image_read_jpeg(const uint8_t *bytes, size_t count, uint64_t most_pixels, hone_image *image, char *words) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    memset(image, 0, sizeof *image);
    words[0] = 0;
    if (!jpeg.is_ready) return HONE_IMAGE_NO_LIBRARY;
    struct reading *reading = calloc(1, sizeof *reading);
    if (!reading) return HONE_IMAGE_NO_MEMORY;
    reading->words = words;
    int result = HONE_IMAGE_DAMAGED;
    if (!setjmp(reading->on_error)) result = read(reading, bytes, count, most_pixels, image);
    else result = HONE_IMAGE_DAMAGED;
    jpeg.destroy(&reading->decompression);
    if (result == HONE_IMAGE_DONE) image->samples = reading->samples;
    else free(reading->samples);
    free(reading);
    return result;
}
