/* Telling the service manager that started `nsrun run` how far it is: sd_notify(3), by datagrams to $NOTIFY_SOCKET.
 * Without that variable nobody listens, and all of this does nothing.
 *
 * The manager believes the unit's main process only (systemd.service(5), NotifyAccess=main). With services it is the
 * supervisor that knows, and that may be in a pid namespace of its own; so it sends reports to its parent, `nsrun run`, on a
 * socket pair, and that one tells the manager. */
#ifndef NOTIFY_H
#define NOTIFY_H

#include <stdbool.h>
#include <sys/types.h>

struct error;

/* What leads out of each:
 *   STARTING:  every service that is not optional has come up (READY)
 *   READY:     HUP (RELOADING)
 *   RELOADING: no reload runs any more (READY)
 *   any:       the container stops (STOPPING) */
enum report_phase { REPORT_STARTING, REPORT_READY, REPORT_RELOADING, REPORT_STOPPING };

/* One packet from the supervisor. */
struct report {
	enum report_phase phase;
	char status[256]; /* for people */
};

/* Takes NOTIFY_SOCKET out of the environment, since it is not meant for hooks and plugins. An address that cannot be used
 * is a warning: the container runs without a listener, too. */
void notify_open(void);
bool notify_is_open(void);
/* READY=1. main_pid: whom the manager has to watch from now on; 0: still this process. */
void notify_ready(pid_t main_pid);
/* STATUS=, a line. */
void notify_status(const char *text);

/* The pair for reports: ret[0] is the foreground's end, ret[1] the supervisor's. */
int notify_report_pair(int ret[2], struct error *err);
/* Passes on what has come; *fd becomes -1 when nothing more will. */
void notify_take_reports(int *fd);

#endif
