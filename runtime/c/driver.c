/* Runs a model on cases from a file, in the folder where the emulator was started.
 *
 * `cases.bin` holds the inputs of one case after the other; `results.bin` gets the outputs in the same order, then
 * one word: the deepest stack of a run in bytes. Each case begins with junk in the arena.
 * A run that writes outside its arena or breaks the calling convention ends everything with a message. */
#include "driver.h"
#include "semihosting.h"

#define SYST_CSR (*(volatile uint32_t *)0xE000E010) /* SysTick Control and Status Register */
#define SYST_RVR (*(volatile uint32_t *)0xE000E014) /* SysTick Reload Value Register */
#define TICK_CYCLES 499u
#define MVFR0 (*(volatile uint32_t *)0xE000EF40) /* Media and VFP Feature Register 0: zero without an FPU */

#define JUNK 0xA5u
#define STACK_PAINT 0x5AC3A55Au
#define PAINTED_WORDS 16384 /* 64 KB, far more than a model's stack */
#define REGISTER_MARK 0x1D000000u
#define MARKED_FRAME_BYTES 112 /* of call_marked: 9 words, 8 doubles, 3 words */

enum { EXIT_OK, EXIT_NO_FILE, EXIT_SHORT_FILE, EXIT_ARENA, EXIT_REGISTERS };

/* A cycle counter measures from the return of the first to the call of the second. They change no register. */
__attribute__((naked, noinline, used)) void bench_begin(void)
{
    __asm__ volatile("bx lr @ begin");
}

__attribute__((naked, noinline, used)) void bench_end(void)
{
    __asm__ volatile("bx lr @ end");
}

static void stop(const char *why, int code)
{
    semihosting_print(why);
    semihosting_print("\n");
    semihosting_exit(code);
}

/* Calls run(arena) with mark, mark + 1, ... in s16 to s31, if there are any, and r4 to r11.
 * Gives a bit for each that differs afterwards: 0 to 7 for d8 to d15, 8 to 15 for r4 to r11, 16 for SP. */
__attribute__((naked, noinline)) static uint32_t call_marked(void (*run)(void *), void *arena, uint32_t mark,
                                                             uint32_t has_fpu)
{
    (void)run, (void)arena, (void)mark, (void)has_fpu;
    __asm__ volatile(
        ".fpu fpv4-sp-d16\n\t"
        "push {r4-r11, lr}\n\t"
        "sub sp, #76\n\t"
        "str r2, [sp]\n\t"
        "str sp, [sp, #4]\n\t"
        "str r3, [sp, #8]\n\t"
        "mov r12, r0\n\t"
        "mov r0, r1\n\t"
        "cmp r3, #0\n\t"
        "beq 1f\n\t"
        "add r1, sp, #12\n\t"
        "vstmia r1, {d8-d15}\n\t"
        ".irp n, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n\t"
        "vmov s\\n, r2\n\t"
        "adds r2, #1\n\t"
        ".endr\n\t"
        "b 2f\n"
        "1:\n\t"
        "adds r2, #16\n"
        "2:\n\t"
        ".irp n, 4,5,6,7,8,9,10,11\n\t"
        "mov r\\n, r2\n\t"
        "adds r2, #1\n\t"
        ".endr\n\t"
        "bl bench_begin\n\t"
        "blx r12\n\t"
        "bl bench_end\n\t"
        "movs r0, #0\n\t"
        "mov r1, sp\n\t"
        "ldr r3, [sp, #4]\n\t" /* another word if SP moved, and hardly its own address */
        "cmp r3, r1\n\t"
        "it ne\n\t"
        "movne r0, #0x10000\n\t"
        "ldr r2, [sp]\n\t"
        "ldr r3, [sp, #8]\n\t"
        "cmp r3, #0\n\t"
        "beq 3f\n\t"
        ".irp n, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n\t"
        "vmov r1, s\\n\n\t"
        "cmp r1, r2\n\t"
        "it ne\n\t"
        "orrne r0, #(1 << ((\\n - 16) / 2))\n\t"
        "adds r2, #1\n\t"
        ".endr\n\t"
        "add r1, sp, #12\n\t"
        "vldmia r1, {d8-d15}\n\t"
        "b 4f\n"
        "3:\n\t"
        "adds r2, #16\n"
        "4:\n\t"
        ".irp n, 4,5,6,7,8,9,10,11\n\t"
        "cmp r\\n, r2\n\t"
        "it ne\n\t"
        "orrne r0, #(1 << (\\n + 4))\n\t"
        "adds r2, #1\n\t"
        ".endr\n\t"
        "add sp, #76\n\t"
        "pop {r4-r11, pc}");
}

static uint32_t *stack_pointer(void)
{
    uint32_t *sp;

    __asm__ volatile("mov %0, sp" : "=r"(sp));
    return sp;
}

/* Bytes of stack that one call of `run` takes, as far as they were written to. */
__attribute__((noinline)) static uint32_t run_measured(void)
{
    uint32_t *top = stack_pointer();
    uint32_t *at = top - PAINTED_WORDS;
    uint32_t changed;

    while (at < top)
        *at++ = STACK_PAINT;
    changed = call_marked(tinyc_firmware.run, tinyc_firmware.arena, REGISTER_MARK, MVFR0 != 0);
    if (changed) {
        semihosting_print_hex(changed);
        stop(": the run changed these of d8-d15 (bits 0-7), r4-r11 (bits 8-15), sp (bit 16)", EXIT_REGISTERS);
    }
    for (at = top - PAINTED_WORDS; at < top && *at == STACK_PAINT; at++)
        ;
    return (uint32_t)(top - at) * 4 - MARKED_FRAME_BYTES;
}

static void fill(uint8_t *at, uint32_t bytes, uint8_t value)
{
    while (bytes--) {
        *at++ = value;
        __asm__ volatile("" ::: "memory"); /* keeps this a loop, for there is no memset */
    }
}

static void check_guard(const uint8_t *at)
{
    uint32_t idx;

    for (idx = 0; idx < TINYC_GUARD_BYTES; idx++)
        if (at[idx] != JUNK)
            stop("the run wrote outside its arena", EXIT_ARENA);
}

/* Whether there was one more case. */
static int read_inputs(int file)
{
    const struct tinyc_firmware *model = &tinyc_firmware;
    uint32_t idx;

    for (idx = 0; idx < model->inputs; idx++) {
        const struct tinyc_tensor *input = &model->tensors[idx];
        uint32_t bytes = semihosting_read(file, model->arena + input->offset, input->bytes);

        if (bytes == 0 && idx == 0)
            return 0;
        if (bytes != input->bytes)
            stop("cases.bin ends in the middle of a case", EXIT_SHORT_FILE);
    }
    return 1;
}

static void write_outputs(int file)
{
    const struct tinyc_firmware *model = &tinyc_firmware;
    uint32_t idx;

    for (idx = 0; idx < model->outputs; idx++) {
        const struct tinyc_tensor *output = &model->tensors[model->inputs + idx];

        if (semihosting_write(file, model->arena + output->offset, output->bytes) != output->bytes)
            stop("cannot write to results.bin", EXIT_SHORT_FILE);
    }
}

int main(void)
{
    const struct tinyc_firmware *model = &tinyc_firmware;
    int cases = semihosting_open("cases.bin", SEMIHOSTING_READ);
    int results = semihosting_open("results.bin", SEMIHOSTING_WRITE);
    uint32_t stack, deepest = 0;

    if (cases < 0 || results < 0)
        stop("cannot open cases.bin or results.bin", EXIT_NO_FILE);
    if (model->flags & TINYC_INTERRUPTS) {
        SYST_RVR = TICK_CYCLES;
        SYST_CSR = 7; /* on, with interrupt, counting the core's clock */
    }
    for (;;) {
        fill(model->arena - TINYC_GUARD_BYTES, model->arena_bytes + 2 * TINYC_GUARD_BYTES, JUNK);
        if (model->reset)
            model->reset(model->arena);
        if (!read_inputs(cases))
            break;
        stack = run_measured();
        if (stack > deepest)
            deepest = stack;
        check_guard(model->arena - TINYC_GUARD_BYTES);
        check_guard(model->arena + model->arena_bytes);
        write_outputs(results);
    }
    if (semihosting_write(results, &deepest, 4) != 4)
        stop("cannot write to results.bin", EXIT_SHORT_FILE);
    semihosting_close(results);
    return EXIT_OK;
}
