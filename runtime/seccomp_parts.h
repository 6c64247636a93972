/* What the files that make seccomp programs share. */
#ifndef SECCOMP_PARTS_H
#define SECCOMP_PARTS_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "seccomp.h"

enum { SECCOMP_ARGS = 6, SECCOMP_ARCHES_MAX = 32, SECCOMP_X32_BIT = 1 << 30 };

/* seccomp.c: the values of words that seccomp_check() has accepted. ERRNO and TRACE carry their errno. */
uint32_t seccomp_action(const char *word, bool has_errno, uint32_t errno_ret);
uint32_t seccomp_arch(const char *word);
int seccomp_operator(const char *word);
/* Then each condition stands for itself: any of them matches. libseccomp cannot AND two conditions on one argument, so
 * all runtimes made a rule of each, and profiles in use are written with that in mind. */
bool seccomp_same_argument_twice(const struct spec_syscall *call);

/* seccomp_direct.c: the whole program; 0 when it is one for the library. */
size_t seccomp_direct(const struct spec_seccomp *s, uint32_t default_action, struct sock_filter *out, size_t room);
/* seccomp_library.c: the same by libseccomp. 0 or negative. */
int seccomp_by_library(const struct spec_seccomp *s, uint32_t default_action, struct sock_filter *out, size_t room,
		       size_t *ret_n, struct error *err);

/* seccomp_stub.c: instructions for the front (fewer than 512); 0 when none are needed. */
size_t seccomp_stub(const struct spec_seccomp *s, uint32_t default_action, struct sock_filter *out);
/* True when calls newer than the profile are to get ENOSYS instead of the default action. */
bool seccomp_softened(uint32_t default_action);
/* The profile's architectures with the native one first, which libseccomp always adds; x32 only by *with_x32. */
size_t seccomp_arches(const struct spec_seccomp *s, uint32_t out[SECCOMP_ARCHES_MAX], bool *with_x32);

/* seccomp_number.c: the number of a system call; on i386 some are (also) a case of socketcall(2) or ipc(2). */
struct seccomp_number {
	bool there;
	uint32_t nr;
	uint32_t multiplexer, selector; /* the other way in, and its first argument; selector 0: there is none */
};
struct seccomp_number seccomp_number(uint32_t arch, const char *name);

/* Appending instructions; what does not fit sets `full`. */
struct seccomp_code {
	struct sock_filter *out;
	size_t n, room;
	bool full;
};

static inline void seccomp_emit(struct seccomp_code *c, struct sock_filter i)
{
	if (c->n < c->room)
		c->out[c->n++] = i;
	else
		c->full = true;
}

static inline void seccomp_emit_jump(struct seccomp_code *c, unsigned code, uint32_t k, unsigned jt, unsigned jf)
{
	seccomp_emit(c, (struct sock_filter)BPF_JUMP((uint16_t)(BPF_JMP | code | BPF_K), k, (uint8_t)jt, (uint8_t)jf));
}

static inline void seccomp_emit_load(struct seccomp_code *c, size_t offset)
{
	seccomp_emit(c, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

#endif
