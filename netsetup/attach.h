/* Attachments as the verbs make them: a whole list, with its record. */
#ifndef ATTACH_H
#define ATTACH_H

#include "list.h"
#include "record.h"

/* "name" -> "/run/netns/name"; a path stays. In doc. */
const char *attach_netns_path(struct json_doc *doc, const char *netns);
/* Makes one attachment: call has id, netns_fd, ifname. What fails leaves nothing. *ret_result lives in l->doc. */
int attach_make(const struct list *l, struct cni_call *call, const struct json_value *capabilities,
		struct json_value **ret_result, struct error *err);
/* Undoes what the record at path describes, whoever made it, and removes the record. No record is success. */
int attach_undo(const char *path, struct error *err);
int attach_check(const char *path, struct error *err);

#endif
