#include "CHoneStart.h"

#include <string.h>
#include <unistd.h>

// libgomp reads its environment in its constructor, before main, so it is too late to set anything there. Only
// .preinit_array runs earlier, and the C library's own environment is not up yet: the program starts itself again with
// the setting added. That costs one more pass of the dynamic linker, some tens of milliseconds. Waiting threads that spin
// would fight for the processor with the thread that has work as soon as a machine is not idle.
static void set_waiting_policy(int count, char **arguments, char **environment) {
    (void)count;
    static char setting[] = "OMP_WAIT_POLICY=passive";
    static char *extended[4096];
    size_t entries = 0;
    for (; environment[entries]; ++entries) {
        if (entries + 2 >= sizeof extended / sizeof *extended) return;
        if (!strncmp(environment[entries], "OMP_WAIT_POLICY=", 16) || !strncmp(environment[entries], "GOMP_SPINCOUNT=", 15)) {
            return;
        }
        extended[entries] = environment[entries];
    }
    extended[entries] = setting;
    execve("/proc/self/exe", arguments, extended);
    // Without /proc the program just goes on as it is.
}

__attribute__((section(".preinit_array"), used)) static void (*const hook)(int, char **, char **) = set_waiting_policy;

void hone_start_settings(void) {}
