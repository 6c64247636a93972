/* wireguard: a WireGuard device that is born in one namespace and lives in another. Its UDP socket stays where the device
 * was born, so the container needs no way out of its own: what enters it must come through the tunnel.
 *
 *    birth      in the birthplace, under a name that follows from the attachment (a killed add is found by it)
 *    configure  keys and all peers, while it is down: no packet meets a half-configured device
 *    move       into the container, renamed; owner, MTU and "no automatic link-local address" go with it
 *    addresses, up, routes
 *
 * The kernel does the work if it can, wireguard-go otherwise (wg_uapi.h). */
#include "wireguard.h"
#include "iface.h"

#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "fs.h"
#include "netns.h"
#include "spawn.h"
#include "str.h"
#include "wg_genl.h"
#include "wg_uapi.h"

static const char *birth_name(const struct cni_call *call, const struct cni_conf *conf, char out[IFNAMSIZ])
{
	call_link_name(call, conf, "wg", out);
	return out;
}

/* --- the birthplace ------------------------------------------------------------------------------------------- */

struct birthplace {
	int fd;		   /* borrowed, or own_fd */
	int own_fd;
	struct rtnl *rtnl; /* borrowed, or own_rtnl */
	struct rtnl *own_rtnl;
	bool in_container;
};

static void birthplace_close(struct birthplace *b)
{
	rtnl_close(b->own_rtnl);
	close_fd(&b->own_fd);
}
#define auto_birthplace __attribute__((cleanup(birthplace_close)))

static int birthplace_open(struct cni_call *call, const struct wg_conf *c, struct birthplace *b, struct error *err)
{
	int r;

	*b = (struct birthplace){.fd = -1, .own_fd = -1};
	if (!c->birthplace || str_eq(c->birthplace, "host")) {
		b->fd = call->host_fd;
		r = call_host(call, &b->rtnl, err);
	} else if (str_eq(c->birthplace, "container")) {
		b->fd = call->netns_fd;
		r = call_container(call, &b->rtnl, err);
	} else {
		b->fd = b->own_fd = netns_open(c->birthplace, err);
		if (b->fd < 0)
			return error_wrap(err, "birthplace");
		r = rtnl_open_in(b->fd, &b->own_rtnl, err);
		b->rtnl = b->own_rtnl;
	}
	b->in_container = r == 0 && call->netns_fd >= 0 && netns_same(b->fd, call->netns_fd);
	return r;
}

/* --- making --------------------------------------------------------------------------------------------------- */

/* With its owner's mark from the first moment: gc has no record of an add that a runtime made and that was killed. */
static int born_in_kernel(const struct birthplace *b, const char *name, const char *mark, const struct wg_device *d,
			  struct error *err)
{
	const struct link_req link = {.kind = "wireguard", .name = name, .alias = mark};
	int r = rtnl_link_add(b->rtnl, &link, NULL, err);

	if (r == -EEXIST) { /* of an add that was killed */
		r = rtnl_link_del_name(b->rtnl, name, err);
		if (r == 0 || r == -ENODEV)
			r = rtnl_link_add(b->rtnl, &link, NULL, err);
	}
	return r < 0 ? r : wg_genl_set(b->fd, name, d, err);
}

static int born_in_userspace(const struct cni_call *call, const struct cni_conf *conf, const struct birthplace *b,
			     const char *name, const char *mark, const struct wg_device *d, struct error *err)
{
	const struct wg_owner owner = {.mark = mark,
				       .network = conf->name,
				       .container_id = call->container_id,
				       .ifname = call->ifname};
	int r = wg_uapi_start(name, &owner, b->fd, err);

	return r < 0 ? r : wg_uapi_set(name, d, err);
}

static int born(const struct cni_call *call, const struct cni_conf *conf, const struct wg_conf *c,
		const struct birthplace *b, const char *name, struct error *err)
{
	char mark[CALL_OWNER_SIZE];
	struct wg_device d;
	int r = wg_conf_device(conf->doc, c, &d, err);

	if (r < 0)
		return r;
	call_owner(call, conf, mark);
	if (c->userspace != WG_ALWAYS) {
		r = born_in_kernel(b, name, mark, &d, err);
		if (r != -EOPNOTSUPP)
			return r;
		if (c->userspace == WG_NEVER)
			return error_set(err, EOPNOTSUPP,
					 "this kernel has no WireGuard, and \"userspace\" is \"never\"");
	}
	return born_in_userspace(call, conf, b, name, mark, &d, err);
}

static int move_in(struct cni_call *call, struct cni_conf *conf, const struct wg_conf *c, const struct birthplace *b,
		   const char *name, struct error *err)
{
	char mark[CALL_OWNER_SIZE];
	/* The owner goes with the move (a daemon's device has none yet): an add that is killed right after it must be found by
	 * its del. */
	struct link_req move = {.netns_fd = call->netns_fd,
				.set_netns = !b->in_container,
				.new_name = call->ifname,
				.alias = call_owner(call, conf, mark)};
	/* babeld speaks multicast; a tun's random fe80 address would change with every restart. */
	const struct link_req dress = {.name = call->ifname,
				       .mtu = c->mtu,
				       .no_addrgen = true,
				       .flags_on = IFF_MULTICAST};
	struct rtnl *container;
	struct link_info link;
	int r = rtnl_link_get(b->rtnl, name, &link, err);

	if (r < 0)
		return r;
	move.index = link.index;
	r = rtnl_link_set(b->rtnl, &move, err);
	if (r == -EEXIST)
		return error_set(err, EEXIST, "the container has an interface %s already", call->ifname);
	if (r == 0)
		r = call_container(call, &container, err);
	return r < 0 ? r : rtnl_link_set(container, &dress, err);
}

int wireguard_make(struct cni_call *call, struct cni_conf *conf, const struct cni_result *result, struct error *err)
{
	auto_birthplace struct birthplace b = {.fd = -1, .own_fd = -1};
	char name[IFNAMSIZ];
	struct wg_conf c;
	int r = wg_conf_decode(conf, &c, err);

	if (r == 0)
		r = birthplace_open(call, &c, &b, err);
	if (r == 0)
		r = born(call, conf, &c, &b, birth_name(call, conf, name), err);
	if (r == 0)
		r = move_in(call, conf, &c, &b, name, err);
	return r < 0 ? r : iface_configure(call, call->ifname, result, err);
}

/* --- unmaking ------------------------------------------------------------------------------------------------- */

/* The device that this attachment made, in the container; another's of the same name stays. */
static int remove_from_container(struct cni_call *call, const struct cni_conf *conf, struct error *err)
{
	char mark[CALL_OWNER_SIZE];
	struct link_info link;
	struct rtnl *container;
	int r;

	if (call->netns_fd < 0 || call_container(call, &container, NULL) < 0)
		return 0;
	if (rtnl_link_get(container, call->ifname, &link, NULL) < 0 ||
	    !str_eq(link.alias, call_owner(call, conf, mark)))
		return 0;
	r = rtnl_link_del_name(container, call->ifname, err);
	return r == -ENODEV ? 0 : r;
}

/* Half-made ones are still in the birthplace; or just moved in, and not yet renamed or marked. */
static int remove_unfinished(struct cni_call *call, const struct cni_conf *conf, const char *name, struct error *err)
{
	auto_birthplace struct birthplace b = {.fd = -1, .own_fd = -1};
	struct wg_conf c;
	int r;

	if (wg_conf_decode(conf, &c, NULL) < 0 || birthplace_open(call, &c, &b, NULL) < 0)
		return 0;
	r = rtnl_link_del_name(b.rtnl, name, err);
	return r == -ENODEV ? 0 : r;
}

int wireguard_unmake(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	char name[IFNAMSIZ];
	int r = wg_uapi_stop(birth_name(call, conf, name), err), r2 = remove_from_container(call, conf, r < 0 ? NULL : err);
	int r3 = remove_unfinished(call, conf, name, r < 0 || r2 < 0 ? NULL : err);

	return r < 0 ? r : r2 < 0 ? r2 : r3;
}

/* --- the plugin ----------------------------------------------------------------------------------------------- */

/* IPAM's answer and the addresses of the key `addresses`, all of this one interface. */
static int plan_result(struct cni_call *call, struct cni_conf *conf, struct cni_result *mine, struct error *err)
{
	const struct cni_interface iface = {.name = call->ifname, .sandbox = call->netns};
	struct wg_conf c;
	size_t i;
	int r = wg_conf_decode(conf, &c, err);

	if (r == 0)
		r = ipam_add(call, conf, mine, err);
	if (r < 0)
		return r;
	for (i = 0; c.addresses && c.addresses[i]; i++) {
		const struct cni_ip ip = {.address = c.addresses[i]};
		if (result_add_ip(conf->doc, mine, &ip) < 0)
			return error_oom(err);
	}
	for (i = 0; i < mine->n_ips; i++) {
		mine->ips[i].interface = 0;
		mine->ips[i].has_interface = true;
	}
	return result_add_interface(conf->doc, mine, &iface) < 0 ? error_oom(err) : 0;
}

static int wireguard_del(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	int r = wireguard_unmake(call, conf, err), r2 = ipam_del(call, conf, r < 0 ? NULL : err);

	return r < 0 ? r : r2;
}

/* Asked for first: a second add of the same attachment must fail without harm to what the first one made. */
static int check_free(struct cni_call *call, struct error *err)
{
	struct rtnl *container;
	struct link_info link;
	int r = call_container(call, &container, err);

	if (r < 0)
		return r;
	r = rtnl_link_get(container, call->ifname, &link, err);
	if (r == 0)
		return error_set(err, EEXIST, "the container has an interface %s already", call->ifname);
	return r == -ENODEV ? 0 : r;
}

static int wireguard_add(struct cni_call *call, struct cni_conf *conf, struct cni_result *result, struct error *err)
{
	struct cni_result mine = {0};
	int r = check_free(call, err);

	if (r < 0)
		return r;
	r = plan_result(call, conf, &mine, err);
	if (r == 0)
		r = wireguard_make(call, conf, &mine, err);
	if (r == 0)
		r = result_append(conf->doc, result, &mine);
	if (r < 0)
		wireguard_del(call, conf, NULL);
	return r;
}

int wireguard_daemon(struct cni_call *call, struct cni_conf *conf)
{
	char name[IFNAMSIZ];
	int fd = wg_uapi_pidfd(birth_name(call, conf, name), NULL);

	return fd < 0 ? -1 : fd;
}

/* Who runs the device: *ret_daemon tells. */
static int read_device(struct cni_call *call, struct cni_conf *conf, bool *ret_daemon, struct wg_device *ret,
		       struct error *err)
{
	auto_close int daemon = wireguard_daemon(call, conf);
	char name[IFNAMSIZ];

	*ret_daemon = daemon >= 0;
	if (daemon >= 0)
		return wg_uapi_get(birth_name(call, conf, name), conf->doc, ret, err);
	return wg_genl_get(call->netns_fd, call->ifname, conf->doc, ret, err);
}

int wireguard_sync(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	struct wg_device have, want;
	char name[IFNAMSIZ];
	struct wg_conf c;
	bool daemon;
	int r = wg_conf_decode(conf, &c, err);

	c.create_key = false;
	if (r == 0)
		r = wg_conf_device(conf->doc, &c, &want, err);
	if (r == 0)
		r = read_device(call, conf, &daemon, &have, err);
	if (r == 0)
		r = wg_conf_diff(conf->doc, &have, &want, err);
	if (r < 0)
		return r;
	if (!want.listen_port)
		want.listen_port = have.listen_port; /* the kernel's choice stays */
	if (daemon)
		return wg_uapi_set(birth_name(call, conf, name), &want, err);
	return wg_genl_set(call->netns_fd, call->ifname, &want, err);
}

static int check_device(const struct cni_call *call, const struct wg_device *have, struct wg_device *want,
			struct json_doc *doc, struct error *err)
{
	size_t i, n = want->n_peers;
	char key[WG_KEY_TEXT_SIZE];
	int r;

	if (memcmp(have->private_key, want->private_key, WG_KEY_SIZE) != 0)
		return error_set(err, CNI_PLUGIN, "%s has another private key than its configuration", call->ifname);
	if (want->listen_port && have->listen_port != want->listen_port)
		return error_set(err, CNI_PLUGIN, "%s listens on port %u, not %u", call->ifname, have->listen_port,
				 want->listen_port);
	r = wg_conf_diff(doc, have, want, err);
	if (r < 0)
		return r;
	for (i = n; i < want->n_peers; i++)
		return error_set(err, CNI_PLUGIN, "%s has a peer %s that is not configured", call->ifname,
				 wg_key_text(want->peers[i].public_key, key));
	if (have->n_peers != n)
		return error_set(err, CNI_PLUGIN, "%s has %zu of its %zu peers", call->ifname, have->n_peers, n);
	return 0;
}

static int wireguard_check(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	struct wg_device have, want;
	struct wg_conf c;
	bool daemon;
	int r = wg_conf_decode(conf, &c, err);

	c.create_key = false;
	if (r == 0)
		r = wg_conf_device(conf->doc, &c, &want, err);
	if (r == 0)
		r = read_device(call, conf, &daemon, &have, err);
	if (r < 0)
		return r;
	r = check_device(call, &have, &want, conf->doc, err);
	if (r == 0)
		r = iface_check(call, conf, daemon ? "tun" : "wireguard", err);
	return r < 0 ? r : ipam_check(call, conf, err);
}

static int wireguard_status(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	auto_free char *program = spawn_find("wireguard-go", NULL);
	uint8_t key[WG_KEY_SIZE];
	struct wg_conf c;
	int r = wg_conf_decode(conf, &c, err);

	if (r < 0)
		return r;
	if (!c.create_key) {
		r = wg_key_read(c.private_key_file, false, key, err);
		explicit_bzero(key, sizeof(key));
		if (r < 0)
			return r;
	}
	/* The kernel's own cannot be asked for without loading its module, which is not a question any more. */
	if (c.userspace == WG_ALWAYS && !program)
		return error_set(err, CNI_NOT_AVAILABLE, "\"userspace\" is \"always\", but wireguard-go is not in PATH");
	return ipam_status(call, conf, err);
}

static int stop_if_stale(const char *name, const struct wg_owner *o, void *arg, struct error *err)
{
	const struct cni_conf *conf = arg;

	if ((conf->name && !str_eq(conf->name, o->network)) ||
	    conf_attachment_valid(conf, o->container_id, o->ifname))
		return 0;
	return wg_uapi_stop(name, err);
}

/* The kernel's devices that never left their birthplace. What was moved in goes with the container, if not by its del. */
static int gc_birthplace(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	auto_birthplace struct birthplace b = {.fd = -1, .own_fd = -1};
	struct wg_conf c;

	/* `netsetup gc` has no configuration: then it is the host, and records lead to other places. */
	if (wg_conf_decode(conf, &c, NULL) < 0)
		c = (struct wg_conf){.birthplace = NULL};
	if (str_eq(c.birthplace, "container") || birthplace_open(call, &c, &b, NULL) < 0)
		return 0;
	return iface_gc(b.rtnl, conf, "wireguard", err);
}

static int wireguard_gc(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	int r = wg_uapi_each(stop_if_stale, conf, err), r2 = gc_birthplace(call, conf, r < 0 ? NULL : err);
	int r3 = ipam_gc(call, conf, r < 0 || r2 < 0 ? NULL : err);

	return r < 0 ? r : r2 < 0 ? r2 : r3;
}

const struct plugin plugin_wireguard = {
	.type = "wireguard",
	.add = wireguard_add,
	.del = wireguard_del,
	.check = wireguard_check,
	.status = wireguard_status,
	.gc = wireguard_gc,
};
