/* sys/raw.h -- a system call without the C library: no errno, no cancellation, nothing that has to be set up
 * before. For the few lines that run before main's world exists (runtime/seal_view.c). SKF_RAW is defined
 * where it is known how. */
#pragma once

#if defined(__x86_64__) && !defined(__ILP32__)
#define SKF_RAW 1
/* What the kernel answers: -4095 to -1 is -errno. */
static inline long skf_raw(long nr, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return ret;
}
#elif defined(__aarch64__)
#define SKF_RAW 1
static inline long skf_raw(long nr, long a, long b, long c, long d, long e)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
	return x0;
}
#endif
