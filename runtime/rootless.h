/* Callers without rights on the host: ordinary users, and root of a user namespace. */
#ifndef ROOTLESS_H
#define ROOTLESS_H

#include <stdbool.h>

struct cgroup;
struct error;
struct spec;

/* Whether --rootless is one of true, false and auto. 0 or -EINVAL. */
int rootless_check_option(struct error *err);
/* Whether state belongs below $XDG_RUNTIME_DIR. */
bool rootless_state(void);
/* Whether cgroups that cannot be made are done without, unless limits ask for them. */
bool rootless_cgroups(void);
/* Takes what cannot be made from the plan. -EACCES when limits need it. */
int rootless_plan(struct cgroup *c, const struct spec *s, struct error *err);

#endif
