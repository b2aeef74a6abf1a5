// Threads, memory, devices, versions.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <dlfcn.h>
#include <malloc.h>
#include <sched.h>
#include <sys/resource.h>

#include <cstdio>
#include <torch/csrc/api/include/torch/version.h>

#include "Internal.h"

extern "C" {

int hone_set_threads(int32_t count) {
    return hone::guarded([&] { at::set_num_threads(count); });
}
int32_t hone_threads(void) { return at::get_num_threads(); }

int32_t hone_processors(void) {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}
int64_t hone_peak_resident_bytes(void) {
    // VmHWM can be reset, unlike what getrusage gives.
    if (FILE *status = std::fopen("/proc/self/status", "r")) {
        char line[256];
        long long kibibytes = -1;
        while (std::fgets(line, sizeof line, status)) {
            if (std::sscanf(line, "VmHWM: %lld", &kibibytes) == 1) break;
        }
        std::fclose(status);
        if (kibibytes >= 0) return kibibytes * 1024;
    }
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}
void hone_reset_peak_resident(void) {
    malloc_trim(0);
    if (FILE *file = std::fopen("/proc/self/clear_refs", "w")) {
        std::fputs("5", file);
        std::fclose(file);
    }
}

void hone_keep_freed_memory(void) {
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, 2047 << 20);
    mallopt(M_TOP_PAD, 64 << 20);
}

bool hone_load_cuda(void) {
    // Loading registers the CUDA kernels with the dispatcher; where the library is absent nothing happens.
    static void *library = dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL);
    return library != nullptr && hone_cuda_devices() > 0;
}
int32_t hone_cuda_devices(void) {
    int32_t count = 0;
    hone::guarded([&] { count = at::hasCUDA() ? static_cast<int32_t>(at::detail::getCUDAHooks().deviceCount()) : 0; });
    return count;
}
int hone_cuda_synchronize(void) {
    return hone::guarded([&] { at::detail::getCUDAHooks().deviceSynchronize(at::detail::getCUDAHooks().getCurrentDevice()); });
}

const char *hone_version(void) { return TORCH_VERSION; }
const char *hone_cpu_capability(void) {
    static std::string capability = at::get_cpu_capability();
    return capability.c_str();
}

}  // extern "C"
