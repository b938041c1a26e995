/* Reset, faults and semihosting of every emulated Cortex-M; instructions of Armv6-M only. */
#include "semihosting.h"

    .syntax unified
    .thumb

    .section .vectors, "a"
    .word __stack_top
    .word reset
    .rept 14
    .word fault
    .endr

    .section .text.startup, "ax"

    .global reset
    .type reset, %function
reset:
#if defined(__ARM_FEATURE_MVE)
    /* Vector instructions fault until coprocessors 10 and 11 are enabled (CPACR). */
    ldr r0, =0xE000ED88
    ldr r1, [r0]
    ldr r2, =0x00F00000
    orrs r1, r1, r2
    str r1, [r0]
    dsb
    isb
#endif
#if __ARM_ARCH >= 7
    /* Fault at unaligned words as Armv6-M does (CCR.UNALIGN_TRP): a firmware may set it too. */
    ldr r0, =0xE000ED14
    ldr r1, [r0]
    movs r2, #8
    orrs r1, r1, r2
    str r1, [r0]
    dsb
    isb
#endif
    ldr r0, =__bss_start
    ldr r1, =__bss_end
    movs r2, #0
1:  cmp r0, r1
    bhs 2f
    stmia r0!, {r2}
    b 1b
2:  bl harness_main
    /* harness_main does not return. */

    .type fault, %function
fault:
    ldr r1, =fault_exit
    movs r0, #HARNESS_SYS_EXIT_EXTENDED
    bkpt 0xab
    b fault
    .ltorg

    .global harness_semihost
    .type harness_semihost, %function
harness_semihost:
    bkpt 0xab
    bx lr

    .section .rodata.startup, "a"
    .balign 4
fault_exit:
    .word HARNESS_APPLICATION_EXIT, HARNESS_FAULT
