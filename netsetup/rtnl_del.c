/* Deleting a device without waiting for it.
 *
 * RTM_DELLINK takes the device out of its namespace at once and says so to RTNLGRP_LINK, but then the system call stays
 * in the kernel until every CPU has let go of the device (rcu_barrier(), some 16 ms). Nobody needs that time: a child makes
 * the call and waits; this process goes on with the announcement. The two share the socket, so the ACK of a call that
 * failed comes here as well. */
#include "rtnl_msg.h"

#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "error.h"
#include "str.h"

enum { GONE = 1, CHILD_ENDED = 2 };

/* Only the socket stays open in it: a caller who reads our stdout to its end, or takes a lock after us, must not wait. */
static void child(int fd, const struct nlmsghdr *m)
{
	dup2(fd, STDIN_FILENO);
	close_range(STDIN_FILENO + 1, ~0U, 0);
	_exit(send(STDIN_FILENO, m, m->nlmsg_len, 0) < 0 ? 1 : 0);
}

/* A port that leaves its bridge is announced by the same message, of the bridge family: that is not yet its end. */
static bool is_end(const struct nlmsghdr *m, const char *name)
{
	const struct ifinfomsg *header = mnl_nlmsg_get_payload(m);
	struct link_info l;

	return m->nlmsg_type == RTM_DELLINK && rtnl_link_parse(m, &l) == 0 && header->ifi_family == AF_UNSPEC &&
	       str_eq(l.name, name);
}

/* GONE when the answer says so, 0 to go on reading, or a negative code. */
static int judge(const struct nlmsghdr *m, uint32_t seq, const char *name, struct error *err)
{
	if (m->nlmsg_type == NLMSG_ERROR && m->nlmsg_seq == seq) {
		const struct nlmsgerr *e = mnl_nlmsg_get_payload(m);

		return e->error == 0 ? GONE
				     : error_set(err, -e->error, "cannot delete %s: %s", name, strerror(-e->error));
	}
	return is_end(m, name) ? GONE : 0;
}

static int read_events(int fd, uint32_t seq, const char *name, struct error *err)
{
	char buf[16384] __attribute__((aligned(8)));

	for (;;) {
		ssize_t len = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		const struct nlmsghdr *m = (const void *)buf;
		int rest = (int)len, code;

		if (len < 0 && errno == EAGAIN)
			return 0;
		/* Too many events at once: some are lost, perhaps ours. The child's end tells, then. */
		if (len < 0 && (errno == ENOBUFS || errno == EINTR))
			continue;
		if (len < 0)
			return error_sys(err, "cannot read from rtnetlink");
		for (; mnl_nlmsg_ok(m, rest); m = mnl_nlmsg_next(m, &rest)) {
			code = judge(m, seq, name, err);
			if (code != 0)
				return code;
		}
	}
}

static int wait_gone(int fd, int pidfd, uint32_t seq, const char *name, struct error *err)
{
	struct pollfd p[] = {{.fd = fd, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};

	for (;;) {
		int code;

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return error_sys(err, "cannot wait for the end of %s", name);
		code = read_events(fd, seq, name, err);
		if (code != 0)
			return code;
		if (p[1].revents)
			return CHILD_ENDED;
	}
}

static void member(int fd, int what)
{
	static const int group = RTNLGRP_LINK;

	setsockopt(fd, SOL_NETLINK, what, &group, sizeof(group));
}

/* Without process or pidfd: the plain way, which waits. */
static int delete_waiting(struct rtnl *r, struct nlmsghdr *m, const char *name, struct error *err)
{
	return rtnl_talk(r, m, NULL, NULL, 0, err, "cannot delete %s", name);
}

int rtnl_link_del_name(struct rtnl *r, const char *name, struct error *err)
{
	struct ifinfomsg header = {.ifi_family = AF_UNSPEC};
	struct nlmsghdr *m = rtnl_begin(r, RTM_DELLINK, 0, &header, sizeof(header));
	auto_close int pidfd = -1;
	struct link_info left;
	pid_t pid;
	int code;

	rtnl_put_text(r, m, IFLA_IFNAME, name);
	member(rtnl_fd(r), NETLINK_ADD_MEMBERSHIP);
	pid = fork();
	if (pid == 0)
		child(rtnl_fd(r), m);
	if (pid > 0)
		pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		member(rtnl_fd(r), NETLINK_DROP_MEMBERSHIP);
		if (pid > 0)
			waitpid(pid, NULL, 0);
		else
			return delete_waiting(r, m, name, err);
		code = CHILD_ENDED;
	} else {
		code = wait_gone(rtnl_fd(r), pidfd, m->nlmsg_seq, name, err);
		member(rtnl_fd(r), NETLINK_DROP_MEMBERSHIP);
	}
	if (code == CHILD_ENDED && rtnl_link_get(r, name, &left, NULL) == 0)
		return error_set(err, EIO, "cannot delete %s: it is still there", name);
	return code < 0 ? code : 0;
}
