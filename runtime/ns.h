/* Namespaces: the table of kinds, and the plan that a configuration asks for.
 *
 * ns_plan_make() is pure but for opening the paths to join, so a unit test can hammer it. One clone3() makes every
 * new namespace at once, with two exceptions: a cgroup namespace is unshared by the child once it sits in its cgroup;
 * and what init cannot join for itself needs a stage process, which joins and then clones init with CLONE_PARENT: a pid
 * namespace (it only takes children in), a user namespace (it has to own the new ones), and anything at all when a new
 * user namespace is made (whose root may not join what the host owns). */
#ifndef NS_H
#define NS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct error;
struct spec;

/* The order in which namespaces are joined: the user namespace first, since it owns the rights over the others; the
 * mount namespace last, since paths change with it. */
enum ns_kind { NS_USER, NS_CGROUP, NS_IPC, NS_UTS, NS_NET, NS_PID, NS_TIME, NS_MOUNT, NS_KINDS };

struct ns_info {
	const char *word; /* config.json's name: "network" */
	const char *proc; /* below /proc/PID/ns: "net" */
	int flag;	  /* CLONE_NEWNET */
};
extern const struct ns_info ns_info[NS_KINDS];

struct ns_plan {
	uint64_t clone_flags;	 /* made by clone3() */
	bool unshare_cgroup;	 /* unshared by init, late */
	int join[NS_KINDS];	 /* descriptors to join; -1: none */
	bool needs_stage;	 /* otherwise init joins what there is to join */
	bool new_user;		 /* id maps have to be written */
};

/* 0 or negative; *ret owns the descriptors, ns_plan_close() releases them (also of a half-made plan). */
int ns_plan_make(const struct spec *s, struct ns_plan *ret, struct error *err);
void ns_plan_close(struct ns_plan *p);

/* True when the container has a namespace of that kind which is not the host's (made, or joined by a path that is
 * not the caller's own). */
bool ns_is_private(const struct ns_plan *p, enum ns_kind kind);

/* Whether the caller has the rights: without any, a user namespace has to be among what is made or joined. 0 or -EPERM. */
int ns_check_rights(const struct ns_plan *p, struct error *err);

/* Joins everything of the plan. */
int ns_join(const struct ns_plan *p, struct error *err);
/* True when the caller is in a user namespace that is not the initial one: root there lacks rights over the machine. */
bool ns_in_userns(void);
/* CLONE_NEW* of all namespaces that the configuration lists, made or joined. */
uint64_t ns_flags(const struct spec *s);

#endif
