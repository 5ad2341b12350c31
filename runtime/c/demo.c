/* A firmware around one model: zeros in, the first outputs on the console.
 *
 *   tinyc build kws.tflite -o kws.o
 *   arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -O2 -nostartfiles -nostdlib -DMODEL=kws -DMODEL_UPPER=KWS \
 *       -include kws.h demo.c startup.c kws.o -T mps2-an386.ld -o demo.elf
 *   qemu-system-arm -machine mps2-an386 -nographic -semihosting -kernel demo.elf
 */
#include "semihosting.h"

#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)
#define FUNCTION(name) JOIN(MODEL, name)
#define CONSTANT(name) JOIN(MODEL_UPPER, name)

#define SHOWN_BYTES 16u

void bench_begin(void);
void bench_end(void);

/* A cycle counter measures from the return of the first to the call of the second. */
__attribute__((noinline, used)) void bench_begin(void)
{
    __asm__ volatile("@ begin" ::: "memory");
}

__attribute__((noinline, used)) void bench_end(void)
{
    __asm__ volatile("@ end" ::: "memory");
}

static uint8_t arena[CONSTANT(_ARENA_BYTES)]
    __attribute__((aligned(CONSTANT(_ARENA_ALIGN)), section(".more.arena")));

int main(void)
{
    volatile uint8_t *input = (volatile uint8_t *)FUNCTION(_input_0)(arena);
    const volatile uint8_t *output;
    uint32_t idx;

    for (idx = 0; idx < CONSTANT(_INPUT_0_BYTES); idx++)
        input[idx] = 0;
    bench_begin();
    FUNCTION(_run)(arena);
    bench_end();
    output = (const volatile uint8_t *)FUNCTION(_output_0)(arena);
    for (idx = 0; idx < CONSTANT(_OUTPUT_0_BYTES) && idx < SHOWN_BYTES; idx++) {
        semihosting_print_hex(output[idx]);
        semihosting_print(" ");
    }
    semihosting_print("\n");
    return 0;
}
