/* unit: runtime */
/* Configuration: decoding into the structs, capabilities' and namespaces' tables, seccomp programs run by a small BPF
 * interpreter, attachments. What is refused with which words is tests/config.bats. */
#include "spec.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>

#include "cleanup.h"
#include "error.h"
#include "ns.h"
#include "process.h"
#include "seccomp.h"
#include "tap.h"

#define CONFIG(rest) "{\"ociVersion\":\"1.3.0\",\"root\":{\"path\":\"r\"},\"process\":{\"cwd\":\"/\",\"args\":[\"true\"]}" rest "}"
#define SECCOMP(rest) CONFIG(",\"linux\":{\"seccomp\":{" rest "}}")
#define NETNS "\"linux\":{\"namespaces\":[{\"type\":\"network\"}]}"

static int parse(struct spec *s, const char *text, struct error *err)
{
	return spec_parse(s, "t", text, strlen(text), err);
}

static void test_process(void)
{
	static const char text[] =
		"{\"ociVersion\":\"1.3.0\",\"root\":{\"path\":\"r\",\"readonly\":false},\"process\":{\"cwd\":\"/x\",\"args\":[\"a\",\"b\"],"
		"\"user\":{\"uid\":4294967294,\"gid\":7,\"umask\":0,\"additionalGids\":[1,2,3]},\"oomScoreAdj\":-5,"
		"\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"soft\":0,\"hard\":18446744073709551615}]}}";
	struct error err = {0};
	struct spec s;

	is_int(parse(&s, text, &err), 0, "process: parsed");
	is_int(s.process->user.uid, 4294967294, "uid");
	ok(s.process->user.has_umask && s.process->user.umask == 0, "umask 0 is not absent");
	is_int((long long)s.process->user.n_additional_gids, 3, "three groups");
	is_int(s.process->user.additional_gids[2], 3, "the third group");
	ok(s.process->rlimits[0].hard == UINT64_MAX, "RLIM_INFINITY");
	is_int(s.process->oom_score_adj, -5, "oomScoreAdj");
	is_str(s.process->args[1], "b", "args");
	ok(!s.process->args[2], "args end with NULL");
	ok(!s.linux_.n_namespaces && !spec_namespace(&s, NS_NET), "no namespaces");
	ok(!s.process->capabilities && !s.linux_.seccomp && !s.linux_.resources, "absent objects are NULL");
	spec_free(&s);
	ok(!s.doc && !s.process, "freed and forgotten");
}

static void test_attachments(void)
{
	struct error err = {0};
	struct spec s;

	is_int(parse(&s, CONFIG("," NETNS ",\"annotations\":{\"org.nsrun.net.wg0\":\"w\",\"org.nsrun.net.br-a\":\"b\",\"org.nsrun.netns\":\"gw\"}"), &err),
	       0, "attachments: parsed");
	is_int((long long)s.n_attachments, 2, "two attachments");
	is_str(s.attachments[0].ifname, "br-a", "sorted by name");
	is_str(s.netns_name, "gw", "pinned name");
	is_str(spec_annotation(&s, "org.nsrun.net.wg0"), "w", "annotation by key");
	is_int(spec_add_attachment(&s, "eth0", "e", &err), 0, "one is added");
	is_int(spec_add_attachment(&s, "br-a", "c", &err), 0, "one is replaced");
	is_int((long long)s.n_attachments, 3, "three attachments");
	is_str(s.attachments[0].file, "c", "replaced");
	is_str(s.attachments[1].ifname, "eth0", "in its place");
	is_str(s.attachments[2].ifname, "wg0", "the last is still there");
	is_int(spec_add_attachment(&s, "eth:0", "e", &err), -EINVAL, "a bad name is refused");
	spec_free(&s);

	is_int(parse(&s, CONFIG(""), &err), 0, "no network namespace");
	is_int(spec_add_attachment(&s, "eth0", "e", &err), -EINVAL, "no attachment without a network namespace");
	spec_free(&s);
}

static void test_net_devices(void)
{
	struct error err = {0};
	struct spec s;

	is_int(parse(&s, CONFIG(",\"linux\":{\"namespaces\":[{\"type\":\"network\"}],\"netDevices\":{\"b\":{\"name\":\"lan%d\"},\"a\":{}}}"), &err),
	       0, "netDevices: parsed");
	is_int((long long)s.linux_.n_net_devices, 2, "two devices");
	is_str(s.linux_.net_devices[0].host_name, "b", "in the order written");
	is_str(s.linux_.net_devices[0].name, "lan%d", "template");
	ok(!s.linux_.net_devices[1].name, "no name: kept");
	spec_free(&s);
}

static void test_process_object(void)
{
	static const char text[] = "{\"cwd\":\"/\",\"args\":[\"x\"],\"oomScoreAdj\":2000}";
	struct error err = {0};
	auto_json struct json_doc *doc = json_parse("t", text, sizeof(text) - 1, &err);
	struct spec_process p;

	is_int(spec_process_decode(doc, json_root(doc), &p, "services.json", &err), -EINVAL, "a process of its own is checked");
	is_str(err.msg, "services.json: process.oomScoreAdj: 2000 is not within -1000 and 1000", "with the file's name");
}

static void test_tables(void)
{
	for (int i = 0; i < NS_KINDS; i++) {
		char text[256];
		struct error err = {0};
		struct spec s = {0};

		snprintf(text, sizeof(text), CONFIG(",\"linux\":{\"namespaces\":[{\"type\":\"%s\",\"path\":\"/x\"}]}"), ns_info[i].word);
		ok(parse(&s, text, &err) == 0 && spec_namespace(&s, (enum ns_kind)i), "the namespace table has %s: %s",
		   ns_info[i].word, err.msg);
		spec_free(&s);
	}
	for (int i = 0; caps_words[i].word; i++)
		if (caps_words[i].value != i)
			ok(false, "%s stands at its number", caps_words[i].word);
	is_int(caps_number("CAP_CHECKPOINT_RESTORE"), CAP_LAST_CAP, "every capability of the kernel's headers");
	is_int(caps_number("CAP_NONE"), -1, "unknown capability");
}

/* --- seccomp ------------------------------------------------------------------------------------------------ */

/* Runs a classic BPF program over struct seccomp_data, as the kernel does. */
static uint32_t run_filter(const struct seccomp_program *p, const struct seccomp_data *d)
{
	uint32_t a = 0;

	for (size_t pc = 0; pc < p->n; pc++) {
		const struct sock_filter *f = &p->filter[pc];
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

int main(void)
{
	test_process();
	test_attachments();
	test_net_devices();
	test_process_object();
	test_tables();
#ifdef __x86_64__
	test_seccomp_stub();
	test_seccomp_without_stub();
#endif
	test_seccomp_flags();
	return done_testing();
}
