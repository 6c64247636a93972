/* Seccomp filters: the words of a profile, its rules, loading. The program is made by seccomp_direct.c, which takes a
 * fraction of a millisecond where libseccomp takes tens for the profile that every docker and podman container has; what
 * it does not know (rare architectures, rules that contradict each other) libseccomp makes (seccomp_library.c). It is
 * loaded by seccomp(2), which knows flags that the library does not. */
#include "seccomp.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "error.h"
#include "seccomp_parts.h"

/* --- words -------------------------------------------------------------------------------------------------- */

/* Values are the library's; the errno of ERRNO and TRACE is added later. As int they may be negative. */
const struct word seccomp_actions[] = {
	{"SCMP_ACT_ALLOW", (int)SCMP_ACT_ALLOW},
	{"SCMP_ACT_ERRNO", (int)SCMP_ACT_ERRNO(0)},
	{"SCMP_ACT_KILL", (int)SCMP_ACT_KILL_THREAD},
	{"SCMP_ACT_KILL_PROCESS", (int)SCMP_ACT_KILL_PROCESS},
	{"SCMP_ACT_KILL_THREAD", (int)SCMP_ACT_KILL_THREAD},
	{"SCMP_ACT_LOG", (int)SCMP_ACT_LOG},
	{"SCMP_ACT_NOTIFY", (int)SCMP_ACT_NOTIFY},
	{"SCMP_ACT_TRACE", (int)SCMP_ACT_TRACE(0)},
	{"SCMP_ACT_TRAP", (int)SCMP_ACT_TRAP},
	{NULL, 0},
};

const struct word seccomp_flags[] = {
	{"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
	{"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
	{"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
	{"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV},
	{NULL, 0},
};

const struct word seccomp_operators[] = {
	{"SCMP_CMP_EQ", SCMP_CMP_EQ}, {"SCMP_CMP_GE", SCMP_CMP_GE}, {"SCMP_CMP_GT", SCMP_CMP_GT},
	{"SCMP_CMP_LE", SCMP_CMP_LE}, {"SCMP_CMP_LT", SCMP_CMP_LT}, {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
	{"SCMP_CMP_NE", SCMP_CMP_NE}, {NULL, 0},
};

#define ARCH(name) {#name, (int)name}
const struct word seccomp_architectures[] = {
	ARCH(SCMP_ARCH_AARCH64), ARCH(SCMP_ARCH_ARM),
#ifdef SCMP_ARCH_LOONGARCH64
	ARCH(SCMP_ARCH_LOONGARCH64),
#endif
#ifdef SCMP_ARCH_M68K
	ARCH(SCMP_ARCH_M68K),
#endif
	ARCH(SCMP_ARCH_MIPS), ARCH(SCMP_ARCH_MIPS64), ARCH(SCMP_ARCH_MIPS64N32), ARCH(SCMP_ARCH_MIPSEL),
	ARCH(SCMP_ARCH_MIPSEL64), ARCH(SCMP_ARCH_MIPSEL64N32), ARCH(SCMP_ARCH_PARISC), ARCH(SCMP_ARCH_PARISC64),
	ARCH(SCMP_ARCH_PPC), ARCH(SCMP_ARCH_PPC64), ARCH(SCMP_ARCH_PPC64LE), ARCH(SCMP_ARCH_RISCV64),
	ARCH(SCMP_ARCH_S390), ARCH(SCMP_ARCH_S390X),
#ifdef SCMP_ARCH_SH
	ARCH(SCMP_ARCH_SH), ARCH(SCMP_ARCH_SHEB),
#endif
	ARCH(SCMP_ARCH_X32), ARCH(SCMP_ARCH_X86), ARCH(SCMP_ARCH_X86_64), {NULL, 0},
};
#undef ARCH

/* word_value() cannot tell the negative values of these tables from "none". */
static const struct word *find(const struct word *table, const char *word)
{
	for (; table->word; table++)
		if (!strcmp(table->word, word))
			return table;
	return NULL;
}

/* --- checks ------------------------------------------------------------------------------------------------- */

enum { ERRNO_MAX = 4095, ARG_INDEX_MAX = SECCOMP_ARGS - 1 };

static bool takes_errno(uint32_t action)
{
	return action == SCMP_ACT_ERRNO(0) || action == SCMP_ACT_TRACE(0);
}

/* path is "linux.seccomp." plus where the action stands. */
static int check_action(const char *path, const char *action, bool has_errno, uint32_t errno_ret, struct error *err)
{
	const struct word *w = find(seccomp_actions, action);

	if (!w)
		return error_set(err, EINVAL, "%s: there is no action \"%s\"", path, action);
	if (!has_errno)
		return 0;
	/* config-linux.md#seccomp: "When the action doesn't support an errno, the runtime MUST print and error and fail". */
	if (!takes_errno((uint32_t)w->value) && errno_ret)
		return error_set(err, EINVAL, "%s: %s takes no errno, but %u is given", path, action, errno_ret);
	if (errno_ret > ERRNO_MAX)
		return error_set(err, EINVAL, "%s: the errno %u is more than %d", path, errno_ret, ERRNO_MAX);
	return 0;
}

static int check_args(size_t i, const struct spec_syscall *call, struct error *err)
{
	for (size_t j = 0; j < call->n_args; j++) {
		const struct spec_syscall_arg *a = &call->args[j];

		if (a->index > ARG_INDEX_MAX)
			return error_set(err, EINVAL,
					 "linux.seccomp.syscalls[%zu].args[%zu].index: %u is more than %d", i, j,
					 a->index, ARG_INDEX_MAX);
		if (!find(seccomp_operators, a->op))
			return error_set(err, EINVAL,
					 "linux.seccomp.syscalls[%zu].args[%zu].op: there is no operator \"%s\"", i,
					 j, a->op);
	}
	return 0;
}

static int check_syscall(const struct spec_seccomp *s, size_t i, struct error *err)
{
	const struct spec_syscall *call = &s->syscalls[i];
	char path[64];
	int r;

	snprintf(path, sizeof(path), "linux.seccomp.syscalls[%zu]", i);
	r = check_action(path, call->action, call->has_errno_ret, call->errno_ret, err);
	if (r < 0)
		return r;
	for (size_t j = 0; call->names[j]; j++)
		if (!*call->names[j])
			return error_set(err, EINVAL, "%s.names[%zu]: must not be empty", path, j);
	if (!strcmp(call->action, "SCMP_ACT_NOTIFY")) {
		if (str_empty(s->listener_path))
			return error_set(err, EINVAL, "%s: SCMP_ACT_NOTIFY needs linux.seccomp.listenerPath", path);
		/* The child writes to its parent to hand the listener over: it would wait for itself. */
		if (strv_has(call->names, "write") || strv_has(call->names, "sendmsg"))
			return error_set(err, EINVAL, "%s: SCMP_ACT_NOTIFY cannot be used for the %s syscall", path,
					 strv_has(call->names, "write") ? "write" : "sendmsg");
	}
	return check_args(i, call, err);
}

int seccomp_check(const struct spec_seccomp *s, struct error *err)
{
	int r = check_action("linux.seccomp.defaultAction", s->default_action, s->has_default_errno_ret, s->default_errno_ret,
			     err);

	if (r < 0)
		return r;
	if (!strcmp(s->default_action, "SCMP_ACT_NOTIFY"))
		return error_set(err, EINVAL,
				 "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be used as default action");
	if (!str_empty(s->listener_metadata) && str_empty(s->listener_path))
		return error_set(err, EINVAL, "linux.seccomp.listenerMetadata: must not be set without listenerPath");
	for (size_t i = 0; s->architectures && s->architectures[i]; i++)
		if (!find(seccomp_architectures, s->architectures[i]))
			return error_set(err, EINVAL,
					 "linux.seccomp.architectures[%zu]: libseccomp knows no \"%s\"", i,
					 s->architectures[i]);
	for (size_t i = 0; s->flags && s->flags[i]; i++)
		if (!find(seccomp_flags, s->flags[i]))
			return error_set(err, EINVAL, "linux.seccomp.flags[%zu]: there is no \"%s\"", i, s->flags[i]);
	for (size_t i = 0; i < s->n_syscalls; i++) {
		r = check_syscall(s, i, err);
		if (r < 0)
			return r;
	}
	return 0;
}

uint32_t seccomp_action(const char *word, bool has_errno, uint32_t errno_ret)
{
	uint32_t action = (uint32_t)find(seccomp_actions, word)->value;

	return takes_errno(action) ? action | (has_errno ? errno_ret : EPERM) : action;
}

uint32_t seccomp_arch(const char *word)
{
	return (uint32_t)find(seccomp_architectures, word)->value;
}

int seccomp_operator(const char *word)
{
	return find(seccomp_operators, word)->value;
}

bool seccomp_same_argument_twice(const struct spec_syscall *call)
{
	unsigned seen = 0;

	for (size_t i = 0; i < call->n_args; i++) {
		if (seen & 1u << call->args[i].index)
			return true;
		seen |= 1u << call->args[i].index;
	}
	return false;
}

/* --- compiling ---------------------------------------------------------------------------------------------- */

static unsigned program_flags(const struct spec_seccomp *s, bool notify)
{
	unsigned flags = notify ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0;

	/* As runc: without a list of flags, speculation is not held back where that can be chosen. */
	if (!s->flags && seccomp_flag_works(SECCOMP_FILTER_FLAG_SPEC_ALLOW))
		return flags | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
	for (size_t i = 0; s->flags && s->flags[i]; i++)
		flags |= (unsigned)find(seccomp_flags, s->flags[i])->value;
	/* The process that loads has one thread, and kernels refuse this one beside a listener. */
	flags &= ~(unsigned)SECCOMP_FILTER_FLAG_TSYNC;
	/* Says how a notified task waits: nothing without notification, and refused then. */
	return notify ? flags : flags & ~(unsigned)SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
}

static bool notifies(const struct spec_seccomp *s)
{
	for (size_t i = 0; i < s->n_syscalls; i++)
		if (!strcmp(s->syscalls[i].action, "SCMP_ACT_NOTIFY"))
			return true;
	return false;
}

int seccomp_compile(const struct spec_seccomp *s, struct seccomp_program **ret, struct error *err)
{
	auto_free struct seccomp_program *p = NULL;
	uint32_t default_action;
	int r = 0;

	*ret = NULL;
	if (!s)
		return 0;
	default_action = seccomp_action(s->default_action, s->has_default_errno_ret, s->default_errno_ret);
	/* One allocation: the struct and the longest program there can be. */
	p = malloc(sizeof(*p) + BPF_MAXINSNS * sizeof(*p->filter));
	if (!p)
		return error_oom(err);
	p->filter = (struct sock_filter *)(p + 1);
	p->n = seccomp_direct(s, default_action, p->filter, BPF_MAXINSNS);
	if (!p->n)
		r = seccomp_by_library(s, default_action, p->filter, BPF_MAXINSNS, &p->n, err);
	if (r < 0)
		return r;
	p->notify = notifies(s);
	p->flags = program_flags(s, p->notify);
	*ret = take_ptr(p);
	return 0;
}

void seccomp_free(struct seccomp_program *p)
{
	free(p);
}

/* --- loading ------------------------------------------------------------------------------------------------ */

bool seccomp_flag_works(int flag)
{
	unsigned flags = (unsigned)flag;

	/* A kernel that knows the flags gets as far as looking for the program. */
	if (flag == SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
		flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, NULL) < 0 && errno == EFAULT;
}

int seccomp_load_program(const struct seccomp_program *p, struct error *err)
{
	struct sock_fprog prog = {.len = (unsigned short)p->n, .filter = p->filter};
	long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, p->flags, &prog);

	if (r >= 0)
		return (int)r;
	if (errno == EACCES)
		return error_set(err, EACCES,
				 "cannot load the seccomp filter: it needs CAP_SYS_ADMIN or process.noNewPrivileges");
	if (errno == EINVAL)
		return error_set(err, EINVAL,
				 "cannot load the seccomp filter: this kernel refuses the program or its flags (%#x)",
				 p->flags);
	return error_sys(err, "cannot load the seccomp filter");
}
