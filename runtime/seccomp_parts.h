/* What seccomp.c and seccomp_stub.c share. */
#ifndef SECCOMP_PARTS_H
#define SECCOMP_PARTS_H

#include <stddef.h>
#include <stdint.h>

#include "seccomp.h"

struct sock_filter;

/* Writes the stub's instructions to out (room for at least 512) and returns how many; 0 when none is needed. */
size_t seccomp_stub(const struct spec_seccomp *s, uint32_t default_action, struct sock_filter *out);

#endif
