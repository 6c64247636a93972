/* The life of a service. Nothing here pushes from one service to the next: events set facts (wanted, recreate, a task's
 * end), and service_state_settle() compares what is with what should be, again and again until nothing changes. So
 * start order, stop order, cascades and `nsrun service` are the same few rules:
 *
 * - it starts when all it needs is up and all it wants has settled;
 * - it stops when it must, once everything behind it that must stop too is down;
 * - when it is up a second time, what needs it and was started before is stopped and started again. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "cleanup.h"
#include "supervise.h"

enum { KILL_AGAIN_MS = 5000 };

const struct word service_state_words[] = {
	{"stopped", SERVICE_STOPPED},
	{"waiting", SERVICE_WAITING},
	{"starting", SERVICE_STARTING},
	{"running", SERVICE_READY},
	{"done", SERVICE_DONE},
	{"undoing", SERVICE_UNDOING},
	{"stopping", SERVICE_STOPPING},
	{"backoff", SERVICE_BACKOFF},
	{"exited", SERVICE_EXITED},
	{"failed", SERVICE_FAILED},
	{NULL, 0},
};

void service_state_set(struct service *s, enum service_state state)
{
	s->state = state;
	str_time(s->since);
	if (state == SERVICE_STOPPED)
		s->recreate = false;
}

static bool depends(const struct service *s, const struct service *on, bool also_wants)
{
	const struct service_conf *c = s->conf;
	size_t index = (size_t)(on - s->sup->list);

	for (size_t i = 0; i < c->n_need; i++)
		if (c->need[i] == index)
			return true;
	for (size_t i = 0; also_wants && i < c->n_want; i++)
		if (c->want[i] == index)
			return true;
	return false;
}

bool service_state_needs(const struct service *s, const struct service *on)
{
	return depends(s, on, false);
}

bool service_state_is_up(const struct service *s)
{
	return s->state == SERVICE_READY || s->state == SERVICE_DONE;
}

bool service_state_is_active(const struct service *s)
{
	switch (s->state) {
	case SERVICE_STARTING:
	case SERVICE_READY:
	case SERVICE_DONE:
	case SERVICE_UNDOING:
	case SERVICE_STOPPING:
		return true;
	default:
		return false;
	}
}

bool service_state_all_down(const struct supervisor *sup)
{
	for (size_t i = 0; i < sup->n; i++) {
		const struct service *s = &sup->list[i];

		if (service_state_is_active(s) || s->main.state != TASK_NONE || s->probe.state != TASK_NONE ||
		    s->command.state != TASK_NONE)
			return false;
	}
	return true;
}

static bool must_stop(const struct service *s)
{
	return s->sup->stopping || s->recreate || s->blocked;
}

/* --- ending -------------------------------------------------------------------------------------------------- */

static void give_up(struct service *s, const char *why)
{
	service_state_set(s, SERVICE_FAILED);
	service_log_note(&s->log, "given up: %s", why);
	if (s->conf->on_give_up != GIVE_UP_STOP_CONTAINER)
		return;
	service_log_note(&s->sup->log, "service %s was given up, so the container stops", s->conf->name);
	supervise_stop(s->sup, 1);
}

/* Counts this restart; false when there were as many as allowed within the window. */
static bool may_restart(struct service *s)
{
	const struct restart_conf *r = &s->conf->restart;
	uint64_t now = supervise_now();
	uint32_t old = 0;

	if (!r->limit)
		return true;
	while (old < s->n_recent && s->recent[old] + r->window.ms < now)
		old++;
	s->n_recent -= old;
	memmove(s->recent, s->recent + old, s->n_recent * sizeof(*s->recent));
	if (s->n_recent >= r->limit)
		return false;
	s->recent[s->n_recent++] = now;
	return true;
}

/* Up to an eighth more, so that services that fell together do not rise together. */
static uint64_t jitter(uint64_t ms)
{
	uint32_t random = 0;

	(void)!getrandom(&random, sizeof(random), GRND_NONBLOCK);
	return ms + random % (ms / 8 + 1);
}

static void restart_later(struct service *s)
{
	const struct restart_conf *r = &s->conf->restart;
	uint64_t wait;

	if (!may_restart(s)) {
		char why[128];

		snprintf(why, sizeof(why), "%u restarts within %llu ms did not help", r->limit,
			 (unsigned long long)r->window.ms);
		return give_up(s, why);
	}
	s->delay = s->delay ? s->delay * 2 : r->min.ms;
	if (s->delay > r->max.ms)
		s->delay = r->max.ms;
	wait = jitter(s->delay);
	service_state_set(s, SERVICE_BACKOFF);
	supervise_timer(s, TIMER_BACKOFF, wait);
	service_log_note(&s->log, "starts again in %llu ms", (unsigned long long)wait);
}

/* No process of it is left. */
static void ended(struct service *s)
{
	int policy = s->conf->restart.policy;

	supervise_timer_off(s, TIMER_STOP);
	if (!s->crashed || must_stop(s)) {
		service_state_set(s, SERVICE_STOPPED);
		service_log_note(&s->log, "stopped");
	} else if (policy == RESTART_ALWAYS || (policy == RESTART_ON_FAILURE && s->failure)) {
		restart_later(s);
	} else if (s->failure) {
		give_up(s, "its restart policy is \"no\"");
	} else {
		service_state_set(s, SERVICE_EXITED);
	}
}

static void grace(struct service *s)
{
	uint64_t ms = s->conf->stop.timeout.ms;

	supervise_timer(s, TIMER_STOP, ms < s->sup->max_grace ? ms : s->sup->max_grace);
}

static void stop_processes(struct service *s)
{
	service_state_set(s, SERVICE_STOPPING);
	if (s->main.state == TASK_NONE)
		return ended(s);
	grace(s);
	/* What the program left behind never heard of the stop signal, which is the program's own. */
	if (s->main.state == TASK_ENDED)
		service_task_signal_all(&s->main, SIGTERM);
	else
		service_task_signal(&s->main, s->conf->stop.signo);
}

static void begin_stop(struct service *s)
{
	service_ready_end(s);
	service_health_end(s);
	supervise_timer_off(s, TIMER_STEADY);
	if (s->reloading)
		service_task_signal_all(&s->command, SIGKILL);
	if (s->state == SERVICE_DONE && s->conf->undo.process) {
		service_state_set(s, SERVICE_UNDOING);
		return service_command_undo(s);
	}
	stop_processes(s);
}

void service_state_undone(struct service *s)
{
	stop_processes(s);
}

void service_state_stop_timeout(struct service *s)
{
	service_log_note(&s->log, "did not stop in time and is killed");
	service_task_signal_all(&s->main, SIGKILL);
	supervise_timer(s, TIMER_STOP, KILL_AGAIN_MS);
}

void service_state_broken(struct service *s, const char *fmt, ...)
{
	va_list ap;

	if (s->state != SERVICE_STARTING && s->state != SERVICE_READY)
		return;
	va_start(ap, fmt);
	vsnprintf(s->outcome, sizeof(s->outcome), fmt, ap);
	va_end(ap);
	service_log_note(&s->log, "%s", s->outcome);
	s->crashed = s->failure = true;
	begin_stop(s);
}

/* --- starting ------------------------------------------------------------------------------------------------ */

static void start(struct service *s)
{
	struct error err = {0};
	auto_close int notify = -1;
	int rc;

	s->crashed = s->failure = false;
	s->started_at = supervise_now();
	s->starts++;
	service_state_set(s, SERVICE_STARTING);
	notify = service_ready_prepare(s, &err);
	rc = err.code ? -err.code : service_task_start(&s->main, s->conf->main.process, notify, (int)s->conf->ready.fd, &err);
	if (rc < 0)
		service_state_broken(s, "%s", err.msg);
}

void service_state_ready(struct service *s)
{
	struct supervisor *sup = s->sup;

	if (s->state != SERVICE_STARTING)
		return;
	service_ready_end(s);
	service_state_set(s, s->conf->oneshot ? SERVICE_DONE : SERVICE_READY);
	service_log_note(&s->log, "%s after %llu ms", s->conf->oneshot ? "done" : "ready",
			 (unsigned long long)(supervise_now() - s->started_at));
	supervise_timer(s, TIMER_STEADY, s->conf->restart.reset_after.ms);
	if (!s->conf->oneshot)
		service_health_begin(s);
	for (size_t i = 0; s->ready_once && i < sup->n; i++)
		if (service_state_is_active(&sup->list[i]) && service_state_needs(&sup->list[i], s))
			sup->list[i].recreate = true;
	s->ready_once = true;
}

static void main_ended(struct service *s)
{
	struct task *t = &s->main;

	service_log_flush(&s->log);
	service_task_outcome(t, s->outcome, sizeof(s->outcome));
	service_log_note(&s->log, "%s", s->outcome);
	if (s->state == SERVICE_STARTING && s->conf->oneshot && service_task_succeeded(t))
		return service_state_ready(s);
	if (s->state == SERVICE_STARTING || s->state == SERVICE_READY) {
		s->crashed = true;
		/* Ending before it was ready is a failure, whatever the status says. */
		s->failure = !service_task_succeeded(t) || s->state == SERVICE_STARTING;
		return begin_stop(s);
	}
	if (s->state == SERVICE_STOPPING)
		service_task_signal_all(t, SIGTERM);
}

void service_state_main_changed(struct task *t)
{
	struct service *s = t->service;

	switch (t->state) {
	case TASK_LAUNCHED:
		break;
	case TASK_RUNNING:
		service_log_note(&s->log, "started, pid %d", t->pid);
		if (s->state == SERVICE_STARTING)
			service_ready_begin(s);
		break;
	case TASK_ENDED:
		main_ended(s);
		break;
	case TASK_NONE:
		service_log_flush(&s->log);
		if (s->state == SERVICE_STOPPING)
			ended(s);
		break;
	}
}

void service_state_backoff_over(struct service *s)
{
	service_state_set(s, SERVICE_WAITING);
}

void service_state_steady(struct service *s)
{
	s->delay = 0;
}

/* --- what should be ------------------------------------------------------------------------------------------ */

static bool need_blocks(const struct service *p)
{
	return p->blocked;
}

static bool need_hangs(const struct service *p)
{
	return p->stuck || p->state == SERVICE_FAILED || p->state == SERVICE_EXITED || p->state == SERVICE_BACKOFF ||
	       (p->state == SERVICE_STOPPED && p->blocked);
}

static bool any_need(const struct service *s, bool (*is)(const struct service *))
{
	for (size_t i = 0; i < s->conf->n_need; i++)
		if (is(&s->sup->list[s->conf->need[i]]))
			return true;
	return false;
}

/* Both follow needs through any number of services: repeated until nothing changes. */
static void find_blocked_and_stuck(struct supervisor *sup)
{
	bool changed = true;

	for (size_t i = 0; i < sup->n; i++) {
		sup->list[i].blocked = !sup->list[i].wanted;
		sup->list[i].stuck = false;
	}
	while (changed) {
		changed = false;
		for (size_t i = 0; i < sup->n; i++) {
			struct service *s = &sup->list[i];
			bool blocked = s->blocked || any_need(s, need_blocks);
			bool stuck = s->stuck || (s->state == SERVICE_WAITING && any_need(s, need_hangs));

			changed |= blocked != s->blocked || stuck != s->stuck;
			s->blocked = blocked;
			s->stuck = stuck;
		}
	}
}

/* It has come up, or will not soon. */
static bool has_settled(const struct service *p)
{
	switch (p->state) {
	case SERVICE_WAITING:
		return p->stuck;
	case SERVICE_STOPPED:
		return must_stop(p);
	case SERVICE_STARTING:
	case SERVICE_UNDOING:
	case SERVICE_STOPPING:
		return false;
	default:
		return true;
	}
}

static bool can_start(const struct service *s)
{
	const struct service_conf *c = s->conf;

	/* Its last program's keeper may still be there. */
	if (s->main.state != TASK_NONE)
		return false;
	for (size_t i = 0; i < c->n_need; i++) {
		const struct service *p = &s->sup->list[c->need[i]];

		if (!service_state_is_up(p) || must_stop(p))
			return false;
	}
	for (size_t i = 0; i < c->n_want; i++)
		if (!has_settled(&s->sup->list[c->want[i]]))
			return false;
	return true;
}

static bool followers_are_down(const struct service *s)
{
	for (size_t i = 0; i < s->sup->n; i++) {
		const struct service *f = &s->sup->list[i];

		if (service_state_is_active(f) && must_stop(f) && depends(f, s, true))
			return false;
	}
	return true;
}

/* Returns true when something changed. */
static bool step(struct service *s)
{
	switch (s->state) {
	case SERVICE_STOPPED:
		if (must_stop(s))
			return false;
		service_state_set(s, SERVICE_WAITING);
		return true;
	case SERVICE_WAITING:
		if (must_stop(s))
			service_state_set(s, SERVICE_STOPPED);
		else if (can_start(s))
			start(s);
		else
			return false;
		return true;
	case SERVICE_STARTING:
	case SERVICE_READY:
	case SERVICE_DONE:
		if (!must_stop(s) || !followers_are_down(s))
			return false;
		s->crashed = false;
		begin_stop(s);
		return true;
	case SERVICE_BACKOFF:
		if (!must_stop(s))
			return false;
		supervise_timer_off(s, TIMER_BACKOFF);
		service_state_set(s, SERVICE_STOPPED);
		return true;
	case SERVICE_EXITED:
	case SERVICE_FAILED:
		/* What became of it stays visible until somebody wants something else. */
		if (s->wanted && !s->recreate)
			return false;
		service_state_set(s, SERVICE_STOPPED);
		return true;
	case SERVICE_UNDOING:
	case SERVICE_STOPPING:
		return false;
	}
	return false;
}

void service_state_settle(struct supervisor *sup)
{
	bool changed = true;

	while (changed) {
		changed = false;
		find_blocked_and_stuck(sup);
		for (size_t i = 0; i < sup->n; i++)
			changed |= step(&sup->list[i]);
	}
}
