/* unit: runtime */
/* Seccomp programs, run by a small BPF interpreter: their answers, and that those made directly answer as libseccomp's. */
#include "seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>

#include "cleanup.h"
#include "error.h"
#include "seccomp_parts.h"
#include "spec.h"
#include "tap.h"

/* libseccomp's header has the name of ours. */
char *seccomp_syscall_resolve_num_arch(uint32_t arch_token, int num);

#define AUDIT_ARCH_X32 (EM_X86_64 | __AUDIT_ARCH_LE) /* as libseccomp has it */

#define SECCOMP(rest)                                                                                                  \
	"{\"ociVersion\":\"1.3.0\",\"root\":{\"path\":\"r\"},\"process\":{\"cwd\":\"/\",\"args\":[\"true\"]},"                    \
	"\"linux\":{\"seccomp\":{" rest "}}}"

static int parse(struct spec *s, const char *text, struct error *err)
{
	return spec_parse(s, "t", text, strlen(text), err);
}

/* Runs a classic BPF program over struct seccomp_data, as the kernel does. */
static uint32_t run_bpf(const struct sock_filter *filter, size_t n, const struct seccomp_data *d)
{
	uint32_t a = 0;

	for (size_t pc = 0; pc < n; pc++) {
		const struct sock_filter *f = &filter[pc];
		bool yes;

		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			memcpy(&a, (const char *)d + f->k, sizeof(a));
			continue;
		case BPF_RET | BPF_K:
			return f->k;
		case BPF_JMP | BPF_JA:
			pc += f->k;
			continue;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= f->k;
			continue;
		case BPF_JMP | BPF_JEQ | BPF_K:
			yes = a == f->k;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			yes = a > f->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			yes = a >= f->k;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			yes = a & f->k;
			break;
		default:
			return 0xdead0000 | f->code;
		}
		pc += yes ? f->jt : f->jf;
	}
	return 0xdeadbeef; /* ran off the end */
}

static uint32_t run_filter(const struct seccomp_program *p, const struct seccomp_data *d)
{
	return run_bpf(p->filter, p->n, d);
}

static struct seccomp_program *compile(const char *text, struct spec *s)
{
	struct seccomp_program *p = NULL;
	struct error err = {0};

	ok(parse(s, text, &err) == 0 && seccomp_compile(s->linux_.seccomp, &p, &err) == 0 && p, "compiled: %s", err.msg);
	return p;
}

#define ERRNO(n) (SECCOMP_RET_ERRNO | (n))

/* The numbers below are x86_64's, i386's and x32's. */
static void test_seccomp_stub(void)
{
	static const struct {
		uint32_t arch;
		int nr;
		uint64_t arg0;
		uint32_t answer;
		const char *what;
	} calls[] = {
		{AUDIT_ARCH_X86_64, 0, 0, SECCOMP_RET_ALLOW, "read"},
		{AUDIT_ARCH_X86_64, 1, 0, ERRNO(EPERM), "write, not named"},
		{AUDIT_ARCH_X86_64, 83, 0, ERRNO(13), "mkdir, with its own errno"},
		{AUDIT_ARCH_X86_64, 135, 8, SECCOMP_RET_ALLOW, "personality(8), one of two values"},
		{AUDIT_ARCH_X86_64, 135, 9, ERRNO(EPERM), "personality(9)"},
		{AUDIT_ARCH_X86_64, 332, 0, SECCOMP_RET_ALLOW, "statx, the largest"},
		{AUDIT_ARCH_X86_64, 334, 0, ERRNO(ENOSYS), "rseq, newer than the profile"},
		{AUDIT_ARCH_X86_64, 435, 0, ERRNO(ENOSYS), "clone3, newer than the profile"},
		{AUDIT_ARCH_X86_64, 9999, 0, ERRNO(ENOSYS), "a call of the future"},
		{AUDIT_ARCH_I386, 3, 0, SECCOMP_RET_ALLOW, "i386 read"},
		{AUDIT_ARCH_I386, 4, 0, ERRNO(EPERM), "i386 write"},
		{AUDIT_ARCH_I386, 435, 0, ERRNO(ENOSYS), "i386 clone3"},
		{AUDIT_ARCH_X86_64, 0x40000000, 0, SECCOMP_RET_ALLOW, "x32 read"},
		{AUDIT_ARCH_X86_64, 0x40000001, 0, ERRNO(EPERM), "x32 write"},
		{AUDIT_ARCH_X86_64, 0x40000000 + 435, 0, ERRNO(ENOSYS), "x32 clone3"},
		{AUDIT_ARCH_AARCH64, 63, 0, SECCOMP_RET_KILL_THREAD, "an architecture that the profile does not have"},
	};
	struct spec s;
	struct seccomp_program *p;

	p = compile(SECCOMP("\"defaultAction\":\"SCMP_ACT_ERRNO\",\"architectures\":[\"SCMP_ARCH_X86\",\"SCMP_ARCH_X32\"],\"flags\":[],\"syscalls\":["
			    "{\"names\":[\"read\",\"statx\",\"no_such_call\"],\"action\":\"SCMP_ACT_ALLOW\"},"
			    "{\"names\":[\"mkdir\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":13},"
			    "{\"names\":[\"personality\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":0,\"op\":\"SCMP_CMP_EQ\"},"
			    "{\"index\":0,\"value\":8,\"op\":\"SCMP_CMP_EQ\"}]}]"),
		    &s);
	for (size_t i = 0; p && i < ARRAY_SIZE(calls); i++) {
		struct seccomp_data d = {.arch = calls[i].arch, .nr = calls[i].nr, .args = {calls[i].arg0}};

		is_int(run_filter(p, &d), calls[i].answer, calls[i].what);
	}
	ok(p && p->flags == 0 && !p->notify, "no flags, no listener");
	seccomp_free(p);
	spec_free(&s);
}

static void test_seccomp_without_stub(void)
{
	struct seccomp_data d = {.arch = AUDIT_ARCH_X86_64, .nr = 9999};
	struct seccomp_program *p;
	struct spec s;

	p = compile(SECCOMP("\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mkdir\"],\"action\":\"SCMP_ACT_KILL_PROCESS\"}]"), &s);
	is_int(run_filter(p, &d), SECCOMP_RET_ALLOW, "a permissive default stays permissive");
	d.nr = 83;
	is_int(run_filter(p, &d), SECCOMP_RET_KILL_PROCESS, "mkdir kills");
	seccomp_free(p);
	spec_free(&s);

	p = compile(SECCOMP("\"defaultAction\":\"SCMP_ACT_KILL\",\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\"}]"), &s);
	is_int(run_filter(p, &(struct seccomp_data){.arch = AUDIT_ARCH_X86_64, .nr = 0x40000000}), SECCOMP_RET_KILL_THREAD,
	       "x32 is killed where the profile does not have it");
	seccomp_free(p);
	spec_free(&s);
}

static void test_seccomp_flags(void)
{
	struct seccomp_program *p;
	struct spec s;

	p = compile(SECCOMP("\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"/x\",\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\","
			    "\"SECCOMP_FILTER_FLAG_TSYNC\",\"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV\"],"
			    "\"syscalls\":[{\"names\":[\"mkdir\"],\"action\":\"SCMP_ACT_NOTIFY\"}]"),
		    &s);
	ok(p && p->notify, "has a listener");
	is_int(p->flags, SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
	       "flags, without TSYNC beside a listener");
	seccomp_free(p);
	spec_free(&s);

	p = compile(SECCOMP("\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV\"]"), &s);
	is_int(p->flags, 0, "WAIT_KILLABLE_RECV means nothing without a listener");
	seccomp_free(p);
	spec_free(&s);
	ok(seccomp_flag_works(SECCOMP_FILTER_FLAG_LOG) && !seccomp_flag_works(1 << 30), "flags are asked from the kernel");
	is_int(seccomp_compile(NULL, &p, NULL), 0, "nothing to compile");
	ok(!p, "gives nothing to load");
}

/* --- both ways to make a program ---------------------------------------------------------------------------- */

enum { PROFILES = 150, NAMES = 470, VALUES = 64 };

static uint64_t sequence = 88172645463325252;

static uint32_t rnd(uint32_t below)
{
	sequence ^= sequence << 13;
	sequence ^= sequence >> 7;
	sequence ^= sequence << 17;
	return (uint32_t)(sequence >> 33) % below;
}

/* Names of the calls that every one of the architectures below has: where the first call of a section is missing,
 * libseccomp 2.5 forgets to load the number. */
static size_t list_names(const char *names[NAMES])
{
	static const uint32_t arches[] = {AUDIT_ARCH_I386, AUDIT_ARCH_X32, AUDIT_ARCH_AARCH64, AUDIT_ARCH_ARM};
	size_t n = 0;

	for (int nr = 0; nr < 470 && n < NAMES; nr++) {
		char *name = seccomp_syscall_resolve_num_arch(AUDIT_ARCH_X86_64, nr);
		bool everywhere = name;

		for (size_t i = 0; i < ARRAY_SIZE(arches) && everywhere; i++) {
			struct seccomp_number number = seccomp_number(arches[i], name);

			everywhere = number.there || number.selector;
		}
		if (everywhere)
			names[n++] = name;
		else
			free(name);
	}
	return n;
}

struct profile {
	struct spec_seccomp s;
	struct spec_syscall calls[12];
	struct spec_syscall_arg args[12][3];
	char *names[12][64];
	char *arches[4];
	uint64_t values[VALUES]; /* that its conditions compare with, and their neighbours */
	size_t n_values;
};

/* index -1: any, to be compared for equality: of other conditions on one argument libseccomp 2.5 makes wrong trees
 * ("x <= 24 or y <= 2^32" answers no for y = 0 where x > 24). */
static void random_arg(struct profile *p, struct spec_syscall_arg *a, int index)
{
	static const char *const ops[] = {"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT",
					  "SCMP_CMP_MASKED_EQ"};
	/* Never a mask of upper bits only: architectures of 32 bits would have a rule without conditions. */
	uint64_t wide = rnd(3) ? 0 : (uint64_t)rnd(3) << 32;

	*a = (struct spec_syscall_arg){
		.index = index < 0 ? rnd(2) : (uint32_t)index,
		.op = index < 0 ? ops[3] : ops[rnd(7)],
		.value = (1 + rnd(39)) | wide,
		.value_two = rnd(16),
	};
	for (int d = -1; d <= 1 && p->n_values < VALUES; d++)
		p->values[p->n_values++] = a->value + (uint64_t)(int64_t)d;
}

static void random_profile(struct profile *p, const char *const *names, size_t n_names)
{
	static const char *const actions[] = {"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_LOG", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"};
	static const char *const arches[] = {"SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"};
	size_t n = 0;

	*p = (struct profile){.s = {.default_action = actions[rnd(4)], .architectures = p->arches, .syscalls = p->calls}};
	for (size_t i = 0; i < 4 && n < 3; i++)
		if (rnd(2))
			p->arches[n++] = (char *)arches[i];
	p->s.n_syscalls = 1 + rnd(12);
	for (size_t i = 0; i < p->s.n_syscalls; i++) {
		struct spec_syscall *c = &p->calls[i];
		size_t many = 1 + rnd(rnd(3) ? 6 : 63);
		bool same;

		*c = (struct spec_syscall){.names = p->names[i], .action = actions[rnd(2)], .errno_ret = 1 + rnd(3), .args = p->args[i]};
		c->has_errno_ret = !strcmp(c->action, "SCMP_ACT_ERRNO");
		/* Neighbours, as profiles have them, or scattered ones. Calls with conditions have names of their own, as the
		 * library merges rules. */
		c->n_args = rnd(3) ? 0 : 1 + rnd(3);
		for (size_t j = 0, at = rnd((uint32_t)n_names); j < many; j++, at = rnd(4) ? at + 1 : rnd((uint32_t)n_names))
			p->names[i][j] = (char *)names[c->n_args ? at % (n_names / 12) * 12 + i : at % n_names];
		same = c->n_args > 1 && rnd(2);
		for (size_t j = 0; j < c->n_args; j++)
			random_arg(p, &p->args[i][j], same ? -1 : (int)(j + rnd(2) * 3));
	}
	p->values[p->n_values ? p->n_values - 1 : 0] = 0;
	p->n_values += !p->n_values;
}

static bool same_answers(struct profile *p, const struct sock_filter *a, size_t na, const struct sock_filter *b, size_t nb)
{
	static const uint32_t arches[] = {AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64, AUDIT_ARCH_ARM, AUDIT_ARCH_RISCV64};
	static const uint32_t bases[] = {0, 0x40000000, 0x3ffffff0, 0xfffffe00, 100000};

	for (size_t i = 0; i < sizeof(arches) / sizeof(arches[0]); i++)
		for (size_t base = 0; base < sizeof(bases) / sizeof(bases[0]); base++)
			for (uint32_t nr = 0; nr < 512; nr++)
				for (int draw = 0; draw < 4; draw++) {
					struct seccomp_data d = {.arch = arches[i], .nr = (int)(bases[base] + nr)};
					uint32_t x, y;

					for (int arg = 0; arg < 6; arg++)
						d.args[arg] = rnd(3) ? p->values[rnd((uint32_t)p->n_values)] : rnd(40);
					x = run_bpf(a, na, &d);
					y = run_bpf(b, nb, &d);
					if (x == y)
						continue;
					printf("# arch %x nr %d (%#x) args %llx %llx %llx %llx %llx %llx: %x, library %x\n", d.arch, d.nr, (unsigned)d.nr,
					       d.args[0], d.args[1], d.args[2], d.args[3], d.args[4], d.args[5], x, y);
					return false;
				}
	return true;
}

static void print_profile(const struct profile *p)
{
	printf("# default %s, architectures %s %s %s\n", p->s.default_action, p->arches[0] ? p->arches[0] : "",
	       p->arches[0] && p->arches[1] ? p->arches[1] : "", p->arches[0] && p->arches[1] && p->arches[2] ? p->arches[2] : "");
	for (size_t i = 0; i < p->s.n_syscalls; i++) {
		printf("# %s %u:", p->calls[i].action, p->calls[i].errno_ret);
		for (char *const *name = p->names[i]; *name; name++)
			printf(" %s", *name);
		for (size_t j = 0; j < p->calls[i].n_args; j++)
			printf(" [%u %s %llx %llx]", p->args[i][j].index, p->args[i][j].op, (unsigned long long)p->args[i][j].value,
			       (unsigned long long)p->args[i][j].value_two);
		printf("\n");
	}
}

/* Random profiles: the program made directly must answer as libseccomp's. */
static void test_against_library(void)
{
	static struct sock_filter direct[BPF_MAXINSNS], library[BPF_MAXINSNS];
	static struct profile p;
	const char *names[NAMES];
	size_t n_names = list_names(names), compared = 0;
	bool good = true;

	for (int i = 0; i < PROFILES && good; i++) {
		struct error err = {0};
		uint32_t default_action;
		size_t na, nb = 0;

		random_profile(&p, names, n_names);
		default_action = seccomp_action(p.s.default_action, false, 0);
		na = seccomp_direct(&p.s, default_action, direct, BPF_MAXINSNS);
		if (!na || seccomp_by_library(&p.s, default_action, library, BPF_MAXINSNS, &nb, &err) < 0)
			continue;
		compared++;
		good = same_answers(&p, direct, na, library, nb);
	}
	ok(good, "both programs answer the same");
	if (!good)
		print_profile(&p);
	ok(compared > PROFILES / 4, "%zu profiles compared", compared);
	for (size_t i = 0; i < n_names; i++)
		free((char *)names[i]);
}

int main(void)
{
#ifdef __x86_64__
	test_seccomp_stub();
	test_seccomp_without_stub();
	test_against_library();
#endif
	test_seccomp_flags();
	return done_testing();
}
