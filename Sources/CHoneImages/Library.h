// Loads functions of a shared library by name.
#ifndef C_HONE_IMAGES_LIBRARY_H
#define C_HONE_IMAGES_LIBRARY_H

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

struct hone_symbol {
    const char *name;
    void *target;
};

// The library beside the binary is found before the system's, by the binary's run path. Gives 0 where it, or one of the
// functions, is not there.
static inline int hone_load(const char *file, const struct hone_symbol *symbols, size_t count) {
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!library) return 0;
    for (size_t i = 0; i < count; ++i) {
        void *symbol = dlsym(library, symbols[i].name);
        if (!symbol) return 0;
        memcpy(symbols[i].target, &symbol, sizeof symbol);
    }
    return 1;
}

#endif
