/* What the files of `exec` share: exec.c runs, exec_process.c decides on what. */
#ifndef EXEC_PARTS_H
#define EXEC_PARTS_H

#include "exec.h"
#include "spec.h"

struct json_doc;

struct exec_process {
	struct spec_process process; /* borrows from doc, the container's configuration and the options */
	struct json_doc *doc;
};

/* Also a half-made one has to be freed. */
int exec_process_make(struct exec_process *e, const struct container *c, const struct exec_options *o, char **argv,
		      struct error *err);
void exec_process_free(struct exec_process *e);

/* The container's cgroups with the --cgroup options applied; NULL: it has none. Owned by the caller. */
int exec_cgroup_paths(const struct container *c, char **options, char ***ret, struct error *err);

#endif
