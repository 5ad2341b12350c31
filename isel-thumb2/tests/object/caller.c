/* Calls two models made by hand and returns 0 where both answer right. */
#include <stdint.h>

void kws_run(void *arena);
void vww_run(void *arena);
int main(void);
extern uint32_t stack_top[];

static int32_t arena[2];

static void leave(int code)
{
    uint32_t block[2] = {0x20026, (uint32_t)code}; /* ADP_Stopped_ApplicationExit */
    register int r0 __asm__("r0") = 0x20;          /* SYS_EXIT_EXTENDED */
    register void *r1 __asm__("r1") = block;
    __asm__ volatile("bkpt 0xab" : : "r"(r0), "r"(r1) : "memory");
}

void reset(void)
{
    leave(main());
}

static void fault(void)
{
    leave(99);
}

__attribute__((section(".vectors"), used)) static void *const vectors[16] = {stack_top, reset, fault, fault};

int main(void)
{
    arena[0] = 40;
    kws_run(arena);
    if (arena[1] != 42)
        return 1;
    vww_run(arena);
    return arena[1] == 42 + 5 ? 0 : 2;
}
