/* Records of attachments: ROOT/attachments/<containerID>/<name>.json, on tmpfs, so that a reboot forgets them with what they
 * describe. A record is written before anything is made and holds what del needs; it gets the result when all is made.
 * One without a result, whose file nobody holds a lock on, is of a process that died on the way. There is never a second file:
 * the record gets its name when it is complete, and the result is one more write at its end. A newline divides the two, so that
 * a record whose writer was killed within that write can still be read up to there.
 *
 * Locks: ROOT/.lock is shared by whoever makes an attachment and exclusive for gc, so that gc never takes a lease whose
 * record it has not seen. The record's own lock is held from before it can be seen until the result is there. */
#ifndef RECORD_H
#define RECORD_H

#include "netsetup.h"

struct record {
	const char *container_id, *ifname, *network;
	const char *netns, *netns_id; /* path, and rtnl_netns_cookie(): a path may be another namespace's by now */
	const char *type;	      /* one plugin's, called by a runtime; NULL: a whole list's, made by `netsetup add` */
	const char *path, *args;      /* CNI_PATH, CNI_ARGS */
	const char *created;
	const struct json_value *capabilities, *config, *result;
};

/* One that is being made. */
struct record_file {
	bool owned;
	int lock, root_lock;
	char *path;
	size_t end; /* where the result goes */
};
#define RECORD_FILE_INIT {.lock = -1, .root_lock = -1}

/* Fills network, netns_id, created and what the call says. The strings live in doc. */
int record_fill(struct json_doc *doc, struct cni_call *call, const char *network, struct record *r, struct error *err);
/* Writes the record. -EEXIST when there is one of that name that is complete or being made. One that is left of a
 * process that died is -ESTALE: it has to be undone first. */
int record_begin(const struct record *r, struct record_file *f, struct error *err);
/* Adds r's result, and lets the locks go. */
int record_finish(const struct record *r, struct record_file *f, struct error *err);
/* Removes it (if it is ours) and lets the locks go. Also after record_finish(): then it does nothing. */
void record_abort(struct record_file *f);

/* Reads one file into doc. -ENOENT: none. -EINVAL: it is not complete. */
int record_load(const char *path, struct json_doc **ret_doc, struct record *ret, struct error *err);
/* The name of its file. Caller frees. */
char *record_path(const struct record *r);
/* Removes the file, and its directories when they are empty. A missing one is success. */
void record_remove(const char *path);
/* Waits until whoever makes it has finished or died. */
void record_wait(const char *path);
/* Somebody is making it right now. */
bool record_locked(const char *path);
/* The namespace of the record, or -1 when it is gone. */
int record_netns(const struct record *r);

/* The paths of all records (container_id NULL), or one container's; oldest first by name only. Caller frees. */
int record_paths(const char *container_id, char ***ret, struct error *err);
/* Keeps others from making attachments while gc works. Descriptor or negative code. */
int record_lock_all(struct error *err);
/* No other process is making an attachment, nor can begin one before this one is finished. Only between record_begin() and
 * record_finish(). */
bool record_alone(void);
/* Removes directories that are empty: the container's and that of all; NULL: all of them. */
void record_sweep(const char *container_id);

extern const struct json_type record_type;

#endif
