/* Called as a CNI plugin: the environment and stdin in, JSON on stdout. */
#ifndef CNI_H
#define CNI_H

#include "netsetup.h"

/* Runs the plugin that the configuration's `type` names (or argv0, for an IPAM plugin: it is given its caller's
 * configuration). Prints the answer or the error object; returns the exit status. */
int cni_main(const char *argv0);
/* What a plugin says of itself when it is called without CNI_COMMAND. */
void cni_about(const char *argv0);

/* The specification's error object, as JSON text. */
void cni_error_json(const struct error *err, const char *version, struct buf *out);

#endif
