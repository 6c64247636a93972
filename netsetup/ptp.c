/* ptp: a veth pair, the host routing to the container's address. No subnet is on any link: the container sends everything to the
 * gateway, which is an address of the host's end. */
#include "iface.h"
#include "nft.h"
#include "veth.h"

#include <linux/rtnetlink.h>

#include "str.h"

struct ptp_conf {
	const char *masq_backend, *mac;
	bool ip_masq;
	uint32_t mtu;
};
static const struct json_field ptp_fields[] = {
	F_BOOL(struct ptp_conf, "ipMasq", ip_masq, JSON_FOLD),
	F_STRING(struct ptp_conf, "ipMasqBackend", masq_backend, JSON_FOLD), /* it is always nftables */
	F_U32(struct ptp_conf, "mtu", mtu, JSON_FOLD),
	F_STRING(struct ptp_conf, "mac", mac, JSON_FOLD),
	F_END,
};
static JSON_TYPE(ptp_type, struct ptp_conf, ptp_fields);

static int load(const struct cni_conf *conf, struct ptp_conf *p, struct error *err)
{
	return conf_decode_error(json_decode(conf->doc, conf->raw, &ptp_type, p, "ptp", err), err);
}

static int check_ips(const struct cni_conf *conf, const struct cni_result *r, struct error *err)
{
	if (r->n_ips == 0)
		return error_set(err, CNI_INVALID_CONFIG, "ptp needs addresses: %s",
				 conf->ipam ? "IPAM gave none" : "an ipam section is missing");
	for (size_t i = 0; i < r->n_ips; i++)
		if (str_empty(r->ips[i].gateway))
			return error_set(err, CNI_INVALID_CONFIG, "ptp needs a gateway for %s, the address of the host's end",
					 r->ips[i].address);
	return 0;
}

/* The gateway's address on the host's end, and the way to the container's. */
static int queue_host(struct rtnl *host, int index, const struct cni_result *r, struct error *err)
{
	for (size_t i = 0; i < r->n_ips; i++) {
		struct addr_req a = {.index = index, .nodad = true};
		struct route_req q = {.index = index, .scope = RT_SCOPE_LINK, .set_scope = true, .exists_ok = true};
		int code;

		if (ipaddr_parse(r->ips[i].gateway, &a.addr) < 0 || ipaddr_parse(r->ips[i].address, &q.dst) < 0)
			return error_set(err, CNI_INVALID_CONFIG, "IPAM's '%s' or '%s' is no IP address", r->ips[i].gateway,
					 r->ips[i].address);
		q.dst.prefix = (uint8_t)(ipaddr_size(&q.dst) * 8);
		a.addr.prefix = q.dst.prefix;
		code = rtnl_addr_add(host, &a, err);
		if (code == 0)
			code = rtnl_route_add(host, &q, err);
		if (code < 0)
			return code;
	}
	return 0;
}

static int set_up_host(struct cni_call *call, const struct veth *v, const struct cni_result *r, struct error *err)
{
	struct rtnl *host;
	int code = call_host(call, &host, err), sent;

	if (code == 0)
		code = iface_refuse_ra(call, v->host.name, err);
	if (code == 0)
		code = iface_skip_dad(call, v->host.name, r, err);
	if (code < 0)
		return code;
	rtnl_batch(host);
	code = queue_host(host, v->host.index, r, err);
	sent = rtnl_commit(host, code < 0 ? NULL : err);
	code = code < 0 ? code : sent;
	return code < 0 ? error_wrap(err, "%s", v->host.name) : iface_forward(call, r, err);
}

static int finish(struct cni_call *call, struct cni_conf *conf, const struct ptp_conf *p, const struct veth *v,
		  struct cni_result *r, struct error *err)
{
	struct iface_how how = {.index = v->container_index, .gateway_only = true};
	int code = ipam_add(call, conf, r, err);

	if (code == 0)
		code = check_ips(conf, r, err);
	/* The host's end first: the kernel refuses a route to a device without carrier no more than to one with it, but
	 * the container must not come up before somebody answers for its gateway. */
	if (code == 0)
		code = set_up_host(call, v, r, err);
	if (code == 0)
		code = iface_setup(call, call->ifname, &how, r, err);
	if (code == 0 && p->ip_masq)
		code = nft_masq_add(call, conf, r, err);
	return code;
}

static int ptp_del(struct cni_call *call, struct cni_conf *conf, struct error *err);

static int ptp_add(struct cni_call *call, struct cni_conf *conf, struct cni_result *result, struct error *err)
{
	struct cni_result ipam = {0}, mine = {0};
	struct veth_want want = {0};
	struct ptp_conf p;
	struct veth v;
	uint8_t mac[6];
	int code = load(conf, &p, err);

	if (code == 0)
		code = iface_wanted_mac(call, conf, p.mac, mac, err);
	if (code > 0)
		want.mac = mac;
	want.mtu = p.mtu;
	if (code >= 0)
		code = veth_add(call, conf, &want, &v, err);
	if (code < 0)
		return code;
	code = finish(call, conf, &p, &v, &ipam, err);
	if (code == 0)
		code = veth_result(call, conf, &v, &mine, err);
	mine.ips = ipam.ips;
	mine.n_ips = ipam.n_ips;
	mine.routes = ipam.routes;
	mine.n_routes = ipam.n_routes;
	mine.dns = conf->has_dns ? conf->dns : ipam.dns;
	iface_number_ips(&mine, 1);
	if (code == 0 && result_append(conf->doc, result, &mine) < 0)
		code = error_oom(err);
	if (code < 0)
		ptp_del(call, conf, NULL);
	return code;
}

/* As bridge: every step, the first failure, the lease last. */
static int ptp_del(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	int code = veth_del(call, conf, err), next;

	next = call->host_fd < 0 ? 0 : nft_del(call, conf, NFT_MASQ, code < 0 ? NULL : err);
	code = code < 0 ? code : next;
	next = ipam_del(call, conf, code < 0 ? NULL : err);
	return code < 0 ? code : next;
}

static int ptp_check(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	struct ptp_conf p;
	int code = load(conf, &p, err);

	if (code == 0)
		code = veth_check(call, conf, 0, err);
	if (code == 0)
		code = iface_check(call, conf, "veth", err);
	if (code == 0 && p.ip_masq)
		code = nft_check(call, conf, NFT_MASQ, err);
	return code < 0 ? code : ipam_check(call, conf, err);
}

static int ptp_gc(struct cni_call *call, struct cni_conf *conf, struct error *err)
{
	int code = veth_gc(call, conf, err), next;

	next = nft_gc(call, conf, NFT_MASQ, code < 0 ? NULL : err);
	code = code < 0 ? code : next;
	next = ipam_gc(call, conf, code < 0 ? NULL : err);
	return code < 0 ? code : next;
}

const struct plugin plugin_ptp = {
	.type = "ptp",
	.add = ptp_add,
	.del = ptp_del,
	.check = ptp_check,
	.gc = ptp_gc,
	.status = ipam_status,
};
