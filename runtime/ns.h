/* Namespaces: the table of kinds, and the plan that a configuration asks for.
 *
 * ns_plan_make() is pure but for opening the paths to join, so a unit test can hammer it. One clone3() makes every
 * new namespace at once, with three exceptions: a cgroup namespace is unshared by the child once it sits in its
 * cgroup; joining by path, and time offsets, need a stage process that joins and then clones init with CLONE_PARENT. */
#ifndef NS_H
#define NS_H

#include <stdbool.h>
#include <stdint.h>

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
	bool unshare_time;	 /* unshared by the stage */
	int join[NS_KINDS];	 /* descriptors to join; -1: none */
	bool needs_stage;	 /* something is joined, or a time namespace made */
	bool new_user;		 /* id maps have to be written */
};

/* 0 or negative; *ret owns the descriptors, ns_plan_close() releases them (also of a half-made plan). */
int ns_plan_make(const struct spec *s, struct ns_plan *ret, struct error *err);
void ns_plan_close(struct ns_plan *p);

/* True when the container has a namespace of that kind which is not the host's (made, or joined by a path that is
 * not the caller's own). */
bool ns_is_private(const struct ns_plan *p, enum ns_kind kind);

#endif
