/* Services: the file (services_file.c), the supervisor that is the container's init (supervise.c), and the socket
 * on which `nsrun services`, `service` and `logs` talk to it. specs/services.md is the contract. */
#ifndef SERVICES_H
#define SERVICES_H

#include "spec.h"

struct container;
struct error;
struct init_ctx;
struct services;

/* Reads and checks the services file of a bundle, in the parent, before anything is made. */
int services_load(const struct spec *s, int bundle_fd, struct services **ret, struct error *err);
void services_free(struct services *s);
/* Whether a program of the file could have CAP_SYS_PTRACE, and so look into the supervisor if that is dumpable. */
bool services_may_trace(const struct services *s);

/* Called in the parent, before clone3(): makes log/ and the listening control socket in the container's directory,
 * and opens namespaces of birth, so that init inherits descriptors and needs no path. */
int services_open(struct services *s, const struct container *c, struct error *err);
/* The supervisor will report to this descriptor of the foreground's (notify.h). */
int services_open_reports(struct services *s, int *ret_foreground, struct error *err);

/* After init is gone: waits until nothing of its services is left (their keepers kill them when it dies). Without a pid
 * namespace nothing else tells; a container without services is gone at once. -EBUSY after the timeout. */
int services_wait_gone(int dir_fd, uint64_t timeout_ms, struct error *err);

/* Init's life with services, after the start message: starts, watches, restarts, stops them. `started` is called once when
 * supervision begins (the start channel is closed there). In the foreground log lines also go to stderr. Never returns. */
_Noreturn void supervise(struct services *s, const struct init_ctx *ctx, void (*started)(void *), void *arg);

#endif
