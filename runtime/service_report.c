/* Reports to the foreground `nsrun run`, which passes them on to the service manager (notify.h). As everywhere in the
 * supervisor, nothing is pushed: after every event it is looked what there is to be said, and it is said when it is news. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "supervise.h"

/* A program that has ended well, and stays so by its policy, has done its part. */
static bool is_well(const struct service *s)
{
	return service_state_is_up(s) || s->state == SERVICE_EXITED;
}

/* What somebody has stopped is not waited for. */
static bool all_are_well(const struct supervisor *sup)
{
	for (size_t i = 0; i < sup->n; i++) {
		const struct service *s = &sup->list[i];

		if (!is_well(s) && !s->conf->optional && !s->blocked)
			return false;
	}
	return true;
}

static bool reload_runs(const struct supervisor *sup)
{
	for (size_t i = 0; i < sup->n; i++)
		if (sup->list[i].reloading)
			return true;
	return false;
}

static enum report_phase find_phase(struct supervisor *sup)
{
	/* Once ready it stays so: what becomes of a service later is the supervisor's business, not the manager's. */
	if (!sup->all_came_up)
		sup->all_came_up = all_are_well(sup);
	if (sup->reloading)
		sup->reloading = reload_runs(sup);
	if (sup->stopping)
		return REPORT_STOPPING;
	if (!sup->all_came_up)
		return REPORT_STARTING;
	return sup->reloading ? REPORT_RELOADING : REPORT_READY;
}

/* "3 of 5 services are up; babeld: starting; dnsmasq: backoff (exited with status 1)" */
static void describe(const struct supervisor *sup, char *out, size_t size)
{
	size_t up = 0, len;

	for (size_t i = 0; i < sup->n; i++)
		up += is_well(&sup->list[i]);
	len = (size_t)snprintf(out, size, "%zu of %zu services are up", up, sup->n);
	for (size_t i = 0; i < sup->n && len < size; i++) {
		const struct service *s = &sup->list[i];
		bool ended = (s->state == SERVICE_BACKOFF || s->state == SERVICE_FAILED) && *s->outcome;

		if (is_well(s))
			continue;
		len += (size_t)snprintf(out + len, size - len, "; %s: %s%s%s%s", s->conf->name,
					word_name(service_state_words, s->state), ended ? " (" : "", ended ? s->outcome : "",
					ended ? ")" : "");
	}
}

static void report(struct supervisor *sup, const struct report *r)
{
	if (sup->conf->report < 0 || memcmp(r, &sup->reported, sizeof(*r)) == 0)
		return;
	/* Who does not listen at the moment hears it after the next event. */
	if (send(sup->conf->report, r, sizeof(*r), MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(*r))
		sup->reported = *r;
}

void service_report_settle(struct supervisor *sup)
{
	struct report r = {.phase = find_phase(sup)};

	describe(sup, r.status, sizeof(r.status));
	report(sup, &r);
}

void service_report_reloading(struct supervisor *sup)
{
	struct report r = {.phase = REPORT_RELOADING};

	if (sup->stopping || !sup->all_came_up)
		return;
	sup->reloading = true;
	describe(sup, r.status, sizeof(r.status));
	report(sup, &r);
}
