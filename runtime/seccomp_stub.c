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

enum { X32_BIT = 1 << 30, S390_MULTIPLEX = 0, STUB_ARCHES_MAX = 32 };

struct stub {
	struct sock_filter *out;
	size_t n;
};

static const struct sock_filter return_enosys = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);

static void emit(struct stub *s, struct sock_filter i)
{
	s->out[s->n++] = i;
}

static void emit_jump(struct stub *s, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	emit(s, (struct sock_filter)BPF_JUMP(BPF_JMP | code | BPF_K, k, jt, jf));
}

static void emit_load(struct stub *s, uint32_t offset)
{
	emit(s, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset));
}

/* To the filter: the distance is known when the stub is complete. */
static void emit_to_filter(struct stub *s)
{
	emit_jump(s, BPF_JA, UINT32_MAX, 0, 0);
}

static void emit_limit(struct stub *s, uint32_t largest)
{
	if (largest) {
		emit_jump(s, BPF_JGT, largest, 0, 1);
		emit(s, return_enosys);
	}
	emit_to_filter(s);
}

/* The largest number that the profile names there; 0: none. */
static uint32_t largest_number(const struct spec_seccomp *s, uint32_t arch)
{
	int largest = 0;

	for (size_t i = 0; i < s->n_syscalls; i++)
		for (char **name = s->syscalls[i].names; *name; name++) {
			/* Calls which the architecture does not have are negative. */
			int number = seccomp_syscall_resolve_name_arch(arch, *name);

			if (number > largest)
				largest = number;
		}
	return (uint32_t)largest;
}

static void emit_arch(struct stub *s, const struct spec_seccomp *spec, uint32_t arch, bool with_x32)
{
	uint32_t largest = largest_number(spec, arch);
	size_t test;

	if (!largest)
		return;
	emit_load(s, offsetof(struct seccomp_data, arch));
	test = s->n;
	emit_jump(s, BPF_JEQ, arch, 0, 0);
	emit_load(s, offsetof(struct seccomp_data, nr));
	if (arch == SCMP_ARCH_X86_64) {
		/* x32's turn is after the limit of the 64 bit calls: three instructions. Without x32 in the profile the
		 * filter itself says what happens to it. */
		emit_jump(s, BPF_JSET, X32_BIT, 3, 0);
		emit_limit(s, largest);
		emit_limit(s, with_x32 ? largest_number(spec, SCMP_ARCH_X32) : 0);
	} else {
		/* s390 passes numbers above 255 through call 0; one that the kernel does not know stays 0. */
		if (arch == SCMP_ARCH_S390 || arch == SCMP_ARCH_S390X) {
			emit_jump(s, BPF_JEQ, S390_MULTIPLEX, 0, 1);
			emit(s, return_enosys);
		}
		emit_limit(s, largest);
	}
	s->out[test].jf = (uint8_t)(s->n - test - 1);
}

/* The profile's architectures, and the native one, which libseccomp always adds. */
static size_t list_arches(const struct spec_seccomp *s, uint32_t out[STUB_ARCHES_MAX], bool *with_x32)
{
	size_t n = 0;

	out[n++] = seccomp_arch_native();
	*with_x32 = false;
	for (size_t i = 0; s->architectures && s->architectures[i]; i++) {
		for (const struct word *w = seccomp_architectures; w->word; w++) {
			uint32_t arch = (uint32_t)w->value;

			if (!str_eq(w->word, s->architectures[i]))
				continue;
			if (arch == SCMP_ARCH_X32)
				*with_x32 = true;
			else if (arch != out[0] && n < STUB_ARCHES_MAX)
				out[n++] = arch;
		}
	}
	return n;
}

size_t seccomp_stub(const struct spec_seccomp *s, uint32_t default_action, struct sock_filter *out)
{
	struct stub stub = {.out = out};
	uint32_t arches[STUB_ARCHES_MAX];
	bool with_x32;
	size_t n;

	/* With a permissive default there is nothing to soften; a tracer answers for itself. */
	if (default_action == SCMP_ACT_ALLOW || default_action == SCMP_ACT_LOG ||
	    (default_action & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_TRACE || default_action == SCMP_ACT_ERRNO(ENOSYS))
		return 0;
	n = list_arches(s, arches, &with_x32);
	for (size_t i = 0; i < n; i++)
		emit_arch(&stub, s, arches[i], with_x32);
	for (size_t i = 0; i < stub.n; i++)
		if (out[i].code == (BPF_JMP | BPF_JA | BPF_K))
			out[i].k = (uint32_t)(stub.n - i - 1);
	return stub.n;
}
