/* Talks to the emulator or debugger that runs this firmware.
 * Source of the numbers: Semihosting for AArch32 and AArch64, Arm. */
#ifndef TINYC_SEMIHOSTING_H
#define TINYC_SEMIHOSTING_H

#include <stdint.h>

enum { SEMIHOSTING_READ = 1, SEMIHOSTING_WRITE = 5 }; /* fopen's "rb" and "wb" */

/* Prints a string, or a number in hexadecimal. */
void semihosting_print(const char *text);
void semihosting_print_hex(uint32_t number);

/* A handle, or -1. */
int semihosting_open(const char *path, int mode);

/* Bytes moved; fewer than asked for at the end of the file or on an error. */
uint32_t semihosting_read(int file, void *to, uint32_t bytes);
uint32_t semihosting_write(int file, const void *from, uint32_t bytes);

void semihosting_close(int file);

/* Ends the run; the emulator exits with `code`. */
void semihosting_exit(int code);

#endif
