/* Which devices a container may use: everything is denied first, then the configuration's rules in their order, then
 * what every container may have. Version 1 has files for it; version 2 has an eBPF program that the kernel asks.
 *
 * Deny comes first whatever the rules say (GHSA-g54h-m393-cpwq: a list without a leading "deny all" must not become a
 * list of exceptions to "allow all"). */
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "cgroup_impl.h"
#include "cleanup.h"
#include "error.h"
#include "str.h"

enum { ANY = -1 };

struct rule {
	bool allow;
	char type; /* 'b', 'c', or 'a': both, of all numbers and accesses */
	int64_t major, minor;
	unsigned access; /* BPF_DEVCG_ACC_* */
};

enum { ACCESS_ALL = BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE | BPF_DEVCG_ACC_MKNOD };

static const struct {
	char letter;
	unsigned bit;
} accesses[] = {{'r', BPF_DEVCG_ACC_READ}, {'w', BPF_DEVCG_ACC_WRITE}, {'m', BPF_DEVCG_ACC_MKNOD}};

/* The same set as runc's. Making a node is harmless where using it is not allowed. */
static const struct rule defaults[] = {
	{true, 'c', ANY, ANY, BPF_DEVCG_ACC_MKNOD},
	{true, 'b', ANY, ANY, BPF_DEVCG_ACC_MKNOD},
	{true, 'c', 1, 3, ACCESS_ALL},	   /* null */
	{true, 'c', 1, 5, ACCESS_ALL},	   /* zero */
	{true, 'c', 1, 7, ACCESS_ALL},	   /* full */
	{true, 'c', 1, 8, ACCESS_ALL},	   /* random */
	{true, 'c', 1, 9, ACCESS_ALL},	   /* urandom */
	{true, 'c', 5, 0, ACCESS_ALL},	   /* tty */
	{true, 'c', 5, 2, ACCESS_ALL},	   /* ptmx */
	{true, 'c', 136, ANY, ACCESS_ALL}, /* pts */
	{true, 'c', 10, 200, ACCESS_ALL},  /* net/tun */
};

struct rules {
	struct rule *list;
	size_t n;
};

static unsigned parse_access(const char *text)
{
	unsigned bits = 0;

	if (str_empty(text))
		return ACCESS_ALL;
	for (size_t i = 0; i < ARRAY_SIZE(accesses); i++)
		if (strchr(text, accesses[i].letter))
			bits |= accesses[i].bit;
	return bits;
}

static void add_rule(struct rules *out, const struct spec_device_rule *d)
{
	struct rule r = {
		.allow = d->allow,
		.type = str_empty(d->type) ? 'a' : d->type[0],
		.major = d->has_major ? d->major : ANY,
		.minor = d->has_minor ? d->minor : ANY,
		.access = parse_access(d->access),
	};

	if (r.type == 'u')
		r.type = 'c';
	if (r.type != 'a') {
		out->list[out->n++] = r;
		return;
	}
	if (r.major == ANY && r.minor == ANY && r.access == ACCESS_ALL) {
		out->n = 0; /* overrides all that came before */
		out->list[out->n++] = r;
		return;
	}
	/* In version 1 "a" means everything, whatever numbers and accesses follow it. */
	r.type = 'b';
	out->list[out->n++] = r;
	r.type = 'c';
	out->list[out->n++] = r;
}

/* The rules in order, each of one type; the first denies or allows everything. */
static int collect(const struct spec_resources *r, struct rules *ret, struct error *err)
{
	size_t n = r ? r->n_devices : 0;
	struct rules out = {.list = calloc(1 + 2 * n + ARRAY_SIZE(defaults), sizeof(*out.list))};

	if (!out.list)
		return error_oom(err);
	out.list[out.n++] = (struct rule){false, 'a', ANY, ANY, ACCESS_ALL};
	for (size_t i = 0; i < n; i++)
		add_rule(&out, &r->devices[i]);
	memcpy(out.list + out.n, defaults, sizeof(defaults));
	out.n += ARRAY_SIZE(defaults);
	*ret = out;
	return 0;
}

/* --- version 1 ---------------------------------------------------------------------------------------------- */

enum { RULE_TEXT = 64 };

static void print_number(char *out, size_t size, int64_t n)
{
	if (n == ANY)
		snprintf(out, size, "*");
	else
		snprintf(out, size, "%lld", (long long)n);
}

static void print_rule(const struct rule *r, char out[RULE_TEXT])
{
	char major[24], minor[24], access[ARRAY_SIZE(accesses) + 1], *end = access;

	if (r->type == 'a') {
		strcpy(out, "a");
		return;
	}
	print_number(major, sizeof(major), r->major);
	print_number(minor, sizeof(minor), r->minor);
	for (size_t i = 0; i < ARRAY_SIZE(accesses); i++)
		if (r->access & accesses[i].bit)
			*end++ = accesses[i].letter;
	*end = '\0';
	snprintf(out, RULE_TEXT, "%c %s:%s %s", r->type, major, minor, access);
}

static int open_rules(const char *dir, const char *file, struct error *err)
{
	auto_free char *path = str_printf("%s/%s", dir, file);
	int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;

	return fd < 0 ? error_sys(err, "cannot open %s/%s", dir, file) : fd;
}

int cgroup_devices_v1(const char *dir, const struct spec_resources *r, struct error *err)
{
	auto_close int allow = open_rules(dir, "devices.allow", err), deny = -1;
	auto_free struct rule *list = NULL;
	struct rules rules;
	int rc;

	if (allow < 0)
		return allow;
	deny = open_rules(dir, "devices.deny", err);
	if (deny < 0)
		return deny;
	rc = collect(r, &rules, err);
	if (rc < 0)
		return rc;
	list = rules.list;
	for (size_t i = 0; i < rules.n; i++) {
		char text[RULE_TEXT];

		print_rule(&list[i], text);
		if (write(list[i].allow ? allow : deny, text, strlen(text)) < 0)
			return error_sys(err, "cannot write \"%s\" to %s/devices.%s", text, dir,
					 list[i].allow ? "allow" : "deny");
	}
	return 0;
}

/* --- version 2 ---------------------------------------------------------------------------------------------- */

/* The program keeps, in R2, the accesses that no rule has decided on yet, and looks at the rules from the last to the
 * first: a later rule overrides an earlier one, for each access on its own.
 *
 *     allow: the access is struck out; with nothing left the answer is yes
 *     deny:  one of the open accesses is denied: the answer is no
 *
 * R3 is the type, R4 the major and R5 the minor number. */
enum { ACCESS_SHIFT = 16, PROLOGUE = 6, PER_RULE = 9, EPILOGUE = 2 };

#define INSN(op, d, s, o, i) ((struct bpf_insn){.code = (op), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})

struct program {
	struct bpf_insn *insn;
	size_t n;
};

static void emit(struct program *p, struct bpf_insn insn)
{
	p->insn[p->n++] = insn;
}

static void emit_answer(struct program *p, int answer)
{
	emit(p, INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, answer));
	emit(p, INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
}

static void emit_prologue(struct program *p)
{
	emit(p, INSN(BPF_LDX | BPF_MEM | BPF_W, BPF_REG_2, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, access_type), 0));
	emit(p, INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_3, BPF_REG_2, 0, 0));
	emit(p, INSN(BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_3, 0, 0, (1 << ACCESS_SHIFT) - 1));
	emit(p, INSN(BPF_ALU64 | BPF_RSH | BPF_K, BPF_REG_2, 0, 0, ACCESS_SHIFT));
	emit(p, INSN(BPF_LDX | BPF_MEM | BPF_W, BPF_REG_4, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, major), 0));
	emit(p, INSN(BPF_LDX | BPF_MEM | BPF_W, BPF_REG_5, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, minor), 0));
}

/* Jumps are filled in at the end: to the next rule. */
static void emit_rule(struct program *p, const struct rule *r)
{
	size_t jumps[4], n = 0;

	if (r->type != 'a') {
		jumps[n++] = p->n;
		emit(p, INSN(BPF_JMP | BPF_JNE | BPF_K, BPF_REG_3, 0, 0,
			     r->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR));
	}
	if (r->major != ANY) {
		jumps[n++] = p->n;
		emit(p, INSN(BPF_JMP | BPF_JNE | BPF_K, BPF_REG_4, 0, 0, (int)r->major));
	}
	if (r->minor != ANY) {
		jumps[n++] = p->n;
		emit(p, INSN(BPF_JMP | BPF_JNE | BPF_K, BPF_REG_5, 0, 0, (int)r->minor));
	}
	if (r->allow) {
		emit(p, INSN(BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_2, 0, 0, ACCESS_ALL & ~r->access));
		jumps[n++] = p->n;
		emit(p, INSN(BPF_JMP | BPF_JNE | BPF_K, BPF_REG_2, 0, 0, 0));
	} else {
		/* Skipped unless one of the rule's accesses is still open. */
		emit(p, INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_0, BPF_REG_2, 0, 0));
		emit(p, INSN(BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_0, 0, 0, r->access));
		jumps[n++] = p->n;
		emit(p, INSN(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 0, 0));
	}
	emit_answer(p, r->allow);
	while (n-- > 0)
		p->insn[jumps[n]].off = (short)(p->n - jumps[n] - 1);
}

static int bpf(int cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static int load(const struct program *p, struct error *err)
{
	char log[512] = "";
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
		.insns = (uintptr_t)p->insn,
		.insn_cnt = (uint32_t)p->n,
		.license = (uintptr_t)"GPL",
	};
	int fd, reason;

	strcpy(attr.prog_name, "nsrun_devices");
	fd = bpf(BPF_PROG_LOAD, &attr);
	reason = errno;
	if (fd >= 0 || errno == EPERM)
		return fd >= 0 ? fd : error_sys(err, "cannot load the eBPF program for linux.resources.devices");
	/* Once more, for the verifier's own words; they end with the reason. */
	attr.log_level = 1;
	attr.log_buf = (uintptr_t)log;
	attr.log_size = sizeof(log);
	fd = bpf(BPF_PROG_LOAD, &attr);
	if (fd < 0)
		errno = reason; /* before Linux 6.4 it is ENOSPC for a log that does not fit */
	return fd >= 0 ? fd : error_sys(err, "cannot load the eBPF program for linux.resources.devices (%s)", log);
}

/* The first row's rule decides on everything, so the program always ends with an answer; the kernel wants to see that. */
static int make_program(const struct spec_resources *r, struct error *err)
{
	auto_free struct rule *list = NULL;
	auto_free struct bpf_insn *insns = NULL;
	struct program p = {0};
	struct rules rules;
	int rc = collect(r, &rules, err);

	if (rc < 0)
		return rc;
	list = rules.list;
	insns = p.insn = calloc(PROLOGUE + PER_RULE * rules.n + EPILOGUE, sizeof(*p.insn));
	if (!p.insn)
		return error_oom(err);
	emit_prologue(&p);
	for (size_t i = rules.n; i-- > 1;)
		emit_rule(&p, &list[i]);
	emit_answer(&p, list[0].allow);
	return load(&p, err);
}

enum { MAX_ATTACHED = 64 };

/* The programs that are attached to the directory itself; their number. */
static int attached(int dir_fd, uint32_t ids[MAX_ATTACHED], struct error *err)
{
	union bpf_attr attr = {
		.query = {
			.target_fd = (uint32_t)dir_fd,
			.attach_type = BPF_CGROUP_DEVICE,
			.prog_ids = (uintptr_t)ids,
			.prog_cnt = MAX_ATTACHED,
		},
	};

	if (bpf(BPF_PROG_QUERY, &attr) < 0)
		return error_sys(err, "cannot list the eBPF programs of the container's cgroup");
	return (int)attr.query.prog_cnt;
}

/* Programs of earlier rules would still be asked, and one that says no is enough. */
static int detach(int dir_fd, uint32_t id, struct error *err)
{
	union bpf_attr get = {.prog_id = id};
	auto_close int fd = bpf(BPF_PROG_GET_FD_BY_ID, &get);
	union bpf_attr attr = {
		.target_fd = (uint32_t)dir_fd,
		.attach_bpf_fd = (uint32_t)fd,
		.attach_type = BPF_CGROUP_DEVICE,
	};

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || (bpf(BPF_PROG_DETACH, &attr) < 0 && errno != ENOENT))
		return error_sys(err, "cannot detach an earlier eBPF program from the container's cgroup");
	return 0;
}

int cgroup_devices_v2(int dir_fd, const struct spec_resources *r, struct error *err)
{
	auto_close int fd = make_program(r, err);
	uint32_t ids[MAX_ATTACHED];
	union bpf_attr attr = {
		.target_fd = (uint32_t)dir_fd,
		.attach_bpf_fd = (uint32_t)fd,
		.attach_type = BPF_CGROUP_DEVICE,
		.attach_flags = BPF_F_ALLOW_MULTI, /* a container may restrict its own sub-cgroups further */
	};
	int n, rc = 0;

	if (fd < 0)
		return fd;
	n = attached(dir_fd, ids, err);
	if (n < 0)
		return n;
	/* Attached before the old ones go: there is no moment without rules. */
	if (bpf(BPF_PROG_ATTACH, &attr) < 0)
		return error_sys(err, "cannot attach the eBPF program for linux.resources.devices to the container's cgroup");
	for (int i = 0; i < n && rc == 0; i++)
		rc = detach(dir_fd, ids[i], err);
	return rc;
}
