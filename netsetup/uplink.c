/* The uplink of a bridge: a NIC of the host that is a port of it as long as attachments are.
 *
 * What the NIC was before stands in its alias, put there by the request that makes it a port: "nsrun-uplink:up:ALIAS", or
 * down. So whoever finds it can make it again what it was, without a file, and after a kill anywhere.
 *
 * An ADD makes its own port first and the uplink then; a DEL takes its port away and looks for others then. Both second steps
 * are done under a lock, so a DEL that saw no port is followed by the look of the ADD that made one meanwhile. */
#include "bridge.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "cleanup.h"
#include "fs.h"
#include "str.h"

#define MARK_UP "nsrun-uplink:up:"
#define MARK_DOWN "nsrun-uplink:down:"

/* The alias that it had before; NULL: it is no uplink of ours. */
static const char *old_alias(const struct link_info *l)
{
	if (str_starts(l->alias, MARK_UP))
		return l->alias + strlen(MARK_UP);
	return str_starts(l->alias, MARK_DOWN) ? l->alias + strlen(MARK_DOWN) : NULL;
}

/* Held until the descriptor is closed. */
static int lock_uplinks(struct error *err)
{
	auto_close int fd = -1;
	int code = fs_mkdirs(call_root(), 0711, err);

	if (code < 0)
		return code;
	fd = fs_open_at(AT_FDCWD, call_root(), O_RDONLY | O_DIRECTORY, 0, err);
	if (fd < 0)
		return fd;
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return error_sys(err, "cannot lock %s", call_root());
	return take_fd(&fd);
}

/* --- add ----------------------------------------------------------------------------------------------------- */

static int find_address(const struct addr_info *a, void *arg)
{
	struct ipaddr *found = arg;

	if (a->scope != RT_SCOPE_LINK)
		*found = a->addr;
	return 0;
}

/* A port's addresses answer nobody any more: the host would be cut off without a word. */
static int refuse_addresses(struct rtnl *host, const struct link_info *nic, const char *bridge, struct error *err)
{
	struct ipaddr found = {.family = 0};
	char text[IPADDR_TEXT_SIZE];
	int code = rtnl_addr_list(host, nic->index, find_address, &found, err);

	if (code < 0 || !found.family)
		return code;
	return error_set(err, CNI_INVALID_CONFIG, "it has the address %s, which would not work any more: remove it, or give it to "
			 "%s, and have nobody configure %s", ipaddr_text(&found, true, text), bridge, nic->name);
}

static int refuse_other_master(struct rtnl *host, const struct link_info *nic, struct error *err)
{
	struct link_info other;

	if (!nic->master)
		return 0;
	return error_set(err, CNI_INVALID_CONFIG, "it belongs to %s: release it there first",
			 rtnl_link_get_index(host, nic->master, &other, NULL) == 0 ? other.name : "another device");
}

static int enslave(struct rtnl *host, const struct link_info *nic, const struct link_info *bridge, struct error *err)
{
	char mark[sizeof(nic->alias)];
	struct link_req change = {
		.index = nic->index, .name = nic->name, .master = bridge->index, .flags_on = IFF_UP, .alias = mark};
	int n = snprintf(mark, sizeof(mark), "%s%s", nic->flags & IFF_UP ? MARK_UP : MARK_DOWN, nic->alias), code;

	if (n < 0 || (size_t)n >= sizeof(mark))
		return error_set(err, CNI_INVALID_CONFIG, "its alias is too long to be kept");
	code = rtnl_link_set(host, &change, err);
	/* The kernel takes the alias before it asks whether the device may be a port. */
	if (code < 0)
		rtnl_link_set(host, &(struct link_req){.index = nic->index, .name = nic->name, .alias = nic->alias}, NULL);
	return code;
}

int uplink_add(struct rtnl *host, const struct link_info *bridge, const char *name, struct error *err)
{
	auto_close int lock = lock_uplinks(err);
	struct link_info nic;
	int code = lock < 0 ? lock : rtnl_link_get(host, name, &nic, err);

	/* Whoever made it a port of this bridge: a second attachment finds it so, and an administrator may have done it. */
	if (code == 0 && nic.master == bridge->index)
		return 0;
	if (code == 0)
		code = refuse_other_master(host, &nic, err);
	if (code == 0)
		code = refuse_addresses(host, &nic, bridge->name, err);
	if (code == 0)
		code = enslave(host, &nic, bridge, err);
	return code < 0 ? error_wrap(err, "cannot make %s the uplink of %s", name, bridge->name) : 0;
}

/* --- check and release --------------------------------------------------------------------------------------- */

int uplink_check(struct rtnl *host, const struct link_info *bridge, const char *name, struct error *err)
{
	struct link_info nic;
	int code = rtnl_link_get(host, name, &nic, err);

	if (code < 0)
		return error_wrap(err, "the uplink of %s", bridge->name);
	if (nic.master != bridge->index)
		return error_set(err, CNI_PLUGIN, "%s, the uplink of %s, is no port of it", name, bridge->name);
	return nic.flags & IFF_UP ? 0 : error_set(err, CNI_PLUGIN, "%s, the uplink of %s, is down", name, bridge->name);
}

struct uplinks {
	struct buf nics;  /* struct link_info */
	struct buf inuse; /* int, masters of attachments' ports */
};

static int look(const struct link_info *l, void *arg)
{
	struct uplinks *u = arg;
	struct owner o;

	if (old_alias(l))
		buf_add(&u->nics, l, sizeof(*l));
	else if (l->master && call_owner_split(l->alias, &o))
		buf_add(&u->inuse, &l->master, sizeof(l->master));
	return 0;
}

static bool in_use(const struct uplinks *u, int bridge)
{
	const int *masters = (const void *)u->inuse.data;

	for (size_t i = 0; bridge && i < u->inuse.len / sizeof(*masters); i++)
		if (masters[i] == bridge)
			return true;
	return false;
}

static int release(struct rtnl *host, const struct link_info *nic, struct error *err)
{
	struct link_req change = {.index = nic->index, .name = nic->name, .alias = old_alias(nic)};
	int code;

	/* Somebody who has taken it from the bridge meanwhile may use it: then only the mark goes. */
	if (nic->master) {
		change.no_master = true;
		change.flags_off = str_starts(nic->alias, MARK_DOWN) ? IFF_UP : 0;
	}
	code = rtnl_link_set(host, &change, err);
	if (code == -ENODEV)
		return 0;
	return code < 0 ? error_wrap(err, "cannot release the uplink %s", nic->name) : 0;
}

int uplink_release_unused(struct rtnl *host, struct error *err)
{
	auto_close int lock = lock_uplinks(err);
	struct uplinks u = {.nics = {0}};
	const struct link_info *nics;
	int code = lock < 0 ? lock : rtnl_link_list(host, look, &u, err);

	nics = (const void *)u.nics.data;
	for (size_t i = 0; code == 0 && i < u.nics.len / sizeof(*nics); i++)
		if (!in_use(&u, nics[i].master))
			code = release(host, &nics[i], err);
	buf_free(&u.nics);
	buf_free(&u.inuse);
	return code;
}
