/* Reload and undo. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "supervise.h"

enum { RELOAD_TIMEOUT_MS = 30000, UNDO_TIMEOUT_MS = 30000 };

static void reload_over(struct service *s, const char *problem)
{
	s->reloading = false;
	s->reloads++;
	snprintf(s->reload_error, sizeof(s->reload_error), "%.*s", (int)sizeof(s->reload_error) - 1, problem ? problem : "");
	if (problem)
		service_log_note(&s->log, "reload failed: %s", problem);
	else
		service_log_note(&s->log, "reloaded");
}

int service_command_reload(struct service *s, struct error *err)
{
	const struct reload_conf *r = &s->conf->reload;
	int rc;

	if (!r->signo && !r->exec.process)
		return error_set(err, ENOTSUP, "service %s cannot be reloaded: the services file gives it no \"reload\"; restart it "
				 "instead", s->conf->name);
	if (!service_state_is_up(s))
		return error_set(err, ESRCH, "service %s is not running (%s)", s->conf->name,
				 word_name(service_state_words, s->state));
	/* One reload serves all who ask for it while it runs. */
	if (s->reloading)
		return 0;
	if (r->signo) {
		service_task_signal(&s->main, r->signo);
		reload_over(s, NULL);
		return 0;
	}
	if (s->command.state != TASK_NONE)
		return error_set(err, EBUSY, "service %s: its last reload is still being ended", s->conf->name);
	rc = service_task_start(&s->command, r->exec.process, -1, 0, err);
	if (rc < 0)
		return rc;
	s->reloading = true;
	supervise_timer(s, TIMER_COMMAND, RELOAD_TIMEOUT_MS);
	return 0;
}

uint64_t service_command_reload_all(struct supervisor *sup)
{
	uint64_t round = ++sup->reload_rounds;

	for (size_t i = 0; i < sup->n; i++) {
		struct service *s = &sup->list[i];
		const struct reload_conf *r = &s->conf->reload;
		struct error err = {0};

		/* What is down reads its configuration when it starts. */
		if ((!r->signo && !r->exec.process) || !service_state_is_up(s))
			continue;
		s->reload_round = round;
		if (service_command_reload(s, &err) < 0)
			reload_over(s, err.msg);
	}
	return round;
}

void service_command_undo(struct service *s)
{
	struct error err = {0};

	/* A reload that runs is in the way; its end calls here again. */
	if (s->command.state != TASK_NONE)
		return service_task_signal_all(&s->command, SIGKILL);
	if (service_task_start(&s->command, s->conf->undo.process, -1, 0, &err) < 0) {
		service_log_note(&s->log, "cannot undo: %s", err.msg);
		return service_state_undone(s);
	}
	supervise_timer(s, TIMER_COMMAND, UNDO_TIMEOUT_MS);
}

static void undo_over(struct task *t)
{
	struct service *s = t->service;
	char text[256];

	if (service_task_succeeded(t))
		service_log_note(&s->log, "undone");
	else
		service_log_note(&s->log, "undo failed: %s", service_task_outcome(t, text, sizeof(text)));
	service_state_undone(s);
}

void service_command_changed(struct task *t)
{
	struct service *s = t->service;
	char text[256];
	bool was_reload = s->reloading;

	if (t->state == TASK_NONE && s->state == SERVICE_UNDOING)
		return service_command_undo(s);
	if (t->state != TASK_ENDED)
		return;
	supervise_timer_off(s, TIMER_COMMAND);
	service_task_signal_all(t, SIGKILL);
	if (was_reload)
		reload_over(s, service_task_succeeded(t) ? NULL : service_task_outcome(t, text, sizeof(text)));
	else if (s->state == SERVICE_UNDOING)
		undo_over(t);
}

void service_command_timeout(struct service *s)
{
	service_log_note(&s->log, "%s takes too long and is killed", s->reloading ? "reload" : "undo");
	service_task_signal_all(&s->command, SIGKILL);
}
