/* Hooks: the programs that a configuration wants run at certain moments of a container's life (config.md#posix-platform
 * hooks). What a failing one wrote to stderr is part of the error: elsewhere it is lost, and a hook that fails without a
 * word costs hours (runc #733, crun #353). */
#include "hooks.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#include "error.h"
#include "log.h"
#include "spawn.h"
#include "state.h"

static const char *const hook_names[HOOK_KINDS] = {
	[HOOK_PRESTART] = "prestart",
	[HOOK_CREATE_RUNTIME] = "createRuntime",
	[HOOK_CREATE_CONTAINER] = "createContainer",
	[HOOK_START_CONTAINER] = "startContainer",
	[HOOK_POSTSTART] = "poststart",
	[HOOK_POSTSTOP] = "poststop",
};

const char *hooks_name(enum hook_kind kind)
{
	return hook_names[kind];
}

/* The end of what it wrote, as one line: the log is read by the line. */
static const char *last_words(struct buf *errors)
{
	if (!errors->data)
		return "";
	while (errors->len && strchr(" \t\r\n", errors->data[errors->len - 1]))
		errors->data[--errors->len] = '\0';
	for (char *c = errors->data; *c; c++)
		if (*c == '\n' || *c == '\r')
			*c = ' ';
	return errors->data;
}

static int run_one(const struct spec_hook *h, char *const *env, const struct buf *input, struct error *err)
{
	auto_buf struct buf errors = {0};
	char how[SPAWN_STATUS_SIZE];
	const char *words;
	struct spawn s = {
		.path = h->path,
		.argv = h->args && h->args[0] ? h->args : NULL,
		.env = h->env ? h->env : env,
		.input = input->data,
		.input_len = input->len,
		.errors = &errors,
		.timeout_ms = (uint64_t)h->timeout * 1000,
	};
	int status, r = spawn_run(&s, &status, err);

	if (r == -ETIMEDOUT)
		return error_set(err, ETIMEDOUT,
				 "%s took longer than its timeout of %u s and was killed", h->path, h->timeout);
	if (r < 0)
		return r;
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	words = last_words(&errors);
	return error_set(err, ECANCELED, "%s %s%s%s", h->path, spawn_status(status, how), *words ? ": " : "", words);
}

int hooks_run(const struct spec *s, enum hook_kind kind, const struct state *state, const char *status, int pid,
	      struct error *err)
{
	auto_buf struct buf input = {0};
	/* For a hook that brings no environment: the caller's, or for the one in the container its process's. The
	 * specification is silent; runc does so and hooks depend on it. */
	char *const *env = kind == HOOK_START_CONTAINER && s->process ? s->process->env : NULL;

	if (!s->hooks.n[kind])
		return 0;
	state_write_oci(&input, state, status, pid, 0);
	if (input.failed)
		return error_oom(err);
	for (size_t i = 0; i < s->hooks.n[kind]; i++) {
		struct error one = {0};
		int r = run_one(&s->hooks.list[kind][i], env, &input, &one);

		if (!r)
			continue;
		error_wrap(&one, "error running %s hook #%zu", hook_names[kind], i);
		/* runtime.md#lifecycle: whatever poststop hooks do, the others still run and the container goes. */
		if (kind == HOOK_POSTSTOP) {
			log_warn("%s", one.msg);
			continue;
		}
		if (err)
			*err = one;
		return r;
	}
	return 0;
}
