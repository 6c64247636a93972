/* What the files of the supervisor share: the event loop, the services as they are now, their tasks, timers and logs.
 * supervise.c tells the plot. One thread, one epoll; nothing here blocks but the keepers' children. */
#ifndef SUPERVISE_H
#define SUPERVISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

#include "error.h"
#include "notify.h"
#include "services_file.h"
#include "str.h"

struct init_ctx;
struct service;
struct supervisor;

#define container_of(p, T, member) ((T *)(void *)((char *)(p) - offsetof(T, member)))

/* A descriptor in the event loop. fd -1: not in it. */
struct watch {
	int fd;
	void (*ready)(struct watch *w, uint32_t events);
};

/* --- tasks (service_task.c): a program and everything it starts --------------------------------------------------- */

/* What leads out of each:
 *   NONE:     service_task_start() (LAUNCHED)
 *   LAUNCHED: the program was executed (RUNNING), or could not be (ENDED)
 *   RUNNING:  the program has ended (ENDED)
 *   ENDED:    nothing it left behind lives any more (NONE) */
enum task_state { TASK_NONE, TASK_LAUNCHED, TASK_RUNNING, TASK_ENDED };

struct task {
	struct service *service;
	/* Called after every change of state. */
	void (*changed)(struct task *t);
	enum task_state state;
	struct watch keeper_socket;
	pid_t keeper, pid;
	bool failed;	    /* not executed: error says why */
	int status;	    /* as waitpid(2), once ended */
	struct error error;
};

/* Runs a program of the service. notify: the write end of a pipe it gets as descriptor notify_number, or -1. */
int service_task_start(struct task *t, const struct spec_process *p, int notify, int notify_number, struct error *err);
/* To the program, or to it and everything it started; SIGKILL to all is repeated until nothing is left. */
void service_task_signal(struct task *t, int signo);
void service_task_signal_all(struct task *t, int signo);
/* A child of the supervisor was reaped; true when it was this task's keeper. */
bool service_task_reaped(struct task *t, pid_t pid, int status);
/* "exited with status 3", or why it could not be executed. */
const char *service_task_outcome(const struct task *t, char *out, size_t size);
static inline bool service_task_succeeded(const struct task *t)
{
	return !t->failed && t->status == 0;
}

/* --- logs (service_log.c) ----------------------------------------------------------------------------------------- */

enum { LOG_LINE_MAX = 8192, LOG_FILE_MAX = 1 << 20 };

struct log_stream {
	struct watch pipe; /* the read end */
	int write_fd;	   /* what programs get; kept, so that a pipe outlives each of them */
	const char *tag;   /* "out", "err" */
	size_t len;
	char line[LOG_LINE_MAX]; /* begun, not ended yet */
};

struct service_log {
	struct supervisor *sup;
	const char *name;
	int fd;
	uint64_t size;
	struct log_stream out, err;
};

/* Opens NAME.log and, with_pipes, the pipes of a service. */
int service_log_open(struct service_log *l, struct supervisor *sup, const char *name, bool with_pipes, struct error *err);
/* A remark of the supervisor's own, tagged "nsrun". */
void service_log_note(struct service_log *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Takes what is still in the pipes and ends begun lines. */
void service_log_flush(struct service_log *l);

/* Where lines also go in the foreground. A slow reader costs lines, never time: what does not fit is dropped. */
struct terminal_log {
	struct watch out; /* fd -1: none */
	bool is_file;	  /* epoll does not take regular files; they never block */
	bool polled;
	struct buf backlog;
	uint64_t dropped;
};
void service_log_foreground(struct supervisor *sup);
/* The last lines, as far as the reader takes them at once. */
void service_log_foreground_end(struct supervisor *sup);

/* --- services (service_state.c) ----------------------------------------------------------------------------------- */

/* What leads out of each:
 *   STOPPED:  wanted (WAITING)
 *   WAITING:  all needs are ready and all wants have settled (STARTING); no longer wanted (STOPPED)
 *   STARTING: ready (READY, or DONE for a oneshot); ended, or not ready in time (STOPPING)
 *   READY:    ended by itself, or to be stopped (STOPPING)
 *   DONE:     to be stopped (UNDOING, or STOPPING)
 *   UNDOING:  the undo program has ended (STOPPING)
 *   STOPPING: no process is left (STOPPED when that was asked for; otherwise BACKOFF, EXITED or FAILED by its policy)
 *   BACKOFF:  the delay is over (WAITING)
 *   EXITED, FAILED: started again by `nsrun service` (WAITING) */
enum service_state {
	SERVICE_STOPPED,
	SERVICE_WAITING,
	SERVICE_STARTING,
	SERVICE_READY,
	SERVICE_DONE,
	SERVICE_UNDOING,
	SERVICE_STOPPING,
	SERVICE_BACKOFF,
	SERVICE_EXITED,
	SERVICE_FAILED,
};
extern const struct word service_state_words[];

/* What each does when it is due stands in supervise.c. */
enum service_timer {
	TIMER_READY_TIMEOUT, /* not ready in time */
	TIMER_READY_PROBE,   /* look again */
	TIMER_STEADY,	     /* it has run long enough: the back-off starts anew */
	TIMER_BACKOFF,
	TIMER_STOP,	     /* the grace is over */
	TIMER_HEALTH,	     /* the next check */
	TIMER_PROBE,	     /* a check takes too long */
	TIMER_COMMAND,	     /* reload or undo takes too long */
	TIMERS
};

enum health { HEALTH_UNKNOWN, HEALTH_STARTING, HEALTH_GOOD, HEALTH_BAD };
extern const struct word service_health_words[];

struct service {
	const struct service_conf *conf;
	struct supervisor *sup;
	enum service_state state;
	bool wanted;   /* by the file, or by `nsrun service` */
	bool recreate; /* to be stopped, then started again */
	bool crashed;  /* STOPPING was not asked for: the policy decides what follows */
	bool failure;  /* it ended badly, not with status 0 */
	bool ready_once;
	/* Found anew before every round of service_state_settle(). */
	bool blocked; /* not wanted, or something it needs is not */
	bool stuck;   /* WAITING for something that will not come by itself */
	uint64_t timers[TIMERS]; /* milliseconds of the monotonic clock; 0: not set */
	struct task main, probe, command;
	struct service_log log;

	/* privateDirs: the service's mount namespace and the root in it, made by its first task, kept over restarts. */
	int mount_ns, mount_root;

	/* service_ready.c */
	struct watch ready_watch; /* the notification pipe, or a connection attempt */
	uint64_t probe_delay;
	int64_t started_at_wall;  /* nanoseconds, of the clock that file systems use */

	/* The back-off. */
	uint64_t started_at, delay;
	uint64_t recent[RESTART_LIMIT_MAX]; /* when it had to be restarted, oldest first */
	uint32_t n_recent, starts;

	/* For `nsrun services`. */
	char since[STR_TIME_SIZE];
	enum health health;
	uint32_t bad_checks;
	bool probing; /* somebody waits for the probe's result */
	char outcome[256]; /* how it ended last, or what was wrong; empty: it never did */

	/* service_command.c: reload or undo has ended; empty: well. */
	bool reloading;
	uint64_t reloads, reload_round;
	char reload_error[256];
};

/* Looks at every service and does what is due, until nothing changes. */
void service_state_settle(struct supervisor *sup);
void service_state_main_changed(struct task *t);
/* It is ready (also when it was before). */
void service_state_ready(struct service *s);
/* It has to go because of itself: the reason is logged and shown, the policy decides what follows. */
void service_state_broken(struct service *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void service_state_undone(struct service *s);
void service_state_set(struct service *s, enum service_state state);
bool service_state_needs(const struct service *s, const struct service *on); /* directly */
bool service_state_is_active(const struct service *s);
bool service_state_is_up(const struct service *s); /* READY or DONE */
bool service_state_all_down(const struct supervisor *sup);
/* Timers. */
void service_state_backoff_over(struct service *s);
void service_state_steady(struct service *s);
void service_state_stop_timeout(struct service *s);

/* Wishes (service_wish.c), of `nsrun service` and of health checks. */
void service_wish_up(struct service *s); /* with all it needs */
void service_wish_down(struct service *s);
void service_wish_anew(struct service *s);
/* Stops those that need it first, then it; all of them come back. */
void service_wish_cascade(struct service *s);
/* The grace of all that is being stopped shrinks to at most ms. */
void service_wish_hurry(struct supervisor *sup, uint64_t ms);

/* --- readiness (service_ready.c), health (service_health.c), reload and undo (service_command.c) ------------------- */

/* The pipe for READY_FD: its write end, which the caller closes; -1 when the service has none. */
int service_ready_prepare(struct service *s, struct error *err);
/* Its program was executed: looks for readiness from now on. */
void service_ready_begin(struct service *s);
void service_ready_end(struct service *s);
void service_ready_timeout(struct service *s); /* timer */
void service_ready_look(struct service *s);    /* timer */

void service_health_begin(struct service *s);
void service_health_end(struct service *s);
void service_health_check(struct service *s); /* timer */

/* Checks by a program, of readiness or health: one at a time (service_health.c). */
int service_probe_start(struct service *s, const struct spec_process *p, struct error *err);
void service_probe_cancel(struct service *s);
void service_probe_changed(struct task *t);
void service_probe_timeout(struct service *s); /* timer */

/* 0, or why it cannot be reloaded. Whether it worked is seen when `reloads` has grown. */
int service_command_reload(struct service *s, struct error *err);
/* All that can be and are up. Returns the number of this round: those with a reload_round of at least that took part, and
 * have reload_error set anew once they are no longer reloading. */
uint64_t service_command_reload_all(struct supervisor *sup);
/* Runs the undo program; service_state_undone() is called when it has ended. */
void service_command_undo(struct service *s);
void service_command_changed(struct task *t);
void service_command_timeout(struct service *s);

/* --- the loop (supervise.c) and the control socket (service_control.c) ---------------------------------------------- */

struct control;

struct supervisor {
	const struct services *conf;
	const struct init_ctx *ctx;
	char **env; /* what every program of a service gets beside its own */
	struct service *list;
	size_t n;
	int epoll, proc, root, own_netns;
	struct watch signals;
	struct service_log log; /* nsrun.log */
	struct terminal_log terminal;
	struct control *control;
	bool stopping;
	bool keeper_lost;   /* its orphans are being killed */
	unsigned terms;	    /* how often it was asked to stop */
	uint64_t reload_rounds;
	uint64_t max_grace; /* of stops from now on */
	int exit_status;
	/* service_report.c */
	bool all_came_up, reloading;
	struct report reported;
};

uint64_t supervise_now(void); /* milliseconds */
int supervise_watch(struct supervisor *sup, struct watch *w, int fd, uint32_t events);
/* Takes it out of the loop and closes it. */
void supervise_unwatch(struct supervisor *sup, struct watch *w);
void supervise_timer(struct service *s, enum service_timer t, uint64_t in_ms);
void supervise_timer_off(struct service *s, enum service_timer t);
/* Stops everything in order, then ends with that status. */
void supervise_stop(struct supervisor *sup, int exit_status);

int service_control_open(struct supervisor *sup, struct error *err);
/* Answers those that wait for something which has happened or has become impossible; returns when to look again
 * (milliseconds of the clock), 0: no need. */
uint64_t service_control_settle(struct supervisor *sup);

/* Reports (service_report.c): tells the foreground what has changed; that a reload of everything begins. */
void service_report_settle(struct supervisor *sup);
void service_report_reloading(struct supervisor *sup);

#endif
