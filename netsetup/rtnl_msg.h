/* How the rtnl_*.c files make messages and talk; nobody else includes this. */
#ifndef RTNL_MSG_H
#define RTNL_MSG_H

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "rtnl.h"

/* Starts a message in the socket's buffer: header of `size` bytes copied, REQUEST and ACK always set. One message at a
 * time: it must be given to rtnl_talk() or rtnl_dump() before the next is begun. */
struct nlmsghdr *rtnl_begin(struct rtnl *r, uint16_t type, uint16_t flags, const void *header, size_t size);

/* Attributes; one that finds no room makes rtnl_talk() fail. */
void rtnl_put(struct rtnl *r, struct nlmsghdr *m, uint16_t type, const void *data, size_t len);
void rtnl_put_u8(struct rtnl *r, struct nlmsghdr *m, uint16_t type, uint8_t v);
void rtnl_put_u16(struct rtnl *r, struct nlmsghdr *m, uint16_t type, uint16_t v);
void rtnl_put_u32(struct rtnl *r, struct nlmsghdr *m, uint16_t type, uint32_t v);
void rtnl_put_text(struct rtnl *r, struct nlmsghdr *m, uint16_t type, const char *s);
void rtnl_put_ip(struct rtnl *r, struct nlmsghdr *m, uint16_t type, const struct ipaddr *a);
/* Reserves `size` zeroed bytes of plain data (a struct between attributes); NULL without room. */
void *rtnl_put_space(struct rtnl *r, struct nlmsghdr *m, size_t size);
struct nlattr *rtnl_nest(struct rtnl *r, struct nlmsghdr *m, uint16_t type);
void rtnl_nest_end(struct nlmsghdr *m, struct nlattr *nest);

/* Called for each message of an answer; a negative code ends it. */
typedef int rtnl_reply(const struct nlmsghdr *m, void *arg);

/* Sends the message and reads the answer up to its ACK; while batching, queues it (the reply comes with rtnl_commit()).
 * `tolerated` is an errno that counts as success (0: none). The text, what could not be done, is completed by the kernel's reason. */
int rtnl_talk(struct rtnl *r, struct nlmsghdr *m, rtnl_reply *reply, void *arg, int tolerated, struct error *err,
	      const char *fmt, ...) __attribute__((format(printf, 7, 8)));
/* Sends a dump request; the replies are collected first, so that a dump that changed under the kernel's hands is
 * simply asked for again, and then handed over. */
int rtnl_dump(struct rtnl *r, struct nlmsghdr *m, rtnl_reply *reply, void *arg, struct error *err, const char *what);

int rtnl_fd(const struct rtnl *r);
uint32_t rtnl_next_seq(struct rtnl *r);

/* rtnl_kinds.c: IFLA_LINKINFO of a device to be made, and of a port to be changed. */
struct link_kind {
	const char *name;
	/* Fills IFLA_INFO_DATA; NULL: nothing to say. */
	void (*put)(struct rtnl *r, struct nlmsghdr *m, const struct link_req *l);
};
const struct link_kind *rtnl_kind_find(const char *name);
void rtnl_put_linkinfo(struct rtnl *r, struct nlmsghdr *m, const struct link_kind *k, const struct link_req *l);
void rtnl_put_slave(struct rtnl *r, struct nlmsghdr *m, const struct link_req *l);

/* rtnl_link.c */
int rtnl_link_parse(const struct nlmsghdr *m, struct link_info *ret);

#endif
