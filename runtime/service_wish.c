/* What users and health checks wish: these only set facts, and service_state_settle() does what follows. */
#include "cleanup.h"
#include "supervise.h"

static void forget_failures(struct service *s)
{
	s->delay = 0;
	s->n_recent = 0;
}

static void want_one(struct service *s)
{
	s->wanted = true;
	if (s->state != SERVICE_EXITED && s->state != SERVICE_FAILED && s->state != SERVICE_BACKOFF)
		return;
	forget_failures(s);
	supervise_timer_off(s, TIMER_BACKOFF);
	service_state_set(s, SERVICE_WAITING);
}

/* Adds to the set whatever its members need. */
static void add_needs(const struct supervisor *sup, bool set[SERVICES_MAX])
{
	bool more = true;

	while (more) {
		more = false;
		for (size_t i = 0; i < sup->n; i++) {
			const struct service_conf *c = sup->list[i].conf;

			for (size_t k = 0; set[i] && k < c->n_need; k++) {
				more |= !set[c->need[k]];
				set[c->need[k]] = true;
			}
		}
	}
}

void service_wish_up(struct service *s)
{
	struct supervisor *sup = s->sup;
	bool set[SERVICES_MAX] = {false};

	set[s - sup->list] = true;
	add_needs(sup, set);
	for (size_t i = 0; i < sup->n; i++)
		if (set[i])
			want_one(&sup->list[i]);
}

void service_wish_down(struct service *s)
{
	s->wanted = false;
}

void service_wish_anew(struct service *s)
{
	if (!service_state_is_active(s))
		return service_wish_up(s);
	s->wanted = true;
	s->recreate = true;
	forget_failures(s);
}

void service_wish_cascade(struct service *s)
{
	struct supervisor *sup = s->sup;
	bool more = true;

	s->recreate = true;
	while (more) {
		more = false;
		for (size_t i = 0; i < sup->n; i++) {
			struct service *f = &sup->list[i];

			for (size_t k = 0; !f->recreate && k < sup->n; k++)
				if (sup->list[k].recreate && service_state_is_active(f) && service_state_needs(f, &sup->list[k]))
					more = f->recreate = true;
		}
	}
}

void service_wish_hurry(struct supervisor *sup, uint64_t ms)
{
	uint64_t latest = supervise_now() + ms;
	static const enum service_timer waits[] = {TIMER_STOP, TIMER_COMMAND};

	sup->max_grace = ms;
	for (size_t i = 0; i < sup->n; i++)
		for (size_t k = 0; k < ARRAY_SIZE(waits); k++)
			if (sup->list[i].timers[waits[k]] > latest)
				sup->list[i].timers[waits[k]] = latest;
}
