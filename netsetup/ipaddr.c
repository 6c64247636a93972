/* IP and MAC addresses as text and as bytes. */
#include "rtnl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "str.h"

int ipaddr_size(const struct ipaddr *a)
{
	return a->family == AF_INET6 ? 16 : 4;
}

int ipaddr_parse(const char *s, struct ipaddr *ret)
{
	struct ipaddr a = {0};
	char host[INET6_ADDRSTRLEN];
	const char *slash = strchr(s, '/');
	size_t len = slash ? (size_t)(slash - s) : strlen(s);
	uint32_t prefix;

	if (len == 0 || len >= sizeof(host))
		return -EINVAL;
	memcpy(host, s, len);
	host[len] = '\0';
	a.family = strchr(host, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(a.family, host, a.bytes) != 1)
		return -EINVAL;
	prefix = (uint32_t)ipaddr_size(&a) * 8;
	if (slash && str_u32(slash + 1, 0, prefix, &prefix) < 0)
		return -EINVAL;
	a.prefix = (uint8_t)prefix;
	*ret = a;
	return 0;
}

const char *ipaddr_text(const struct ipaddr *a, bool with_prefix, char out[IPADDR_TEXT_SIZE])
{
	size_t len;

	if (a->family == 0 || !inet_ntop(a->family, a->bytes, out, IPADDR_TEXT_SIZE)) {
		out[0] = '\0';
		return out;
	}
	len = strlen(out);
	if (with_prefix)
		snprintf(out + len, IPADDR_TEXT_SIZE - len, "/%u", a->prefix);
	return out;
}

bool ipaddr_equal(const struct ipaddr *a, const struct ipaddr *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, (size_t)ipaddr_size(a)) == 0;
}

struct ipaddr ipaddr_network(const struct ipaddr *a)
{
	struct ipaddr n = *a;

	for (int i = 0; i < ipaddr_size(a); i++) {
		int keep = a->prefix - i * 8;

		if (keep <= 0)
			n.bytes[i] = 0;
		else if (keep < 8)
			n.bytes[i] &= (uint8_t)(0xff << (8 - keep));
	}
	return n;
}

bool ipaddr_contains(const struct ipaddr *net, const struct ipaddr *a)
{
	struct ipaddr base = ipaddr_network(net), other = *a;

	if (net->family != a->family || a->prefix < net->prefix)
		return false;
	other.prefix = net->prefix;
	other = ipaddr_network(&other);
	return ipaddr_equal(&base, &other);
}

int mac_parse(const char *s, uint8_t ret[6])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t mac[6] = {0};

	for (int i = 0; i < 12; i++) {
		char c = *s++;
		const char *d;

		if (c >= 'A' && c <= 'F')
			c = (char)(c - 'A' + 'a');
		d = c ? strchr(digits, c) : NULL;
		if (!d)
			return -EINVAL;
		mac[i / 2] = (uint8_t)(mac[i / 2] << 4 | (d - digits));
		if (i % 2 == 1 && i < 11 && *s != ':' && *s != '-')
			return -EINVAL;
		s += i % 2 == 1 && i < 11;
	}
	if (*s)
		return -EINVAL;
	memcpy(ret, mac, 6);
	return 0;
}

const char *mac_text(const uint8_t mac[6], char out[MAC_TEXT_SIZE])
{
	snprintf(out, MAC_TEXT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	return out;
}

void mac_random(uint8_t ret[6])
{
	/* Never fails for so few bytes once the pool is ready, which it is long before containers start. */
	while (getrandom(ret, 6, 0) != 6)
		;
	ret[0] = (uint8_t)((ret[0] & 0xfe) | 0x02);
}
