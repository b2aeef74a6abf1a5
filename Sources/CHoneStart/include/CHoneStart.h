// Settings that must stand before the OpenMP run-time is loaded. Linking this into an executable is enough.
#ifndef C_HONE_START_H
#define C_HONE_START_H

// Does nothing; calling it keeps the linker from leaving the settings out.
void hone_start_settings(void);

#endif
