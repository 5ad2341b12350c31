/* From reset to main: vector table, FPU, .data and .bss; the console; what a fault says. */
#include "semihosting.h"

#define CPACR (*(volatile uint32_t *)0xE000ED88) /* Coprocessor Access Control Register */
#define CFSR (*(volatile uint32_t *)0xE000ED28)  /* Configurable Fault Status Register */
#define FAULT_EXIT_CODE 99

/* In a loop: keeps the compiler from turning it into a call of memcpy, memset or strlen, for there is no library. */
#define KEEP_LOOP() __asm__ volatile("" ::: "memory")

/* Of the linker script. */
extern uint32_t __stack_top[];
extern uint32_t __data_start[], __data_end[], __data_load[];
extern uint32_t __bss_start[], __bss_end[];

int main(void);
void reset(void);
void fault(void);
void on_tick(void);

/* Source of the order: Armv7-M Architecture Reference Manual, "The vector table"; Armv8-M adds a fault at 7. */
__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
    __stack_top, reset, fault, fault, fault, fault, fault, fault, 0, 0, 0, fault, fault, 0, fault, on_tick,
};

void reset(void)
{
    uint32_t *to = __data_start;
    const uint32_t *from = __data_load;

    CPACR |= 0xFu << 20; /* FPU on; a core without one ignores it */
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    while (to < __data_end) {
        *to++ = *from++;
        KEEP_LOOP();
    }
    for (to = __bss_start; to < __bss_end; to++) {
        *to = 0;
        KEEP_LOOP();
    }
    semihosting_exit(main());
}

/* Does nothing: that it runs at all disturbs code that keeps data below SP. */
void on_tick(void)
{
}

static void say_fault(const uint32_t *frame)
{
    semihosting_print("fault at ");
    semihosting_print_hex(frame[6]); /* the stacked pc */
    semihosting_print(", called from ");
    semihosting_print_hex(frame[5]); /* the stacked lr */
    semihosting_print(", CFSR ");
    semihosting_print_hex(CFSR);
    semihosting_print("\n");
    semihosting_exit(FAULT_EXIT_CODE);
}

__attribute__((naked)) void fault(void)
{
    __asm__ volatile("mov r0, sp\n\tbl %c0" ::"i"(say_fault));
}

static int semihosting(int operation, const void *block)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = block;

    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void semihosting_print(const char *text)
{
    semihosting(0x04, text); /* SYS_WRITE0 */
}

void semihosting_print_hex(uint32_t number)
{
    char text[11] = "0x";
    int digit;

    for (digit = 0; digit < 8; digit++)
        text[2 + digit] = "0123456789abcdef"[number >> (28 - 4 * digit) & 15];
    text[10] = 0;
    semihosting_print(text);
}

int semihosting_open(const char *path, int mode)
{
    uint32_t block[3] = {(uint32_t)path, (uint32_t)mode, 0};

    while (path[block[2]]) {
        block[2]++;
        KEEP_LOOP();
    }
    return semihosting(0x01, block); /* SYS_OPEN */
}

uint32_t semihosting_read(int file, void *to, uint32_t bytes)
{
    uint32_t block[3] = {(uint32_t)file, (uint32_t)to, bytes};

    return bytes - (uint32_t)semihosting(0x06, block); /* SYS_READ gives what is left over */
}

uint32_t semihosting_write(int file, const void *from, uint32_t bytes)
{
    uint32_t block[3] = {(uint32_t)file, (uint32_t)from, bytes};

    return bytes - (uint32_t)semihosting(0x05, block); /* SYS_WRITE gives what is left over */
}

void semihosting_close(int file)
{
    uint32_t block[1] = {(uint32_t)file};

    semihosting(0x02, block); /* SYS_CLOSE */
}

void semihosting_exit(int code)
{
    uint32_t block[2] = {0x20026, (uint32_t)code}; /* ADP_Stopped_ApplicationExit */

    for (;;)
        semihosting(0x20, block); /* SYS_EXIT_EXTENDED */
}
