/* wireguard-go: WireGuard in user space, for kernels that have none. One daemon an attachment; it belongs to no
 * container. Its directory is $NETSETUP_ROOT/wireguard/NAME, where NAME is the deterministic name that the device is
 * born with, so that `del` and `gc` find it again whenever its maker was killed:
 *
 *    owner.json  which attachment it serves; written before anything is started
 *    pid         "PID STARTTIME", written by the daemon's process itself before it becomes wireguard-go
 *    NAME.sock   the control socket (wireguard.com/xplatform)
 *    log         what it wrote */
#ifndef WG_UAPI_H
#define WG_UAPI_H

#include "wg_conf.h"

struct wg_owner {
	const char *mark; /* call_owner() */
	const char *network, *container_id, *ifname;
	int pidfd; /* of the daemon; -1: it does not run */
};

/* Starts wireguard-go with a new device `name` in the namespace birth_fd; its UDP socket lives there for good. A daemon
 * that is left of that name is stopped first. -ENOENT when there is no wireguard-go. */
int wg_uapi_start(const char *name, const struct wg_owner *owner, int birth_fd, struct error *err);
/* Kills the daemon, waits until it and its device are gone, removes the directory. Nothing there is success. */
int wg_uapi_stop(const char *name, struct error *err);
/* A descriptor of the running daemon for poll(2), or -ESRCH. */
int wg_uapi_pidfd(const char *name, struct error *err);

int wg_uapi_set(const char *name, const struct wg_device *d, struct error *err);
int wg_uapi_get(const char *name, struct json_doc *doc, struct wg_device *ret, struct error *err);

/* Calls cb for every directory there is. Stops at the first non-zero result, which it returns. */
typedef int wg_uapi_cb(const char *name, const struct wg_owner *owner, void *arg, struct error *err);
int wg_uapi_each(wg_uapi_cb *cb, void *arg, struct error *err);

/* Writes the last lines of the daemon's log into out, or "". */
const char *wg_uapi_log_tail(const char *name, char out[512]);

/* wg_uapi_text.c: the protocol's text. Parse reads an answer to "get=1" up to its errno line. */
struct buf;
void wg_uapi_write(struct buf *b, const struct wg_device *d);
int wg_uapi_parse(struct json_doc *doc, const char *text, struct wg_device *ret, struct error *err);

#endif
