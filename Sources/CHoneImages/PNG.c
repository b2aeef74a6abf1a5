#include "CHoneImages.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include "Library.h"

typedef void *png_ptr;
typedef void *info_ptr;

// Kinds of colour, as the PNG standard numbers them.
enum { grey = 0, rgb = 2, palette = 3, grey_alpha = 4, rgba = 6 };

struct colour {
    uint8_t red, green, blue;
};

struct colour_16 {
    uint8_t index;
    uint16_t red, green, blue, grey;
};

typedef void (*message_function)(png_ptr, const char *);
typedef void (*read_function)(png_ptr, uint8_t *, size_t);

static struct {
    const char *(*version)(png_ptr);
    png_ptr (*new)(const char *, void *, message_function, message_function);
    info_ptr (*new_info)(png_ptr);
    void (*free)(png_ptr *, info_ptr *, info_ptr *);
    void (*set_read)(png_ptr, void *, read_function);
    void *(*io)(png_ptr);
    void *(*error_data)(png_ptr);
    void (*read_info)(png_ptr, info_ptr);
    uint32_t (*width)(png_ptr, info_ptr);
    uint32_t (*height)(png_ptr, info_ptr);
    uint8_t (*depth)(png_ptr, info_ptr);
    uint8_t (*colour)(png_ptr, info_ptr);
    size_t (*row_bytes)(png_ptr, info_ptr);
    uint32_t (*palette)(png_ptr, info_ptr, struct colour **, int *);
    uint32_t (*transparency)(png_ptr, info_ptr, uint8_t **, int *, struct colour_16 **);
    void (*unpack)(png_ptr);
    void (*widen_grey)(png_ptr);
    void (*strip_16)(png_ptr);
    int (*interlace)(png_ptr);
    void (*update)(png_ptr, info_ptr);
    void (*read_rows)(png_ptr, uint8_t **);
    void (*set_limits)(png_ptr, uint32_t, uint32_t);
    int is_ready;
} png;

static void load(void) {
    const struct hone_symbol symbols[] = {
        {"png_get_libpng_ver", &png.version},
        {"png_create_read_struct", &png.new},
        {"png_create_info_struct", &png.new_info},
        {"png_destroy_read_struct", &png.free},
        {"png_set_read_fn", &png.set_read},
        {"png_get_io_ptr", &png.io},
        {"png_get_error_ptr", &png.error_data},
        {"png_read_info", &png.read_info},
        {"png_get_image_width", &png.width},
        {"png_get_image_height", &png.height},
        {"png_get_bit_depth", &png.depth},
        {"png_get_color_type", &png.colour},
        {"png_get_rowbytes", &png.row_bytes},
        {"png_get_PLTE", &png.palette},
        {"png_get_tRNS", &png.transparency},
        {"png_set_packing", &png.unpack},
        {"png_set_expand_gray_1_2_4_to_8", &png.widen_grey},
        {"png_set_strip_16", &png.strip_16},
        {"png_set_interlace_handling", &png.interlace},
        {"png_read_update_info", &png.update},
        {"png_read_image", &png.read_rows},
        {"png_set_user_limits", &png.set_limits},
    };
    png.is_ready = hone_load("libpng16.so.16", symbols, sizeof symbols / sizeof *symbols);
}

// All that a reading has, so that an error finds it again.
struct reading {
    jmp_buf on_error;
    char *words;
    const uint8_t *next;
    size_t left;
    png_ptr png;
    info_ptr info;
    uint8_t **rows;
    uint8_t *samples;
    uint8_t *indices;
};

static void fail(png_ptr png_struct, const char *words) {
    struct reading *reading = png.error_data(png_struct);
    snprintf(reading->words, 256, "%s", words);
    longjmp(reading->on_error, 1);
}

static void ignore(png_ptr png_struct, const char *words) { (void)png_struct, (void)words; }

static void give(png_ptr png_struct, uint8_t *target, size_t count) {
    struct reading *reading = png.io(png_struct);
    if (count > reading->left) {
        snprintf(reading->words, 256, "the file ends too early");
        longjmp(reading->on_error, 1);
    }
    memcpy(target, reading->next, count);
    reading->next += count;
    reading->left -= count;
}

// The colours of palette indices. Indices beyond the palette are greys.
static void paint(const uint8_t *indices, size_t pixels, const struct colour *colours, int colour_count,
                  const uint8_t *alphas, int alpha_count, uint8_t *samples) {
    uint8_t table[256][4];
    for (int i = 0; i < 256; ++i) {
        table[i][0] = i < colour_count ? colours[i].red : (uint8_t)i;
        table[i][1] = i < colour_count ? colours[i].green : (uint8_t)i;
        table[i][2] = i < colour_count ? colours[i].blue : (uint8_t)i;
        table[i][3] = i < alpha_count ? alphas[i] : 255;
    }
    size_t size = alpha_count > 0 ? 4 : 3;
    for (size_t i = 0; i < pixels; ++i) memcpy(samples + size * i, table[indices[i]], size);
}

static int read(struct reading *reading, size_t count, uint64_t most_pixels, hone_image *image) {
    png.set_limits(reading->png, 1 << 24, 1 << 24);
    png.set_read(reading->png, reading, give);
    png.read_info(reading->png, reading->info);
    uint32_t width = png.width(reading->png, reading->info), height = png.height(reading->png, reading->info);
    int depth = png.depth(reading->png, reading->info), kind = png.colour(reading->png, reading->info);
    uint64_t pixels = (uint64_t)width * height;
    // Deflate makes at most 1032 bytes of one.
    uint64_t least_bytes = pixels / 8 * (uint64_t)depth * (kind == rgb ? 3 : kind == rgba ? 4 : kind == grey_alpha ? 2 : 1);
    if (pixels > most_pixels || least_bytes / 1032 > count + 1024) {
        snprintf(reading->words, 256, "it claims %u by %u pixels", width, height);
        return HONE_IMAGE_TOO_LARGE;
    }
    struct colour *colours = NULL;
    uint8_t *alphas = NULL;
    struct colour_16 *transparent = NULL;
    int colour_count = 0, alpha_count = 0;
    if (kind == palette) png.palette(reading->png, reading->info, &colours, &colour_count);
    if (kind == palette || kind == rgb || kind == grey)
        if (!png.transparency(reading->png, reading->info, &alphas, &alpha_count, &transparent)) alpha_count = 0;
    image->width = width;
    image->height = height;
    size_t size;
    switch (kind) {
    case grey: image->layout = depth == 16 ? HONE_IMAGE_GREY_16 : HONE_IMAGE_GREY, size = depth == 16 ? 2 : 1; break;
    case grey_alpha: image->layout = HONE_IMAGE_GREY_ALPHA, size = 2; break;
    case rgb: image->layout = HONE_IMAGE_RGB, size = 3; break;
    case rgba: image->layout = HONE_IMAGE_RGBA, size = 4; break;
    default: image->layout = alpha_count > 0 ? HONE_IMAGE_RGBA : HONE_IMAGE_RGB, size = 1; break;
    }
    if (kind != palette && alpha_count > 0 && transparent) {
        image->has_transparent = 1;
        image->transparent[0] = kind == grey ? transparent->grey : transparent->red;
        image->transparent[1] = transparent->green;
        image->transparent[2] = transparent->blue;
        // Grey of one bit is written as 0 or 255, and so is the value that stands for nothing; greys of two and four bits are
        // compared as they are in the file, as the reference does it.
        if (kind == grey && depth == 1) image->transparent[0] = transparent->grey ? 255 : 0;
    }
    if (kind == palette) png.unpack(reading->png);
    if (kind == grey && depth < 8) png.widen_grey(reading->png);
    if (kind != grey && depth == 16) png.strip_16(reading->png);
    png.interlace(reading->png);
    png.update(reading->png, reading->info);
    if (png.row_bytes(reading->png, reading->info) != size * width) {
        snprintf(reading->words, 256, "its rows have an unexpected length");
        return HONE_IMAGE_DAMAGED;
    }
    reading->rows = malloc((size_t)height * sizeof *reading->rows);
    // Rows that an error leaves out would otherwise show what was in memory before.
    uint8_t *target = calloc(pixels, size);
    if (kind == palette) reading->indices = target;
    else reading->samples = target;
    if (!reading->rows || !target) return HONE_IMAGE_NO_MEMORY;
    for (uint32_t row = 0; row < height; ++row) reading->rows[row] = target + (size_t)row * width * size;
    png.read_rows(reading->png, reading->rows);
    if (kind == palette) {
        size = alpha_count > 0 ? 4 : 3;
        reading->samples = malloc(pixels * size);
        if (!reading->samples) return HONE_IMAGE_NO_MEMORY;
        paint(reading->indices, pixels, colours, colour_count, alphas, alpha_count, reading->samples);
    }
    image->count = pixels * size;
    return HONE_IMAGE_DONE;
}

int hone_image_read_png(const uint8_t *bytes, size_t count, uint64_t most_pixels, hone_image *image, char *words) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    memset(image, 0, sizeof *image);
    words[0] = 0;
    if (!png.is_ready) return HONE_IMAGE_NO_LIBRARY;
    // On the heap: what changes after setjmp and is read after longjmp may not live in registers.
    struct reading *reading = calloc(1, sizeof *reading);
    if (!reading) return HONE_IMAGE_NO_MEMORY;
    reading->words = words;
    reading->next = bytes;
    reading->left = count;
    int result = HONE_IMAGE_DAMAGED;
    if (!setjmp(reading->on_error)) {
        reading->png = png.new(png.version(NULL), reading, fail, ignore);
        reading->info = reading->png ? png.new_info(reading->png) : NULL;
        result = reading->info ? read(reading, count, most_pixels, image) : HONE_IMAGE_NO_MEMORY;
    } else {
        result = HONE_IMAGE_DAMAGED;
    }
    if (reading->png) png.free(&reading->png, &reading->info, NULL);
    if (result == HONE_IMAGE_DONE) image->samples = reading->samples;
    else free(reading->samples);
    free(reading->rows);
    free(reading->indices);
    free(reading);
    return result;
}

void hone_image_free(hone_image *image) {
    free(image->samples);
    image->samples = NULL;
}
