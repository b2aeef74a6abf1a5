#include "CHoneStart.h"

#include <stdlib.h>

// libgomp reads its environment in its constructor, before main: only .preinit_array runs earlier. Waiting threads that
// spin fight for the processor with the thread that has work as soon as a machine is not idle.
static void set_waiting_policy(int count, char **arguments, char **environment) {
    (void)count;
    (void)arguments;
    (void)environment;
    setenv("OMP_WAIT_POLICY", "passive", 0);
}

__attribute__((section(".preinit_array"), used)) static void (*const hook)(int, char **, char **) = set_waiting_policy;

void hone_start_settings(void) {}
