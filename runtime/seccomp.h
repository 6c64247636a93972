/* Seccomp filters: compiled in the parent, before anything is made, and loaded by the child just before exec. */
#ifndef SECCOMP_H
#define SECCOMP_H

#include <stdbool.h>
#include <stddef.h>

#include "spec.h"

struct error;
struct sock_filter;

struct seccomp_program {
	struct sock_filter *filter;
	size_t n;
	unsigned flags; /* SECCOMP_FILTER_FLAG_* */
	bool notify;	/* has SCMP_ACT_NOTIFY rules: loading gives a listener */
};

/* Words, ranges and combinations; seccomp_compile() relies on it. */
int seccomp_check(const struct spec_seccomp *s, struct error *err);
/* *ret is NULL when there is nothing to load. Owned by the caller. */
int seccomp_compile(const struct spec_seccomp *s, struct seccomp_program **ret, struct error *err);
void seccomp_free(struct seccomp_program *p);
/* 0, or the listener's descriptor when the program notifies; negative on failure. */
int seccomp_load_program(const struct seccomp_program *p, struct error *err);

/* For `features`: the action, flag, operator and architecture words. */
/* True when this kernel takes the flag. */
bool seccomp_flag_works(int flag);
extern const struct word seccomp_actions[], seccomp_flags[], seccomp_operators[], seccomp_architectures[];

#endif
