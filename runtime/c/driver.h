/* What driver.c has to know of a model. `tinyc run` makes an object with this table; C code can write it by hand. */
#ifndef TINYC_DRIVER_H
#define TINYC_DRIVER_H

#include <stdint.h>

#define TINYC_GUARD_BYTES 64 /* before and after the arena, to see what writes outside */
#define TINYC_INTERRUPTS 1   /* flag: run with a timer interrupt every few hundred cycles */

struct tinyc_tensor {
    uint32_t offset; /* bytes from the start of the arena */
    uint32_t bytes;
};

struct tinyc_firmware {
    void (*run)(void *arena);
    void (*reset)(void *arena); /* or 0: the model keeps no state */
    uint8_t *arena;             /* with TINYC_GUARD_BYTES before and after it */
    uint32_t arena_bytes;
    uint32_t flags;
    uint32_t inputs;               /* how many */
    uint32_t outputs;              /* how many */
    struct tinyc_tensor tensors[]; /* inputs, then outputs */
};

extern const struct tinyc_firmware tinyc_firmware;

#endif
