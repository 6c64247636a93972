/* unit: netsetup */
/* IP and MAC addresses as text and as bytes. */
#include "rtnl.h"

#include <errno.h>
#include <sys/socket.h>

#include "tap.h"

static const struct {
	const char *in, *with_prefix, *without, *network;
} good[] = {
	{"10.0.0.1/24", "10.0.0.1/24", "10.0.0.1", "10.0.0.0/24"},
	{"10.0.0.1", "10.0.0.1/32", "10.0.0.1", "10.0.0.1/32"},
	{"10.255.255.255/9", "10.255.255.255/9", "10.255.255.255", "10.128.0.0/9"},
	{"0.0.0.0/0", "0.0.0.0/0", "0.0.0.0", "0.0.0.0/0"},
	{"192.168.1.130/25", "192.168.1.130/25", "192.168.1.130", "192.168.1.128/25"},
	{"fd00::1/64", "fd00::1/64", "fd00::1", "fd00::/64"},
	{"::/0", "::/0", "::", "::/0"},
	{"FE80::A", "fe80::a/128", "fe80::a", "fe80::a/128"},
	{"2001:db8:ffff:ffff::/33", "2001:db8:ffff:ffff::/33", "2001:db8:ffff:ffff::", "2001:db8:8000::/33"},
};

static const char *const bad[] = {
	"", "/", "/24", "10.0.0", "10.0.0.1/", "10.0.0.1/33", "10.0.0.1/-1", "10.0.0.1/024x", "10.0.0.1/ 8", "10.0.0.256",
	"::1/129", ":::", "fe80::1%eth0", "10.0.0.1/24/24", "a.b.c.d",
	"1234:1234:1234:1234:1234:1234:1234:1234:1234:1234:1234:1234:1234:1234",
};

static void test_text(void)
{
	char text[IPADDR_TEXT_SIZE];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct ipaddr a, n;

		is_int(ipaddr_parse(good[i].in, &a), 0, good[i].in);
		is_str(ipaddr_text(&a, true, text), good[i].with_prefix, "with prefix");
		is_str(ipaddr_text(&a, false, text), good[i].without, "without");
		n = ipaddr_network(&a);
		is_str(ipaddr_text(&n, true, text), good[i].network, "its network");
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ipaddr a = {.family = 77};

		ok(ipaddr_parse(bad[i], &a) == -EINVAL && a.family == 77, "'%s' is refused, and nothing written", bad[i]);
	}
}

static bool contains(const char *net, const char *addr)
{
	struct ipaddr n, a;

	return ipaddr_parse(net, &n) == 0 && ipaddr_parse(addr, &a) == 0 && ipaddr_contains(&n, &a);
}

static void test_contains(void)
{
	ok(contains("10.0.0.0/24", "10.0.0.255"), "the last address of a network");
	ok(!contains("10.0.0.0/24", "10.0.1.0"), "the one after it");
	ok(contains("10.0.0.77/24", "10.0.0.3/25"), "a smaller network within");
	ok(!contains("10.0.0.0/24", "10.0.0.0/23"), "a larger one is not within");
	ok(contains("0.0.0.0/0", "1.2.3.4"), "everything");
	ok(!contains("::/0", "1.2.3.4"), "but not of the other family");
	ok(contains("fd00::/8", "fdff::1"), "IPv6");
}

static void test_equal(void)
{
	struct ipaddr a, b, c;

	ipaddr_parse("10.0.0.1/24", &a);
	ipaddr_parse("10.0.0.1/8", &b);
	ipaddr_parse("::1", &c);
	ok(ipaddr_equal(&a, &b), "the prefix does not count");
	ok(!ipaddr_equal(&a, &c), "families differ");
	is_int(ipaddr_size(&a), 4, "size of IPv4");
	is_int(ipaddr_size(&c), 16, "size of IPv6");
}

static void test_mac(void)
{
	static const char *const wrong[] = {"", "02:00:00:00:00", "02:00:00:00:00:0", "02:00:00:00:00:00:", "0g:00:00:00:00:00",
					    "020000000000", "02:00:00:00:00:00:00", " 2:00:00:00:00:00"};
	uint8_t mac[6], other[6];
	char text[MAC_TEXT_SIZE];

	is_int(mac_parse("02:00:5E:10:ab:Ff", mac), 0, "a MAC");
	is_str(mac_text(mac, text), "02:00:5e:10:ab:ff", "written in small letters");
	is_int(mac_parse("02-00-5e-10-ab-ff", mac), 0, "with hyphens");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		ok(mac_parse(wrong[i], mac) == -EINVAL, "'%s' is refused", wrong[i]);
	mac_random(mac);
	mac_random(other);
	ok((mac[0] & 3) == 2 && (other[0] & 3) == 2, "random ones are local and of one interface");
	ok(memcmp(mac, other, 6) != 0, "and differ");
}

int main(void)
{
	test_text();
	test_contains();
	test_equal();
	test_mac();
	return done_testing();
}
