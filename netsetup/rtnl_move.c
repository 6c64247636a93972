/* Moving a device of the host into a container's namespace (runtime-spec config-linux.md#network-devices).
 *
 * A move takes the device down and its addresses away, may find its name or its number taken on the other side, and the
 * new name may be a template ("eth%d") that the kernel completes. So the number is chosen by us (IFLA_NEW_IFINDEX), and the
 * device is known by it afterwards, whatever it is called. */
#include "rtnl_msg.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <string.h>

#include "error.h"
#include "str.h"

enum { ADDRS_MAX = 64, INDEX_TRIES = 256 };

struct kept {
	struct addr_info addrs[ADDRS_MAX];
	size_t n;
};

/* Addresses that somebody set, and that are good beyond the link. */
static int keep_addr(const struct addr_info *a, void *arg)
{
	struct kept *k = arg;

	if (a->scope != RT_SCOPE_UNIVERSE || !(a->flags & IFA_F_PERMANENT))
		return 0;
	if (k->n == ADDRS_MAX)
		return -E2BIG;
	k->addrs[k->n++] = *a;
	return 0;
}

static int change_namespace(struct rtnl *from, int index, int to_fd, int new_index, const char *name, struct error *err)
{
	struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = index, .ifi_change = IFF_UP};
	struct nlmsghdr *m = rtnl_begin(from, RTM_SETLINK, 0, &header, sizeof(header));

	rtnl_put_u32(from, m, IFLA_NET_NS_FD, (uint32_t)to_fd);
	rtnl_put_u32(from, m, IFLA_NEW_IFINDEX, (uint32_t)new_index);
	if (name)
		rtnl_put_text(from, m, IFLA_IFNAME, name);
	return rtnl_talk(from, m, NULL, NULL, 0, err, "cannot move link %d to the other network namespace", index);
}

/* Tries numbers from the device's own upwards: another device may have it there. */
static int move(struct rtnl *from, struct rtnl *to, const struct link_info *l, int to_fd, const char *name, struct error *err)
{
	struct link_info other;
	int index = l->index, code;

	for (int i = 0; i < INDEX_TRIES; i++, index++) {
		if (rtnl_link_get_index(to, index, &other, NULL) == 0)
			continue;
		code = change_namespace(from, l->index, to_fd, index, name, err);
		if (code == 0)
			return index;
		if (code == -EBUSY && rtnl_link_get_index(to, index, &other, NULL) == 0)
			continue; /* somebody took the number meanwhile */
		return code;
	}
	return error_set(err, EBUSY, "cannot move %s: no free interface number", l->name);
}

static int restore(struct rtnl *to, int index, const struct kept *k, struct error *err)
{
	rtnl_batch(to);
	for (size_t i = 0; i < k->n; i++) {
		const struct addr_info *a = &k->addrs[i];
		struct addr_req q = {
			.index = index,
			.addr = a->addr,
			.peer = a->peer,
			.nodad = a->flags & IFA_F_NODAD,
			.noprefixroute = a->flags & IFA_F_NOPREFIXROUTE,
		};

		rtnl_addr_add(to, &q, err);
	}
	rtnl_link_set(to, &(struct link_req){.index = index, .flags_on = IFF_UP}, err);
	return rtnl_commit(to, err);
}

/* The kernel takes the device over before it looks at the name: a bad one would leave it there under the old name. */
static int check_new_name(const char *name, struct error *err)
{
	const char *percent = strchr(name, '%');

	if (strlen(name) >= IFNAMSIZ)
		return error_set(err, EINVAL, "'%s' is no interface name: at most %d characters", name, IFNAMSIZ - 1);
	if (!*name || strpbrk(name, "/: \t\r\n\v\f") || str_eq(name, ".") || str_eq(name, ".."))
		return error_set(err, EINVAL, "'%s' is no interface name", name);
	if (percent && (percent[1] != 'd' || strchr(percent + 1, '%')))
		return error_set(err, EINVAL, "'%s' is no interface name: of templates there is only %%d, and one", name);
	return 0;
}

int rtnl_link_move(struct rtnl *from, struct rtnl *to, int to_fd, const char *name, const char *new_name,
		   char ret_name[IFNAMSIZ], struct error *err)
{
	struct link_info l, there;
	struct kept kept = {.n = 0};
	int code, index;

	if (!new_name)
		new_name = name;
	code = check_new_name(new_name, err);
	if (code < 0)
		return code;
	code = rtnl_link_get(from, name, &l, err);
	if (code < 0)
		return error_wrap(err, "cannot move %s", name);
	/* As above: checked first. */
	if (!strchr(new_name, '%') && rtnl_link_get(to, new_name, &there, NULL) == 0)
		return error_set(err, EEXIST, "cannot move %s: the other network namespace has a link %s already", name,
				 new_name);
	code = rtnl_addr_list(from, l.index, keep_addr, &kept, err);
	if (code == -E2BIG)
		return error_set(err, E2BIG, "cannot move %s: it has more than %d addresses", name, ADDRS_MAX);
	if (code < 0)
		return code;
	index = move(from, to, &l, to_fd, new_name, err);
	if (index < 0)
		return error_wrap(err, "%s", name);
	code = restore(to, index, &kept, err);
	if (code == 0)
		code = rtnl_link_get_index(to, index, &there, err);
	if (code < 0)
		return error_wrap(err, "%s is moved, but not set up", name);
	if (ret_name)
		memcpy(ret_name, there.name, IFNAMSIZ);
	return 0;
}
