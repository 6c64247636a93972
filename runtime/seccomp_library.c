/* Seccomp programs by libseccomp, behind our stub (seccomp_stub.c). */
#include <errno.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cleanup.h"
#include "error.h"
#include "seccomp_parts.h"

static struct scmp_arg_cmp comparison(const struct spec_syscall_arg *a)
{
	/* For MASKED_EQ `value` is the mask and `valueTwo` what remains after masking. */
	return (struct scmp_arg_cmp){
		.arg = a->index,
		.op = (enum scmp_compare)seccomp_operator(a->op),
		.datum_a = a->value,
		.datum_b = a->value_two,
	};
}

/* libseccomp cannot AND two conditions on one argument. All runtimes then make a rule of each, so any of them matches:
 * profiles in use are written with that in mind. */
static int add_rules(scmp_filter_ctx ctx, int number, uint32_t action, const struct spec_syscall *call)
{
	struct scmp_arg_cmp all[SECCOMP_ARGS];
	int r = 0;

	if (seccomp_same_argument_twice(call)) {
		for (size_t i = 0; !r && i < call->n_args; i++) {
			all[0] = comparison(&call->args[i]);
			r = seccomp_rule_add_array(ctx, action, number, 1, all);
		}
		return r;
	}
	for (size_t i = 0; i < call->n_args; i++)
		all[i] = comparison(&call->args[i]);
	return seccomp_rule_add_array(ctx, action, number, (unsigned)call->n_args, all);
}

static int add_syscall(scmp_filter_ctx ctx, const struct spec_syscall *call, uint32_t default_action, struct error *err)
{
	uint32_t action = seccomp_action(call->action, call->has_errno_ret, call->errno_ret);

	/* Says nothing new, and the library refuses it. */
	if (action == default_action)
		return 0;
	for (size_t i = 0; call->names[i]; i++) {
		int number = seccomp_syscall_resolve_name(call->names[i]);
		int r;

		/* Profiles name what other architectures and later kernels have. */
		if (number == __NR_SCMP_ERROR)
			continue;
		r = add_rules(ctx, number, action, call);
		if (r < 0)
			return error_set(err, -r, "cannot add a seccomp rule for %s: %s", call->names[i], strerror(-r));
	}
	return 0;
}

static int add_architectures(scmp_filter_ctx ctx, const struct spec_seccomp *s, struct error *err)
{
	for (size_t i = 0; s->architectures && s->architectures[i]; i++) {
		int r = seccomp_arch_add(ctx, seccomp_arch(s->architectures[i]));

		if (r < 0 && r != -EEXIST)
			return error_set(err, -r, "cannot add %s to the seccomp filter: %s", s->architectures[i],
					 r == -EDOM ? "its byte order is not this machine's" : strerror(-r));
	}
	return 0;
}

static size_t count_names(const struct spec_seccomp *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_syscalls; i++)
		n += strv_len(s->syscalls[i].names);
	return n;
}

static int fill_filter(scmp_filter_ctx ctx, const struct spec_seccomp *s, uint32_t default_action, struct error *err)
{
	int r = add_architectures(ctx, s, err);

	if (r < 0)
		return r;
	/* A binary tree instead of a list: every system call of the container walks it. The library's tree is wrong
	 * without rules (2.5.4) and pointless with few. */
	if (count_names(s) > 32)
		seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	for (size_t i = 0; i < s->n_syscalls; i++) {
		r = add_syscall(ctx, &s->syscalls[i], default_action, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The program through a memory file: libseccomp writes to descriptors only before 2.6. */
static int export_filter(scmp_filter_ctx ctx, struct sock_filter *out, size_t room, size_t *ret_n, struct error *err)
{
	auto_close int fd = memfd_create("seccomp", MFD_CLOEXEC);
	ssize_t size;
	int r;

	if (fd < 0)
		return error_sys(err, "cannot make a memory file for the seccomp filter");
	r = seccomp_export_bpf(ctx, fd);
	if (r < 0)
		return error_set(err, -r, "cannot make the seccomp filter: %s", strerror(-r));
	size = lseek(fd, 0, SEEK_END);
	if (size < 0 || (size_t)size / sizeof(*out) > room)
		return error_set(err, E2BIG,
				 "the seccomp filter is too long for the kernel (%d instructions): shorten "
				 "linux.seccomp", BPF_MAXINSNS);
	if (pread(fd, out, (size_t)size, 0) != size)
		return error_sys(err, "cannot read the seccomp filter back");
	*ret_n = (size_t)size / sizeof(*out);
	return 0;
}

static void release_filter(scmp_filter_ctx *ctx)
{
	if (*ctx)
		seccomp_release(*ctx);
}

int seccomp_by_library(const struct spec_seccomp *s, uint32_t default_action, struct sock_filter *out, size_t room,
		       size_t *ret_n, struct error *err)
{
	__attribute__((cleanup(release_filter))) scmp_filter_ctx ctx = seccomp_init(default_action);
	size_t stub, n = 0;
	int r;

	if (!ctx)
		return error_oom(err);
	r = fill_filter(ctx, s, default_action, err);
	if (r < 0)
		return r;
	stub = seccomp_stub(s, default_action, out);
	r = export_filter(ctx, out + stub, room - stub, &n, err);
	if (r < 0)
		return r;
	*ret_n = stub + n;
	return 0;
}
