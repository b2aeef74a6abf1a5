// PNG and JPEG files as samples, through libpng and libjpeg-turbo, which are loaded when the first file is read.
//
// Their headers need not be there: the few functions and structures that are used are declared here. They belong to stable
// binary interfaces: libpng 1.6 (whose structures are opaque) and the one of libjpeg 6b (which checks its structure's size).
#ifndef C_HONE_IMAGES_H
#define C_HONE_IMAGES_H

#include <stddef.h>
#include <stdint.h>

// How the samples of a pixel lie, in bytes.
enum {
    HONE_IMAGE_GREY = 1,
    HONE_IMAGE_GREY_ALPHA = 2,
    HONE_IMAGE_RGB = 3,
    HONE_IMAGE_RGBA = 4,
    // Ink, inverted as Adobe's files have it: 255 is none.
    HONE_IMAGE_CMYK = 5,
    // Two bytes a pixel, the higher first.
    HONE_IMAGE_GREY_16 = 6,
};

// How reading ended.
enum {
    HONE_IMAGE_DONE = 0,
    HONE_IMAGE_NO_LIBRARY = 1,
    HONE_IMAGE_DAMAGED = 2,
    HONE_IMAGE_TOO_LARGE = 3,
    HONE_IMAGE_NO_MEMORY = 4,
    HONE_IMAGE_NOT_SUPPORTED = 5,
};

typedef struct {
    uint32_t width;
    uint32_t height;
    int layout;
    // Row after row without gaps; to be given to hone_image_free.
    uint8_t *samples;
    size_t count;
    // A colour (grey in the first place) that stands for nothing, as the file has it; only without alpha.
    int has_transparent;
    uint16_t transparent[3];
} hone_image;

// Reads a file that lies in memory. Nothing is allocated for more than `most_pixels`, or for more than a file of this length
// can hold. On failure `words`, of 256 bytes, has the reason, the library's own where it gave one.
int hone_image_read_png(const uint8_t *bytes, size_t count, uint64_t most_pixels, hone_image *image, char *words);
int hone_image_read_jpeg(const uint8_t *bytes, size_t count, uint64_t most_pixels, hone_image *image, char *words);
void hone_image_free(hone_image *image);

#endif
