/* Hooks: run in order with the state on stdin; the first that fails stops, except poststop's, which are warned about.
 * The error names kind, index, path, how it ended, and the end of what it wrote to stderr. */
#ifndef HOOKS_H
#define HOOKS_H

#include "spec.h"

struct error;
struct state;

/* status and pid go into the state that the hooks read. Runs in the calling namespaces. */
int hooks_run(const struct spec *s, enum hook_kind kind, const struct state *state, const char *status, int pid,
	      struct error *err);
const char *hooks_name(enum hook_kind kind);

#endif
