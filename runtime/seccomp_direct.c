/* Seccomp programs made directly: for each architecture a table of ranges of numbers with the same answer, and a binary
 * search over it.
 *
 *	    ld  arch
 *	    jne ARCH -> the next architecture
 *	    ld  nr                                      x86_64 and x32 share ARCH; bit 30 of nr tells them apart
 *	    jge MIDDLE -> upper half ... ret ACTION     neighbours with the same action are one range
 *	                                 conditions on arguments, ret ACTION, ..., ret DEFAULT
 *	    ret KILL_THREAD                             any other architecture
 *
 * That is what libseccomp's program answers too, but shorter (a few comparisons for a system call instead of dozens) and
 * made 100 times faster. What is not done here is left to the library by returning 0: architectures with other
 * calling conventions, and several conditional rules for one call that want different actions, whose order libseccomp
 * decides by rules of its own. tests/unit/test_seccomp.c compares the answers of both. */
#include <endian.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>

#include "cleanup.h"
#include "seccomp_parts.h"

enum { SHORT_JUMP_MAX = 255, NO_MATCH = 255 };

/* One rule for one number. */
struct entry {
	uint32_t nr, action;
	size_t order;
	const struct spec_syscall *call;
	uint32_t selector; /* what the first argument must be instead of the rule's own condition; 0: nothing */
};

/* Numbers from `start` up to the next range's. */
struct range {
	uint32_t start, action;
	const struct entry *rules; /* conditional ones, tried in turn before `action`; NULL: none */
	size_t n_rules;
};

struct maker {
	const struct spec_seccomp *spec;
	uint32_t default_action, newer_action;
	struct entry *entries;
	struct range *ranges;
	size_t n_entries, n_ranges;
	bool for_library;
	struct seccomp_code code;
};

/* --- conditions on arguments -------------------------------------------------------------------------------- */

static void load_half(struct seccomp_code *c, uint32_t arg, bool high)
{
	seccomp_emit_load(c, offsetof(struct seccomp_data, args) + arg * sizeof(uint64_t) +
				     (high == (__BYTE_ORDER == __LITTLE_ENDIAN) ? sizeof(uint32_t) : 0));
}

static void and_mask(struct seccomp_code *c, uint32_t mask)
{
	seccomp_emit(c, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask));
}

/* The upper half decides, unless it is equal; then the lower one does. jt and jf NO_MATCH are set once it is known where
 * the rule ends; 2 and 3 jump over the lower half. */
static void compare_high(struct seccomp_code *c, const struct spec_syscall_arg *a, int op)
{
	uint32_t high = (uint32_t)(a->value >> 32);

	load_half(c, a->index, true);
	switch (op) {
	case SCMP_CMP_EQ:
		return seccomp_emit_jump(c, BPF_JEQ, high, 0, NO_MATCH);
	case SCMP_CMP_NE:
		return seccomp_emit_jump(c, BPF_JEQ, high, 0, 2);
	case SCMP_CMP_GT:
	case SCMP_CMP_GE:
		seccomp_emit_jump(c, BPF_JGT, high, 3, 0);
		return seccomp_emit_jump(c, BPF_JEQ, high, 0, NO_MATCH);
	case SCMP_CMP_LT:
	case SCMP_CMP_LE:
		seccomp_emit_jump(c, BPF_JGT, high, NO_MATCH, 0);
		return seccomp_emit_jump(c, BPF_JEQ, high, 0, 2);
	default: /* SCMP_CMP_MASKED_EQ: value is the mask */
		and_mask(c, high);
		return seccomp_emit_jump(c, BPF_JEQ, (uint32_t)((a->value_two & a->value) >> 32), 0, NO_MATCH);
	}
}

static void compare_low(struct seccomp_code *c, const struct spec_syscall_arg *a, int op)
{
	uint32_t low = (uint32_t)a->value;

	load_half(c, a->index, false);
	switch (op) {
	case SCMP_CMP_EQ:
		return seccomp_emit_jump(c, BPF_JEQ, low, 0, NO_MATCH);
	case SCMP_CMP_NE:
		return seccomp_emit_jump(c, BPF_JEQ, low, NO_MATCH, 0);
	case SCMP_CMP_GT:
		return seccomp_emit_jump(c, BPF_JGT, low, 0, NO_MATCH);
	case SCMP_CMP_GE:
		return seccomp_emit_jump(c, BPF_JGE, low, 0, NO_MATCH);
	case SCMP_CMP_LT:
		return seccomp_emit_jump(c, BPF_JGE, low, NO_MATCH, 0);
	case SCMP_CMP_LE:
		return seccomp_emit_jump(c, BPF_JGT, low, NO_MATCH, 0);
	default:
		and_mask(c, low);
		return seccomp_emit_jump(c, BPF_JEQ, (uint32_t)(a->value_two & a->value), 0, NO_MATCH);
	}
}

static void emit_condition(struct seccomp_code *c, const struct spec_syscall_arg *a, uint32_t arch)
{
	int op = seccomp_operator(a->op);

	/* Also for x32, whose registers are 64 bits wide: libseccomp looks at the lower half only. */
	if (arch & __AUDIT_ARCH_64BIT)
		compare_high(c, a, op);
	compare_low(c, a, op);
}

static void emit_return(struct seccomp_code *c, uint32_t action)
{
	seccomp_emit(c, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

/* The conditions of a rule that is complete since `start`: those that fail go on behind it. */
static void close_rule(struct seccomp_code *c, size_t start, uint32_t action)
{
	emit_return(c, action);
	for (size_t i = start; i < c->n; i++) {
		uint8_t distance = (uint8_t)(c->n - i - 1);

		if (BPF_CLASS(c->out[i].code) != BPF_JMP)
			continue;
		if (c->out[i].jt == NO_MATCH)
			c->out[i].jt = distance;
		if (c->out[i].jf == NO_MATCH)
			c->out[i].jf = distance;
	}
}

static void emit_selector(struct seccomp_code *c, const struct entry *e)
{
	if (!e->selector)
		return;
	load_half(c, 0, false);
	seccomp_emit_jump(c, BPF_JEQ, e->selector, 0, NO_MATCH);
}

static void emit_rule(struct seccomp_code *c, const struct entry *e, uint32_t arch)
{
	bool each = seccomp_same_argument_twice(e->call);
	size_t start = c->n;

	emit_selector(c, e);
	for (size_t i = 0; i < e->call->n_args; i++) {
		const struct spec_syscall_arg *a = &e->call->args[i];

		if (!e->selector || a->index)
			emit_condition(c, a, arch);
		if (!each || i + 1 == e->call->n_args)
			continue;
		close_rule(c, start, e->action);
		start = c->n;
		emit_selector(c, e);
	}
	close_rule(c, start, e->action);
}

/* --- the search --------------------------------------------------------------------------------------------- */

static void emit_range(struct maker *m, const struct range *r, uint32_t arch)
{
	for (size_t i = 0; i < r->n_rules; i++)
		emit_rule(&m->code, &r->rules[i], arch);
	emit_return(&m->code, r->action);
}

/* Puts a long jump behind the conditional one at `at`, whose target lies too far away. */
static void lengthen(struct seccomp_code *c, size_t at, size_t distance)
{
	seccomp_emit_jump(c, BPF_JA, 0, 0, 0); /* for the room */
	if (c->full)
		return;
	for (size_t i = c->n - 1; i > at + 1; i--)
		c->out[i] = c->out[i - 1];
	c->out[at].jt = 0;
	c->out[at].jf = 1;
	c->out[at + 1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JA, (uint32_t)distance, 0, 0);
}

static void emit_search(struct maker *m, const struct range *r, size_t n, uint32_t arch)
{
	struct seccomp_code *c = &m->code;
	size_t at = c->n, half = n / 2, distance;

	if (n == 1)
		return emit_range(m, r, arch);
	seccomp_emit_jump(c, BPF_JGE, r[half].start, 0, 0);
	emit_search(m, r, half, arch);
	if (c->full)
		return;
	distance = c->n - at - 1;
	if (distance > SHORT_JUMP_MAX)
		lengthen(c, at, distance);
	else
		c->out[at].jt = (uint8_t)distance;
	emit_search(m, r + half, n - half, arch);
}

/* --- rules to ranges ---------------------------------------------------------------------------------------- */

static void add_entry(struct maker *m, const struct entry *e)
{
	m->entries[m->n_entries] = *e;
	m->entries[m->n_entries].order = m->n_entries;
	m->n_entries++;
}

static int by_number(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->nr != y->nr)
		return x->nr < y->nr ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static void collect(struct maker *m, uint32_t arch)
{
	m->n_entries = 0;
	for (size_t i = 0; i < m->spec->n_syscalls; i++) {
		const struct spec_syscall *call = &m->spec->syscalls[i];
		struct entry e = {.action = seccomp_action(call->action, call->has_errno_ret, call->errno_ret), .call = call};

		for (char **name = call->names; *name; name++) {
			struct seccomp_number number = seccomp_number(arch, *name);

			e.selector = 0;
			e.nr = number.nr;
			if (number.there)
				add_entry(m, &e);
			e.selector = number.selector;
			e.nr = number.multiplexer;
			if (number.selector)
				add_entry(m, &e);
		}
	}
	qsort(m->entries, m->n_entries, sizeof(*m->entries), by_number);
}

static void add_range(struct maker *m, struct range r)
{
	struct range *last = m->n_ranges ? &m->ranges[m->n_ranges - 1] : NULL;

	/* Nothing lies between. */
	if (last && last->start == r.start) {
		m->n_ranges--;
		last = m->n_ranges ? last - 1 : NULL;
	}
	if (!last || last->action != r.action || last->n_rules || r.n_rules)
		m->ranges[m->n_ranges++] = r;
}

static bool is_conditional(const struct entry *e)
{
	return e->call->n_args || e->selector;
}

/* What all rules for one number, e[0..n), come to. A rule that says the same as the default says nothing; one without
 * conditions wins over those with, and the first of several. */
static void add_number(struct maker *m, struct entry *e, size_t n)
{
	struct range r = {.start = e->nr, .action = m->default_action, .rules = e};
	uint32_t nr = e->nr;
	bool plain = false;

	for (size_t i = 0; i < n && !plain; i++) {
		if (e[i].action == m->default_action)
			continue;
		plain = !is_conditional(&e[i]);
		if (plain)
			r.action = e[i].action;
		else
			e[r.n_rules++] = e[i];
	}
	if (plain)
		r.n_rules = 0;
	for (size_t i = 1; i < r.n_rules; i++)
		if (e[i].action != e[0].action)
			m->for_library = true;
	add_range(m, r);
	add_range(m, (struct range){.start = nr + 1, .action = m->default_action});
}

static void emit_numbers(struct maker *m, uint32_t arch)
{
	size_t n;

	collect(m, arch);
	m->n_ranges = 0;
	add_range(m, (struct range){.action = m->default_action});
	for (size_t i = 0; i < m->n_entries; i += n) {
		for (n = 1; i + n < m->n_entries && m->entries[i + n].nr == m->entries[i].nr;)
			n++;
		add_number(m, &m->entries[i], n);
	}
	/* seccomp_stub.c says why. */
	if (m->n_entries)
		add_range(m, (struct range){.start = m->entries[m->n_entries - 1].nr + 1, .action = m->newer_action});
	emit_search(m, m->ranges, m->n_ranges, arch);
}

/* --- architectures ------------------------------------------------------------------------------------------ */

static bool is_known(uint32_t arch)
{
	return arch == SCMP_ARCH_X86_64 || arch == SCMP_ARCH_X86 || arch == SCMP_ARCH_AARCH64 || arch == SCMP_ARCH_ARM ||
	       arch == SCMP_ARCH_RISCV64;
}

/* A conditional jump whose target follows: "unless it holds, go to what is emitted after land()". */
static size_t depart(struct seccomp_code *c, unsigned code, uint32_t k, bool skip_if)
{
	seccomp_emit_jump(c, code, k, skip_if ? 0 : 1, skip_if ? 1 : 0);
	seccomp_emit_jump(c, BPF_JA, 0, 0, 0);
	return c->n;
}

static void land(struct seccomp_code *c, size_t departed)
{
	if (!c->full)
		c->out[departed - 1].k = (uint32_t)(c->n - departed);
}

static void emit_x32(struct maker *m, bool with_x32)
{
	if (with_x32) {
		emit_numbers(m, SCMP_ARCH_X32);
		return;
	}
	/* -1 is what a tracer puts to skip a call. */
	seccomp_emit_jump(&m->code, BPF_JEQ, UINT32_MAX, 0, 1);
	emit_return(&m->code, m->default_action);
	emit_return(&m->code, SCMP_ACT_KILL_THREAD);
}

static void emit_arch(struct maker *m, uint32_t arch, bool with_x32)
{
	struct seccomp_code *c = &m->code;
	size_t other, x32;

	seccomp_emit_load(c, offsetof(struct seccomp_data, arch));
	other = depart(c, BPF_JEQ, arch, false);
	seccomp_emit_load(c, offsetof(struct seccomp_data, nr));
	if (arch == SCMP_ARCH_X86_64) {
		x32 = depart(c, BPF_JGE, SECCOMP_X32_BIT, true);
		emit_numbers(m, arch);
		land(c, x32);
		emit_x32(m, with_x32);
	} else {
		emit_numbers(m, arch);
	}
	land(c, other);
}

size_t seccomp_direct(const struct spec_seccomp *s, uint32_t default_action, struct sock_filter *out, size_t room)
{
	auto_free struct entry *entries = NULL;
	auto_free struct range *ranges = NULL;
	struct maker m = {.spec = s, .default_action = default_action, .code = {.out = out, .room = room}};
	uint32_t arches[SECCOMP_ARCHES_MAX];
	size_t names = 0, n;
	bool with_x32;

	n = seccomp_arches(s, arches, &with_x32);
	for (size_t i = 0; i < n; i++)
		if (!is_known(arches[i]))
			return 0;
	for (size_t i = 0; i < s->n_syscalls; i++)
		names += strv_len(s->syscalls[i].names);
	/* A name is at most two entries, an entry at most two ranges; the first range and the newer calls' come on top. */
	m.entries = entries = calloc(2 * names + 1, sizeof(*entries));
	m.ranges = ranges = calloc(4 * names + 3, sizeof(*ranges));
	if (!entries || !ranges)
		return 0;
	m.newer_action = seccomp_softened(default_action) ? SCMP_ACT_ERRNO(ENOSYS) : default_action;
	for (size_t i = 0; i < n; i++)
		emit_arch(&m, arches[i], with_x32);
	emit_return(&m.code, SCMP_ACT_KILL_THREAD);
	return m.for_library || m.code.full ? 0 : m.code.n;
}
