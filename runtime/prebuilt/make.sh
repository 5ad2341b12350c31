#!/bin/sh
# Makes startup.o and driver.o in this folder, or in the folder that is given. Made last by: arm-none-eabi-gcc 12.2.1.
# One pair serves all cores: code of the Cortex-M3 runs on the others too, no float is passed, and the FPU is switched
# on and looked at wherever there is one.
set -e
out=$(cd "${1:-$(dirname "$0")}" && pwd)
cd "$(dirname "$0")/../c"
for name in startup driver; do
    arm-none-eabi-gcc -c -mcpu=cortex-m3 -mthumb -mfloat-abi=soft -std=gnu11 -Os -g0 -Wall -Wextra -Werror \
        -ffreestanding -fno-ident -ffunction-sections "$name.c" -o "$out/$name.o"
done
