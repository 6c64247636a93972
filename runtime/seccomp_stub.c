/* The stub in front of a filter: system calls that are newer than the profile get ENOSYS instead of the default action.
 *
 * A C library tries the newest system call first and falls back to an older one on ENOSYS. A profile written before that
 * call existed answers EPERM, and programs break (clone3, faccessat2, openat2 each did). What is newer than the profile
 * cannot be known; the best guess is: whatever has a number above the largest one that the profile names, on that
 * architecture. So new calls stay forbidden, only the answer differs. The idea is runc's (libcontainer/seccomp/patchbpf).
 *
 *	for each architecture of the filter:
 *	    ld  arch
 *	    jne ARCH -> the next architecture
 *	    ld  nr
 *	    jgt LARGEST -> ret ENOSYS        x86_64 and x32 share ARCH and differ by bit 30 of nr
 *	    ja  the filter
 *	the filter */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>

#include "seccomp_parts.h"

/* At most 15 instructions for each of SECCOMP_ARCHES_MAX. */
enum { STUB_ROOM = 512, S390_MULTIPLEX = 0 };

static const struct sock_filter return_enosys = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);

/* To the filter: the distance is known when the stub is complete. */
static void emit_to_filter(struct seccomp_code *s)
{
	seccomp_emit_jump(s, BPF_JA, UINT32_MAX, 0, 0);
}

static void emit_limit(struct seccomp_code *s, int64_t largest)
{
	if (largest >= 0) {
		seccomp_emit_jump(s, BPF_JGT, (uint32_t)largest, 0, 1);
		seccomp_emit(s, return_enosys);
	}
	emit_to_filter(s);
}

/* The largest number that the profile names there; -1: none. */
static int64_t largest_number(const struct spec_seccomp *s, uint32_t arch)
{
	int64_t largest = -1;

	for (size_t i = 0; i < s->n_syscalls; i++)
		for (char **name = s->syscalls[i].names; *name; name++) {
			struct seccomp_number number = seccomp_number(arch, *name);

			if (number.there && number.nr > largest)
				largest = number.nr;
			if (number.selector && number.multiplexer > largest)
				largest = number.multiplexer;
		}
	return largest;
}

static void emit_arch(struct seccomp_code *s, const struct spec_seccomp *spec, uint32_t arch, bool with_x32)
{
	int64_t largest = largest_number(spec, arch);
	size_t test;

	if (largest < 0)
		return;
	seccomp_emit_load(s, offsetof(struct seccomp_data, arch));
	test = s->n;
	seccomp_emit_jump(s, BPF_JEQ, arch, 0, 0);
	seccomp_emit_load(s, offsetof(struct seccomp_data, nr));
	if (arch == SCMP_ARCH_X86_64) {
		/* x32's turn is after the limit of the 64 bit calls: three instructions. Without x32 in the profile the
		 * filter itself says what happens to it. */
		seccomp_emit_jump(s, BPF_JSET, SECCOMP_X32_BIT, 3, 0);
		emit_limit(s, largest);
		emit_limit(s, with_x32 ? largest_number(spec, SCMP_ARCH_X32) : -1);
	} else {
		/* s390 passes numbers above 255 through call 0; one that the kernel does not know stays 0. */
		if (arch == SCMP_ARCH_S390 || arch == SCMP_ARCH_S390X) {
			seccomp_emit_jump(s, BPF_JEQ, S390_MULTIPLEX, 0, 1);
			seccomp_emit(s, return_enosys);
		}
		emit_limit(s, largest);
	}
	s->out[test].jf = (uint8_t)(s->n - test - 1);
}

size_t seccomp_arches(const struct spec_seccomp *s, uint32_t out[SECCOMP_ARCHES_MAX], bool *with_x32)
{
	size_t n = 0;

	out[n++] = seccomp_arch_native();
	*with_x32 = false;
	for (size_t i = 0; s->architectures && s->architectures[i]; i++) {
		uint32_t arch = seccomp_arch(s->architectures[i]);
		bool there = false;

		for (size_t j = 0; j < n; j++)
			there |= out[j] == arch;
		if (arch == SCMP_ARCH_X32)
			*with_x32 = true;
		else if (!there && n < SECCOMP_ARCHES_MAX)
			out[n++] = arch;
	}
	return n;
}

bool seccomp_softened(uint32_t default_action)
{
	/* With a permissive default there is nothing to soften; a tracer answers for itself. */
	return default_action != SCMP_ACT_ALLOW && default_action != SCMP_ACT_LOG &&
	       (default_action & SECCOMP_RET_ACTION_FULL) != SECCOMP_RET_TRACE && default_action != SCMP_ACT_ERRNO(ENOSYS);
}

size_t seccomp_stub(const struct spec_seccomp *s, uint32_t default_action, struct sock_filter *out)
{
	struct seccomp_code stub = {.out = out, .room = STUB_ROOM};
	uint32_t arches[SECCOMP_ARCHES_MAX];
	bool with_x32;
	size_t n;

	if (!seccomp_softened(default_action))
		return 0;
	n = seccomp_arches(s, arches, &with_x32);
	for (size_t i = 0; i < n; i++)
		emit_arch(&stub, s, arches[i], with_x32);
	for (size_t i = 0; i < stub.n; i++)
		if (out[i].code == (BPF_JMP | BPF_JA | BPF_K))
			out[i].k = (uint32_t)(stub.n - i - 1);
	return stub.n;
}
