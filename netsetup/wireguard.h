/* The wireguard plugin's work, for the plugin itself and for `netsetup keep`. */
#ifndef WIREGUARD_H
#define WIREGUARD_H

#include "netsetup.h"

/* Makes the device (birth, keys and peers, move, addresses and routes of *r, up) of an opened call. What is left of an
 * earlier one by that name in the birthplace goes first. Undone by the plugin's del. */
int wireguard_make(struct cni_call *call, struct cni_conf *conf, const struct cni_result *r, struct error *err);
/* Gives a running device the keys and peers of conf, as `wg syncconf` does: sessions of peers that stay go on. */
int wireguard_sync(struct cni_call *call, struct cni_conf *conf, struct error *err);
/* The daemon behind the device, for poll(2); -1 when the kernel does the work. */
int wireguard_daemon(struct cni_call *call, struct cni_conf *conf);
/* Removes device and daemon, but nothing of IPAM. */
int wireguard_unmake(struct cni_call *call, struct cni_conf *conf, struct error *err);

#endif
