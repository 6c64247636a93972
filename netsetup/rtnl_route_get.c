/* Asking the kernel which way a packet would go. */
#include <errno.h>

#include "rtnl_msg.h"

#include "error.h"

static int take_index(const struct nlmsghdr *m, void *arg)
{
	const struct nlattr *a;

	if (m->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(m) < sizeof(struct rtmsg))
		return 0;
	mnl_attr_for_each(a, m, sizeof(struct rtmsg))
		if (mnl_attr_get_type(a) == RTA_OIF && mnl_attr_get_payload_len(a) >= sizeof(uint32_t))
			*(int *)arg = (int)mnl_attr_get_u32(a);
	return 0;
}

int rtnl_route_get(struct rtnl *r, const struct ipaddr *dst, int *ret_index, struct error *err)
{
	struct rtmsg header = {
		.rtm_family = (uint8_t)dst->family,
		.rtm_dst_len = (uint8_t)(ipaddr_size(dst) * 8),
	};
	struct nlmsghdr *m = rtnl_begin(r, RTM_GETROUTE, 0, &header, sizeof(header));
	char text[IPADDR_TEXT_SIZE];
	int index = 0, code;

	ipaddr_text(dst, false, text);
	rtnl_put_ip(r, m, RTA_DST, dst);
	code = rtnl_talk(r, m, take_index, &index, 0, err, "cannot find the way to %s", text);
	if (code < 0)
		return code;
	if (index == 0)
		return error_set(err, ENETUNREACH, "cannot find the way to %s: the route has no interface", text);
	*ret_index = index;
	return 0;
}
