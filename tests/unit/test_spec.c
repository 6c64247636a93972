/* unit: runtime */
/* Configuration: decoding into the structs, capabilities' and namespaces' tables, attachments. What is refused with which
 * words is tests/config.bats. */
#include "spec.h"

#include <errno.h>
#include <linux/capability.h>

#include "error.h"
#include "ns.h"
#include "process.h"
#include "tap.h"

#define CONFIG(rest) "{\"ociVersion\":\"1.3.0\",\"root\":{\"path\":\"r\"},\"process\":{\"cwd\":\"/\",\"args\":[\"true\"]}" rest "}"
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

int main(void)
{
	test_process();
	test_attachments();
	test_net_devices();
	test_process_object();
	test_tables();
	return done_testing();
}
