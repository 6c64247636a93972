/* Namespace ids: how links name the namespace of their other end (IFLA_LINK_NETNSID). Each namespace has its own. */
#include <linux/net_namespace.h>

#include "error.h"
#include "rtnl_msg.h"
#include "show.h"

static int take_nsid(const struct nlmsghdr *m, void *arg)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, m, sizeof(struct rtgenmsg))
		if (mnl_attr_get_type(a) == NETNSA_NSID)
			*(int *)arg = (int)mnl_attr_get_u32(a);
	return 0;
}

int rtnl_nsid(struct rtnl *r, int netns_fd, int *ret, struct error *err)
{
	const struct rtgenmsg header = {0};
	int id = NETNSA_NSID_NOT_ASSIGNED, code;
	struct nlmsghdr *m = rtnl_begin(r, RTM_GETNSID, 0, &header, sizeof(header));

	rtnl_put_u32(r, m, NETNSA_FD, (uint32_t)netns_fd);
	code = rtnl_talk(r, m, take_nsid, &id, 0, err, "cannot ask for the id of a network namespace");
	if (code == 0)
		*ret = id;
	return code;
}
