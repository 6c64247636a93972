/* A request must fit into one netlink message, and a device may have any number of peers with any number of address
 * ranges. So the device goes first (with the flag that clears the peers), then each peer in a message of its own, a
 * long list of ranges in several: only the first carries the flag that clears the ranges. */
#include "wg_genl.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/time_types.h>
#include <linux/wireguard.h>
#include <string.h>

#include "cleanup.h"
#include "netns.h"

enum { RANGES_PER_MESSAGE = 64, REQUEST_SIZE = 8192, REPLY_SIZE = 65536, DUMP_TRIES = 20 };

struct genl {
	struct mnl_socket *sock;
	uint16_t family;
	uint32_t seq;
	char *reply;
};

static void genl_close(struct genl *g)
{
	if (g->sock)
		mnl_socket_close(g->sock);
	free(g->reply);
}
#define auto_genl __attribute__((cleanup(genl_close)))

/* What the kernel says, with its own words when it has some (extended acknowledgement). */
struct reply {
	mnl_cb_t cb;
	void *arg;
	char why[256];
};

static void read_extack(const struct nlmsghdr *nlh, struct reply *r)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);
	unsigned skip = sizeof(*e);
	const struct nlattr *a;

	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
		skip += mnl_nlmsg_get_payload_len(&e->msg);
	mnl_attr_for_each(a, nlh, skip)
		if (mnl_attr_get_type(a) == NLMSGERR_ATTR_MSG)
			snprintf(r->why, sizeof(r->why), "%s", mnl_attr_get_str(a));
}

/* Sends and reads until the acknowledgement or the end of the dump: 0 or -errno. */
static int genl_talk(struct genl *g, struct nlmsghdr *nlh, struct reply *r)
{
	unsigned port = mnl_socket_get_portid(g->sock);

	nlh->nlmsg_seq = ++g->seq;
	if (mnl_socket_sendto(g->sock, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	for (;;) {
		const struct nlmsghdr *in = (void *)g->reply;
		ssize_t n = mnl_socket_recvfrom(g->sock, g->reply, REPLY_SIZE);
		int more;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (in->nlmsg_type == NLMSG_ERROR)
			read_extack(in, r);
		more = mnl_cb_run(g->reply, (size_t)n, g->seq, port, r->cb, r->arg);
		if (more < 0)
			return -errno;
		if (more == MNL_CB_STOP)
			return 0;
	}
}

static struct nlmsghdr *genl_request(char *buf, uint16_t type, uint8_t cmd, uint8_t version, uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct genlmsghdr *genl;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	genl = mnl_nlmsg_put_extra_header(nlh, sizeof(*genl));
	genl->cmd = cmd;
	genl->version = version;
	return nlh;
}

static int family_cb(const struct nlmsghdr *nlh, void *arg)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, nlh, sizeof(struct genlmsghdr))
		if (mnl_attr_get_type(a) == CTRL_ATTR_FAMILY_ID)
			*(uint16_t *)arg = mnl_attr_get_u16(a);
	return MNL_CB_OK;
}

/* A generic netlink socket speaks for the namespace in which it was made. */
static int open_socket_in(struct genl *g, int netns_fd, struct error *err)
{
	auto_close int self = netns_open_self(err);
	struct error back = {0};
	int r, saved;

	if (self < 0)
		return self;
	r = netns_enter(netns_fd, err);
	if (r < 0)
		return r;
	g->sock = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	saved = errno;
	r = netns_enter(self, &back);
	if (r < 0) {
		if (err)
			*err = back;
		return r;
	}
	errno = saved;
	if (!g->sock || mnl_socket_bind(g->sock, 0, MNL_SOCKET_AUTOPID) < 0)
		return error_sys(err, "cannot open a generic netlink socket");
	return 0;
}

static int genl_open(struct genl *g, int netns_fd, struct error *err)
{
	struct reply reply = {.cb = family_cb, .arg = &g->family};
	struct nlmsghdr *nlh;
	char buf[256];
	int on = 1, r;

	g->reply = malloc(REPLY_SIZE);
	if (!g->reply)
		return error_oom(err);
	r = open_socket_in(g, netns_fd, err);
	if (r < 0)
		return r;
	mnl_socket_setsockopt(g->sock, NETLINK_EXT_ACK, &on, sizeof(on));
	mnl_socket_setsockopt(g->sock, NETLINK_CAP_ACK, &on, sizeof(on));

	nlh = genl_request(buf, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1, NLM_F_ACK);
	mnl_attr_put_strz(nlh, CTRL_ATTR_FAMILY_NAME, WG_GENL_NAME);
	r = genl_talk(g, nlh, &reply);
	if (r == -ENOENT || (r == 0 && !g->family))
		return error_set(err, EOPNOTSUPP, "this kernel has no WireGuard");
	if (r < 0)
		return error_set(err, -r, "cannot ask the kernel for WireGuard: %s", strerror(-r));
	return 0;
}

/* --- set ------------------------------------------------------------------------------------------------------ */

static struct nlmsghdr *device_request(struct genl *g, char *buf, uint8_t cmd, uint16_t flags, const char *ifname)
{
	struct nlmsghdr *nlh = genl_request(buf, g->family, cmd, WG_GENL_VERSION, flags);

	mnl_attr_put_strz(nlh, WGDEVICE_A_IFNAME, ifname);
	return nlh;
}

static void put_ranges(struct nlmsghdr *nlh, const struct wg_peer *p, size_t from, size_t to)
{
	struct nlattr *list = mnl_attr_nest_start(nlh, WGPEER_A_ALLOWEDIPS);
	size_t i;

	for (i = from; i < to; i++) {
		struct nlattr *one = mnl_attr_nest_start(nlh, 0);
		mnl_attr_put_u16(nlh, WGALLOWEDIP_A_FAMILY, (uint16_t)p->allowed[i].family);
		mnl_attr_put(nlh, WGALLOWEDIP_A_IPADDR, (size_t)ipaddr_size(&p->allowed[i]), p->allowed[i].bytes);
		mnl_attr_put_u8(nlh, WGALLOWEDIP_A_CIDR_MASK, p->allowed[i].prefix);
		mnl_attr_nest_end(nlh, one);
	}
	mnl_attr_nest_end(nlh, list);
}

static void put_peer(struct nlmsghdr *nlh, const struct wg_peer *p, size_t from, size_t to)
{
	struct nlattr *list = mnl_attr_nest_start(nlh, WGDEVICE_A_PEERS);
	struct nlattr *one = mnl_attr_nest_start(nlh, 0);
	uint32_t flags = 0;

	mnl_attr_put(nlh, WGPEER_A_PUBLIC_KEY, WG_KEY_SIZE, p->public_key);
	if (p->remove)
		flags |= WGPEER_F_REMOVE_ME;
	else if (from == 0)
		flags |= WGPEER_F_REPLACE_ALLOWEDIPS;
	if (flags)
		mnl_attr_put_u32(nlh, WGPEER_A_FLAGS, flags);
	if (!p->remove && from == 0) {
		mnl_attr_put(nlh, WGPEER_A_PRESHARED_KEY, WG_KEY_SIZE, p->preshared_key);
		if (p->endpoint.sa.sa_family == AF_INET)
			mnl_attr_put(nlh, WGPEER_A_ENDPOINT, sizeof(p->endpoint.in), &p->endpoint.in);
		else if (p->endpoint.sa.sa_family == AF_INET6)
			mnl_attr_put(nlh, WGPEER_A_ENDPOINT, sizeof(p->endpoint.in6), &p->endpoint.in6);
		mnl_attr_put_u16(nlh, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, p->keepalive);
	}
	if (!p->remove)
		put_ranges(nlh, p, from, to);
	mnl_attr_nest_end(nlh, one);
	mnl_attr_nest_end(nlh, list);
}

static int set_failed(int r, const struct reply *reply, const char *ifname, struct error *err)
{
	return error_set(err, -r, "cannot configure WireGuard on %s: %s", ifname,
			 reply->why[0] ? reply->why : strerror(-r));
}

static int set_device(struct genl *g, const char *ifname, const struct wg_device *d, struct error *err)
{
	char buf[REQUEST_SIZE];
	struct reply reply = {0};
	struct nlmsghdr *nlh = device_request(g, buf, WG_CMD_SET_DEVICE, NLM_F_ACK, ifname);
	int r;

	mnl_attr_put(nlh, WGDEVICE_A_PRIVATE_KEY, WG_KEY_SIZE, d->private_key);
	mnl_attr_put_u16(nlh, WGDEVICE_A_LISTEN_PORT, d->listen_port);
	mnl_attr_put_u32(nlh, WGDEVICE_A_FWMARK, d->fwmark);
	if (d->replace_peers)
		mnl_attr_put_u32(nlh, WGDEVICE_A_FLAGS, WGDEVICE_F_REPLACE_PEERS);
	r = genl_talk(g, nlh, &reply);
	explicit_bzero(buf, sizeof(buf));
	return r < 0 ? set_failed(r, &reply, ifname, err) : 0;
}

static int set_peer(struct genl *g, const char *ifname, const struct wg_peer *p, struct error *err)
{
	size_t from = 0, to;
	char buf[REQUEST_SIZE];

	do {
		struct reply reply = {0};
		struct nlmsghdr *nlh = device_request(g, buf, WG_CMD_SET_DEVICE, NLM_F_ACK, ifname);
		int r;
		to = p->n_allowed - from > RANGES_PER_MESSAGE ? from + RANGES_PER_MESSAGE : p->n_allowed;
		put_peer(nlh, p, from, to);
		r = genl_talk(g, nlh, &reply);
		if (r < 0)
			return set_failed(r, &reply, ifname, err);
		from = to;
	} while (from < p->n_allowed && !p->remove);
	return 0;
}

int wg_genl_set(int netns_fd, const char *ifname, const struct wg_device *d, struct error *err)
{
	auto_genl struct genl g = {0};
	size_t i;
	int r = genl_open(&g, netns_fd, err);

	if (r == 0)
		r = set_device(&g, ifname, d, err);
	for (i = 0; r == 0 && i < d->n_peers; i++)
		r = set_peer(&g, ifname, &d->peers[i], err);
	return r;
}

/* --- get ------------------------------------------------------------------------------------------------------ */

struct dump {
	struct json_doc *doc;
	struct wg_device d;
	bool failed;
};

static int get_range(struct dump *dump, struct wg_peer *p, const struct nlattr *nest)
{
	struct ipaddr *to = wg_add_allowed(dump->doc, p);
	const struct nlattr *a;

	if (!to)
		return -ENOMEM;
	mnl_attr_for_each_nested(a, nest) {
		size_t len = mnl_attr_get_payload_len(a);
		switch (mnl_attr_get_type(a)) {
		case WGALLOWEDIP_A_FAMILY:
			to->family = mnl_attr_get_u16(a);
			break;
		case WGALLOWEDIP_A_IPADDR:
			memcpy(to->bytes, mnl_attr_get_payload(a), len < sizeof(to->bytes) ? len : sizeof(to->bytes));
			break;
		case WGALLOWEDIP_A_CIDR_MASK:
			to->prefix = mnl_attr_get_u8(a);
			break;
		}
	}
	return 0;
}

static int get_peer_attr(struct dump *dump, struct wg_peer *p, const struct nlattr *a)
{
	size_t len = mnl_attr_get_payload_len(a);
	const void *data = mnl_attr_get_payload(a);
	const struct nlattr *one;

	switch (mnl_attr_get_type(a)) {
	case WGPEER_A_PRESHARED_KEY:
		memcpy(p->preshared_key, data, len < WG_KEY_SIZE ? len : WG_KEY_SIZE);
		break;
	case WGPEER_A_ENDPOINT:
		memcpy(&p->endpoint, data, len < sizeof(p->endpoint) ? len : sizeof(p->endpoint));
		break;
	case WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL:
		p->keepalive = mnl_attr_get_u16(a);
		break;
	case WGPEER_A_LAST_HANDSHAKE_TIME:
		if (len >= sizeof(struct __kernel_timespec))
			p->last_handshake = ((const struct __kernel_timespec *)data)->tv_sec;
		break;
	case WGPEER_A_RX_BYTES:
		p->rx_bytes = mnl_attr_get_u64(a);
		break;
	case WGPEER_A_TX_BYTES:
		p->tx_bytes = mnl_attr_get_u64(a);
		break;
	case WGPEER_A_ALLOWEDIPS:
		mnl_attr_for_each_nested(one, a)
			if (get_range(dump, p, one) < 0)
				return -ENOMEM;
		break;
	}
	return 0;
}

/* A peer whose ranges did not fit goes on in the next message, which repeats its key. */
static int get_peer(struct dump *dump, const struct nlattr *nest)
{
	struct wg_peer *p = dump->d.n_peers ? &dump->d.peers[dump->d.n_peers - 1] : NULL;
	const struct nlattr *a, *key = NULL;

	mnl_attr_for_each_nested(a, nest)
		if (mnl_attr_get_type(a) == WGPEER_A_PUBLIC_KEY && mnl_attr_get_payload_len(a) == WG_KEY_SIZE)
			key = a;
	if (!key)
		return 0;
	if (!p || memcmp(p->public_key, mnl_attr_get_payload(key), WG_KEY_SIZE)) {
		p = wg_add_peer(dump->doc, &dump->d);
		if (!p)
			return -ENOMEM;
		memcpy(p->public_key, mnl_attr_get_payload(key), WG_KEY_SIZE);
	}
	mnl_attr_for_each_nested(a, nest)
		if (get_peer_attr(dump, p, a) < 0)
			return -ENOMEM;
	return 0;
}

static int device_cb(const struct nlmsghdr *nlh, void *arg)
{
	struct dump *dump = arg;
	const struct nlattr *a, *one;

	mnl_attr_for_each(a, nlh, sizeof(struct genlmsghdr)) {
		bool is_key = mnl_attr_get_payload_len(a) == WG_KEY_SIZE;
		switch (mnl_attr_get_type(a)) {
		case WGDEVICE_A_PRIVATE_KEY:
			if (is_key)
				memcpy(dump->d.private_key, mnl_attr_get_payload(a), WG_KEY_SIZE);
			break;
		case WGDEVICE_A_PUBLIC_KEY:
			if (is_key)
				memcpy(dump->d.public_key, mnl_attr_get_payload(a), WG_KEY_SIZE);
			break;
		case WGDEVICE_A_LISTEN_PORT:
			dump->d.listen_port = mnl_attr_get_u16(a);
			break;
		case WGDEVICE_A_FWMARK:
			dump->d.fwmark = mnl_attr_get_u32(a);
			break;
		case WGDEVICE_A_PEERS:
			mnl_attr_for_each_nested(one, a)
				dump->failed |= get_peer(dump, one) < 0;
			break;
		}
	}
	return MNL_CB_OK;
}

static int get_once(int netns_fd, const char *ifname, struct dump *dump, struct error *err)
{
	auto_genl struct genl g = {0};
	struct reply reply = {.cb = device_cb, .arg = dump};
	char buf[256];
	int r = genl_open(&g, netns_fd, err);

	if (r < 0)
		return r;
	r = genl_talk(&g, device_request(&g, buf, WG_CMD_GET_DEVICE, NLM_F_ACK | NLM_F_DUMP, ifname), &reply);
	if (r < 0)
		return error_set(err, -r, "cannot read WireGuard's state of %s: %s", ifname,
				 reply.why[0] ? reply.why : strerror(-r));
	return dump->failed ? error_oom(err) : 0;
}

int wg_genl_get(int netns_fd, const char *ifname, struct json_doc *doc, struct wg_device *ret, struct error *err)
{
	struct dump dump;
	int tries = DUMP_TRIES, r;

	/* The kernel interrupts an answer of several messages when somebody changes the peers meanwhile. The rest of it is
	 * still to come on that socket, so another one asks again. */
	do {
		dump = (struct dump){.doc = doc};
		r = get_once(netns_fd, ifname, &dump, err);
	} while (r == -EINTR && --tries > 0);
	if (r == 0)
		*ret = dump.d;
	return r;
}
