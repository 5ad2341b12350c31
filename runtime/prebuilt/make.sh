#!/bin/sh
# Makes startup.o and driver.o in this folder, or in the folder that is given. Made last by: arm-none-eabi-gcc 12.2.1.
# One pair serves the Cortex-M4 and the M7: no float is passed, and the FPU is switched on wherever there is one.
set -e
out=$(cd "${1:-$(dirname "$0")}" && pwd)
cd "$(dirname "$0")/../c"
for name in startup driver; do
    arm-none-eabi-gcc -c -mcpu=cortex-m4 -mthumb -mfloat-abi=soft -std=gnu11 -Os -g0 -Wall -Wextra -Werror \
        -ffreestanding -fno-ident -ffunction-sections "$name.c" -o "$out/$name.o"
done
