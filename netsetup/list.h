/* A network: the list of plugins of a .conflist (or the one of a .conf), run in order, each given the result of the one before.
 * Plugins of ours run in this process, others are executed from CNI_PATH. Specification sections "Network
 * configuration format" and "Execution of network configurations". */
#ifndef LIST_H
#define LIST_H

#include "netsetup.h"

struct list {
	const char *name, *version;
	struct json_value *plugins; /* array of objects */
	const char *host_netns;	    /* of the whole list; a plugin's own key goes before it */
	bool disable_check;
	struct json_value *raw;
	struct json_doc *doc;
};

#define LIST_DEFAULT_PATH "/opt/cni/bin:/usr/lib/cni:/usr/libexec/cni"

/* Understands both forms. CNI codes 6 and 7 for what is wrong. */
int list_load(struct json_doc *doc, struct json_value *raw, struct list *ret, struct error *err);
/* The same from a file, whose document the caller frees. */
int list_load_file(const char *path, struct json_doc **ret_doc, struct list *ret, struct error *err);

/* Capability arguments are an object {capability: value}, or NULL; each plugin gets those it declares.
 *
 * Makes the attachment. A failure undoes what plugins before it have done. *ret is the last result, in the list's version. */
int list_add(const struct list *l, struct cni_call *call, const struct json_value *capabilities, struct json_value **ret,
	     struct error *err);
/* Undoes it, in reverse order, every plugin whatever becomes of the others; the first failure is the error. */
int list_del(const struct list *l, struct cni_call *call, const struct json_value *capabilities,
	     const struct json_value *result, struct error *err);
/* A version of the specification that has no CHECK, or no STATUS, has nothing to check: success. */
int list_check(const struct list *l, struct cni_call *call, const struct json_value *capabilities,
	       const struct json_value *result, struct error *err);
int list_status(const struct list *l, struct cni_call *call, struct error *err);

/* exec.c: a plugin of somebody else's. request is its stdin; *ret the result it printed (ADD), in doc. */
int exec_plugin(const char *type, const struct cni_call *call, const struct json_value *request, struct json_doc *doc,
		struct json_value **ret, struct error *err);

#endif
