/* unit: netsetup */
/* CNI results from any version to any other, configurations, owners' marks. */
#include "netsetup.h"

#include <errno.h>

#include "cleanup.h"
#include "str.h"
#include "tap.h"

#define FULL                                                                                                           \
	"{\"cniVersion\":\"1.1.0\",\"interfaces\":[{\"name\":\"br0\",\"mac\":\"02:00:00:00:00:01\",\"mtu\":1500},"       \
	"{\"name\":\"eth0\",\"mac\":\"02:00:00:00:00:02\",\"mtu\":1400,\"sandbox\":\"/run/netns/x\",\"socketPath\":\"/s\"," \
	"\"pciID\":\"0000:00:01.0\"}],\"ips\":[{\"interface\":1,\"address\":\"10.0.0.2/24\",\"gateway\":\"10.0.0.1\"},"  \
	"{\"interface\":1,\"address\":\"fd00::2/64\"}],\"routes\":[{\"dst\":\"0.0.0.0/0\",\"gw\":\"10.0.0.1\",\"mtu\":1300,"  \
	"\"advmss\":1200,\"priority\":5,\"table\":0,\"scope\":0},{\"dst\":\"::/0\"}],\"dns\":{\"nameservers\":[\"10.0.0.1\"]," \
	"\"domain\":\"lan\",\"search\":[\"lan\"],\"options\":[\"ndots:2\"]}}"

static const struct {
	const char *what, *in, *version, *out;
} conversions[] = {
	{"1.1.0 to itself", FULL, "1.1.0", FULL},
	{"1.1.0 to 1.0.0: the newer keys of interfaces go", FULL, "1.0.0",
	 "{\"cniVersion\":\"1.0.0\",\"interfaces\":[{\"name\":\"br0\",\"mac\":\"02:00:00:00:00:01\"},"
	 "{\"name\":\"eth0\",\"mac\":\"02:00:00:00:00:02\",\"sandbox\":\"/run/netns/x\"}],"
	 "\"ips\":[{\"interface\":1,\"address\":\"10.0.0.2/24\",\"gateway\":\"10.0.0.1\"},"
	 "{\"interface\":1,\"address\":\"fd00::2/64\"}],\"routes\":[{\"dst\":\"0.0.0.0/0\",\"gw\":\"10.0.0.1\",\"mtu\":1300,"
	 "\"advmss\":1200,\"priority\":5,\"table\":0,\"scope\":0},{\"dst\":\"::/0\"}],\"dns\":{\"nameservers\":[\"10.0.0.1\"],"
	 "\"domain\":\"lan\",\"search\":[\"lan\"],\"options\":[\"ndots:2\"]}}"},
	{"0.4.0: addresses get a version",
	 "{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"10.0.0.2/24\"},{\"address\":\"fd00::2/64\"}]}", "0.4.0",
	 "{\"cniVersion\":\"0.4.0\",\"ips\":[{\"version\":\"4\",\"address\":\"10.0.0.2/24\"},"
	 "{\"version\":\"6\",\"address\":\"fd00::2/64\"}],\"dns\":{}}"},
	{"0.2.0: one address a family, its routes with it", FULL, "0.2.0",
	 "{\"cniVersion\":\"0.2.0\",\"ip4\":{\"ip\":\"10.0.0.2/24\",\"gateway\":\"10.0.0.1\",\"routes\":[{\"dst\":\"0.0.0.0/0\","
	 "\"gw\":\"10.0.0.1\"}]},\"ip6\":{\"ip\":\"fd00::2/64\",\"routes\":[{\"dst\":\"::/0\"}]},\"dns\":{\"nameservers\":"
	 "[\"10.0.0.1\"],\"domain\":\"lan\",\"search\":[\"lan\"],\"options\":[\"ndots:2\"]}}"},
	{"0.1.0 up to 1.0.0",
	 "{\"cniVersion\":\"0.1.0\",\"ip4\":{\"ip\":\"10.0.0.2/24\",\"gateway\":\"10.0.0.1\",\"routes\":[{\"dst\":\"1.0.0.0/8\"}]}}",
	 "1.0.0",
	 "{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"10.0.0.2/24\",\"gateway\":\"10.0.0.1\"}],"
	 "\"routes\":[{\"dst\":\"1.0.0.0/8\"}]}"},
	{"keys in other letter case, unknown keys",
	 "{\"CniVersion\":\"1.0.0\",\"IPs\":[{\"Address\":\"10.0.0.2/24\",\"x\":1}],\"new\":{}}", "1.0.0",
	 "{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"10.0.0.2/24\"}]}"},
	{"interface 0 is meant", "{\"cniVersion\":\"0.3.1\",\"ips\":[{\"interface\":0,\"address\":\"10.0.0.2/24\"}]}", "0.3.1",
	 "{\"cniVersion\":\"0.3.1\",\"ips\":[{\"version\":\"4\",\"interface\":0,\"address\":\"10.0.0.2/24\"}],\"dns\":{}}"},
	{"empty, of old", "{\"cniVersion\":\"0.4.0\"}", "0.4.0", "{\"cniVersion\":\"0.4.0\",\"dns\":{}}"},
	{"empty, of new", "{\"cniVersion\":\"1.0.0\",\"dns\":{}}", "1.0.0", "{\"cniVersion\":\"1.0.0\"}"},
};

static const struct {
	const char *in;
	int code;
} refused[] = {
	{"{\"cniVersion\":\"9.0.0\"}", CNI_INCOMPATIBLE_VERSION},
	{"{\"cniVersion\":\"1.0.0\",\"ips\":[{}]}", CNI_DECODE},
	{"{\"cniVersion\":\"1.0.0\",\"ips\":{}}", CNI_DECODE},
	{"{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"10.0.0\"}]}", CNI_DECODE},
	{"{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"10.0.0.1/8\",\"gateway\":\"x\"}]}", CNI_DECODE},
	{"{\"cniVersion\":\"1.0.0\",\"routes\":[{\"dst\":\"default\"}]}", CNI_DECODE},
	{"{\"cniVersion\":\"0.2.0\",\"ip4\":{\"ip\":\"\"}}", CNI_DECODE},
	{"{\"cniVersion\":\"1.0.0\",\"interfaces\":[7]}", CNI_DECODE},
};

static void test_conversions(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(conversions); i++) {
		struct error err = {0};
		auto_json struct json_doc *doc = json_parse("t", conversions[i].in, strlen(conversions[i].in), &err);
		auto_buf struct buf out = {0};
		struct json_value *v;
		struct cni_result r;

		is_int(result_decode(doc, json_root(doc), NULL, &r, &err), 0, conversions[i].what);
		v = result_encode(doc, &r, conversions[i].version, &err);
		json_write(&out, v, 0);
		is_str(out.data, conversions[i].out, "and is written");
	}
}

static void test_refused(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct error err = {0};
		auto_json struct json_doc *doc = json_parse("t", refused[i].in, strlen(refused[i].in), &err);
		struct cni_result r;

		is_int(-result_decode(doc, json_root(doc), NULL, &r, &err), refused[i].code, refused[i].in);
		ok(err.msg[0] && err.code == refused[i].code, "with a text: %s", err.msg);
	}
}

static void test_append(void)
{
	auto_json struct json_doc *doc = json_new();
	struct cni_result a = {0}, b = {0};

	result_add_interface(doc, &a, &(struct cni_interface){.name = "x"});
	result_add_interface(doc, &b, &(struct cni_interface){.name = "y"});
	result_add_ip(doc, &b, &(struct cni_ip){.address = "10.0.0.1/8", .interface = 0, .has_interface = true});
	result_add_ip(doc, &b, &(struct cni_ip){.address = "10.0.0.2/8"});
	b.dns.domain = "lan";
	is_int(result_append(doc, &a, &b), 0, "appended");
	is_int((long long)a.n_interfaces, 2, "both interfaces");
	is_int(a.ips[0].interface, 1, "its number is shifted");
	ok(!a.ips[1].has_interface, "none stays none");
	is_str(a.dns.domain, "lan", "dns is taken when there was none");
	is_int((long long)b.n_interfaces, 1, "the other is as it was");
}

static int load(const char *text, struct cni_conf *c)
{
	static struct json_doc *doc;
	struct error err = {0};

	json_free(doc);
	doc = json_parse("t", text, strlen(text), &err);
	return doc ? -conf_load(doc, json_root(doc), c, &err) : CNI_DECODE;
}

static void test_conf(void)
{
	struct cni_conf c;

	is_int(load("{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"type\":\"t\"}", &c), 0, "the least");
	is_int(load("{\"name\":\"n\",\"type\":\"t\"}", &c), 0, "without a version");
	is_str(c.cni_version, "0.1.0", "it is the oldest");
	is_int(load("{\"cniVersion\":\"1.0.0\",\"type\":\"t\"}", &c), CNI_INVALID_CONFIG, "no name");
	is_int(load("{\"cniVersion\":\"7\",\"type\":\"t\"}", &c), CNI_INVALID_CONFIG, "no name comes before a bad version");
	is_int(load("{\"cniVersion\":\"1.0\",\"name\":\"n\",\"type\":\"t\"}", &c), CNI_INCOMPATIBLE_VERSION, "a version in part");
	is_int(load("{\"cniVersion\":\"1.0.0\",\"name\":\"../n\",\"type\":\"t\"}", &c), CNI_INVALID_CONFIG, "a name that is a path");
	is_int(load("{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"type\":\"../t\"}", &c), CNI_INVALID_CONFIG, "a type that is a path");
	is_int(load("{\"cniVersion\":\"1.0.0\",\"name\":1,\"type\":\"t\"}", &c), CNI_DECODE, "a name of the wrong type");
	is_int(load("{\"name\":\"n\",\"type\":\"t\",\"prevResult\":{\"ip4\":{\"ip\":\"10.0.0.1/8\"}}}", &c), 0, "an old prevResult");
	ok(c.has_prev_result && c.prev_result.n_ips == 1, "is decoded by the configuration's version");
	is_int(load("{\"cniVersion\":\"1.1.0\",\"name\":\"n\",\"type\":\"t\",\"cni.dev/valid-attachments\":"
		    "[{\"containerID\":\"a\",\"ifname\":\"eth0\"}]}", &c), 0, "valid attachments");
	ok(conf_attachment_valid(&c, "a", "eth0") && !conf_attachment_valid(&c, "a", "eth1"), "are found");
}

static void test_names(void)
{
	struct cni_call call = {.container_id = "c1", .ifname = "eth0"};
	const struct cni_conf conf = {.name = "net"};
	char mark[CALL_OWNER_SIZE], a[IFNAMSIZ], b[IFNAMSIZ];
	struct owner o;

	is_str(call_owner(&call, &conf, mark), "nsrun:net/c1/eth0", "the owner's mark");
	ok(call_owner_split(mark, &o), "is taken apart");
	ok(str_eq(o.network, "net") && str_eq(o.container_id, "c1") && str_eq(o.ifname, "eth0"), "into its parts");
	ok(!call_owner_split("nsrun:net/c1/eth0/x", &o) && !call_owner_split("nsrun:net/c1", &o) && !call_owner_split("", &o) &&
		   !call_owner_split("nsrun:bridge", &o), "nothing else is");
	call_link_name(&call, &conf, "veth", a);
	call_link_name(&call, &conf, "veth", b);
	is_str(a, b, "a link's name follows from the attachment");
	is_int((long long)strlen(a), 15, "and fits");
	call.ifname = "eth1";
	call_link_name(&call, &conf, "veth", b);
	ok(!str_eq(a, b), "another interface of the container has another");
	call_link_name(&call, &conf, "averylongprefixindeed", b);
	is_int((long long)strlen(b), 15, "a long prefix is cut");
	ok(call_id_valid("a.b_c-1") && !call_id_valid("") && !call_id_valid(".a") && !call_id_valid("a/b"), "ids");
	ok(call_ifname_valid("eth0.1") && !call_ifname_valid("..") && !call_ifname_valid("1234567890123456") &&
		   !call_ifname_valid("a b") && !call_ifname_valid("a:b"), "interface names");
}

static void test_args(void)
{
	auto_json struct json_doc *doc = json_new();
	struct cni_call call = {.command = CNI_ADD};
	struct error err = {0};

	is_int(call_parse_args(doc, &call, "IgnoreUnknown=1;K8S_POD_NAME=x=y;MAC=02:00:00:00:00:01", &err), 0, "CNI_ARGS");
	is_str(call_arg(&call, "K8S_POD_NAME"), "x=y", "the first = divides");
	call = (struct cni_call){.command = CNI_ADD};
	is_int(-call_parse_args(doc, &call, "FOO=1", &err), CNI_INVALID_ENVIRONMENT, "an unknown key");
	call = (struct cni_call){.command = CNI_ADD};
	is_int(-call_parse_args(doc, &call, "FOO", &err), CNI_INVALID_ENVIRONMENT, "no pair");
	call = (struct cni_call){.command = CNI_ADD};
	is_int(call_parse_args(doc, &call, "MAC=a;IP=b;GATEWAY=c", &err), 0, "what any plugin of a chain knows");
}

int main(void)
{
	test_conversions();
	test_refused();
	test_append();
	test_conf();
	test_names();
	test_args();
	return done_testing();
}
