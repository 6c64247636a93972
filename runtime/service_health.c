/* Programs that look whether a service is ready or still well. */
#include <signal.h>
#include <stdio.h>

#include "cleanup.h"
#include "supervise.h"

const struct word service_health_words[] = {
	{"-", HEALTH_UNKNOWN},
	{"starting", HEALTH_STARTING},
	{"healthy", HEALTH_GOOD},
	{"unhealthy", HEALTH_BAD},
	{NULL, 0},
};

/* --- probes -------------------------------------------------------------------------------------------------- */

int service_probe_start(struct service *s, const struct spec_process *p, struct error *err)
{
	int rc = service_task_start(&s->probe, p, -1, 0, err);

	s->probing = rc == 0;
	return rc;
}

void service_probe_cancel(struct service *s)
{
	s->probing = false;
	supervise_timer_off(s, TIMER_PROBE);
	service_task_signal_all(&s->probe, SIGKILL);
}

static void health_result(struct service *s, const char *problem)
{
	const struct health_conf *h = &s->conf->health;

	supervise_timer(s, TIMER_HEALTH, h->interval.ms);
	if (!problem) {
		if (s->health == HEALTH_BAD || s->bad_checks)
			service_log_note(&s->log, "healthy again");
		s->health = HEALTH_GOOD;
		s->bad_checks = 0;
		return;
	}
	s->bad_checks++;
	service_log_note(&s->log, "health check %u of %u failed: %s", s->bad_checks, h->retries, problem);
	if (s->bad_checks < h->retries)
		return;
	s->health = HEALTH_BAD;
	s->bad_checks = h->retries;
	if (h->action == HEALTH_NONE)
		return;
	if (h->action == HEALTH_CASCADE) {
		service_log_note(&s->log, "is unhealthy: what needs it is stopped, then it is started anew");
		return service_wish_cascade(s);
	}
	service_state_broken(s, "is unhealthy: %s", problem);
}

void service_probe_changed(struct task *t)
{
	struct service *s = t->service;
	char text[256];

	if (t->state != TASK_ENDED)
		return;
	/* What a check leaves running is no daemon. */
	service_task_signal_all(t, SIGKILL);
	if (!s->probing)
		return;
	s->probing = false;
	supervise_timer_off(s, TIMER_PROBE);
	if (s->state == SERVICE_STARTING) {
		if (service_task_succeeded(t))
			service_state_ready(s);
		else if (t->failed)
			service_log_note(&s->log, "cannot check readiness: %s", t->error.msg);
	} else if (s->state == SERVICE_READY) {
		health_result(s, service_task_succeeded(t) ? NULL : service_task_outcome(t, text, sizeof(text)));
	}
}

void service_probe_timeout(struct service *s)
{
	char text[64];

	service_probe_cancel(s);
	snprintf(text, sizeof(text), "no answer within %llu ms", (unsigned long long)s->conf->health.timeout.ms);
	health_result(s, text);
}

/* --- health -------------------------------------------------------------------------------------------------- */

void service_health_begin(struct service *s)
{
	const struct health_conf *h = &s->conf->health;

	if (!h->exec.process)
		return;
	s->health = HEALTH_STARTING;
	s->bad_checks = 0;
	supervise_timer(s, TIMER_HEALTH, h->start_period.ms + h->interval.ms);
}

void service_health_check(struct service *s)
{
	struct error err = {0};

	/* The last one is still being killed. */
	if (s->probe.state != TASK_NONE)
		return supervise_timer(s, TIMER_HEALTH, s->conf->health.interval.ms);
	if (service_probe_start(s, s->conf->health.exec.process, &err) < 0)
		return health_result(s, err.msg);
	supervise_timer(s, TIMER_PROBE, s->conf->health.timeout.ms);
}

void service_health_end(struct service *s)
{
	supervise_timer_off(s, TIMER_HEALTH);
	service_probe_cancel(s);
	s->health = HEALTH_UNKNOWN;
}
