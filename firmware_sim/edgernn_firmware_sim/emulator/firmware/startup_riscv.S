/* Reset, faults and semihosting of the emulated RISC-V core. */
#include "semihosting.h"

    .option norelax

    .section .vectors, "ax"
    .global reset
    .type reset, @function
reset:
    la sp, __stack_top
    la t0, fault
    csrw mtvec, t0
    la t0, __bss_start
    la t1, __bss_end
1:  bgeu t0, t1, 2f
    sw zero, 0(t0)
    addi t0, t0, 4
    j 1b
2:  call harness_main
    /* harness_main does not return. */

    .balign 4
    .type fault, @function
fault:
    li a0, HARNESS_SYS_EXIT_EXTENDED
    la a1, fault_exit
    call harness_semihost
    j fault

    /* The three instructions of a semihosting call are uncompressed and share one page. */
    .balign 16
    .option push
    .option norvc
    .global harness_semihost
    .type harness_semihost, @function
harness_semihost:
    slli zero, zero, 0x1f
    ebreak
    srai zero, zero, 7
    ret
    .option pop

    .section .rodata.startup, "a"
    .balign 4
fault_exit:
    .word HARNESS_APPLICATION_EXIT, HARNESS_FAULT
