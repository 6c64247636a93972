/* unit: runtime */
/* The plan of namespaces: what one clone3(2) makes, what is joined and by whom; and what follows from a process's words:
 * user ids of `exec`, messages between nsrun and init. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "error.h"
#include "exec.h"
#include "ns.h"
#include "spec.h"
#include "state.h"
#include "sync.h"
#include "tap.h"

/* Configurations of every combination: bit i of `listed`: the namespace is there; of `joined`: by a path. */
static struct spec make_spec(struct spec_namespace list[NS_KINDS], unsigned listed, unsigned joined, const char *paths[])
{
	struct spec s = {0};

	for (int i = 0; i < NS_KINDS; i++)
		if (listed & 1u << i)
			list[s.linux_.n_namespaces++] = (struct spec_namespace){
				.kind = i,
				.path = joined & 1u << i ? paths[i] : NULL,
			};
	s.linux_.namespaces = list;
	return s;
}

static void test_new(void)
{
	struct spec_namespace list[NS_KINDS];
	bool good = true;

	for (unsigned listed = 0; listed < 1u << NS_KINDS; listed++) {
		struct spec s = make_spec(list, listed, 0, NULL);
		struct ns_plan p;
		uint64_t want = 0;

		good &= ns_plan_make(&s, &p, NULL) == 0;
		for (int i = 0; i < NS_KINDS; i++) {
			bool there = listed & 1u << i;

			want |= there && i != NS_CGROUP ? (uint64_t)(unsigned)ns_info[i].flag : 0;
			good &= ns_is_private(&p, (enum ns_kind)i) == there && p.join[i] == -1;
		}
		good &= p.clone_flags == want && !p.needs_stage && p.new_user == !!(listed & 1u << NS_USER) &&
			p.unshare_cgroup == !!(listed & 1u << NS_CGROUP);
		ns_plan_close(&p);
	}
	ok(good, "all 256 combinations of new namespaces: one clone, cgroup later, no stage");
}

/* The caller's own namespaces count as not joined; so a child's are needed, which has others. */
static pid_t child_with_namespaces(int ready[2])
{
	pid_t pid;
	char c;

	if (pipe(ready) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		int rc = unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNS | CLONE_NEWCGROUP);

		close(ready[0]);
		(void)!write(ready[1], rc == 0 ? "y" : "n", 1);
		pause();
		_exit(0);
	}
	close(ready[1]);
	return pid > 0 && read(ready[0], &c, 1) == 1 && c == 'y' ? pid : -1;
}

static void test_joined(void)
{
	enum { KINDS = 1u << NS_USER | 1u << NS_NET | 1u << NS_UTS | 1u << NS_IPC };
	struct spec_namespace list[NS_KINDS];
	char text[NS_KINDS][64];
	const char *paths[NS_KINDS];
	bool good = true;
	int ready[2];
	pid_t pid = child_with_namespaces(ready);

	if (pid < 0) {
		ok(true, "joined namespaces # SKIP no user namespaces here");
		return;
	}
	for (int i = 0; i < NS_KINDS; i++) {
		snprintf(text[i], sizeof(text[i]), "/proc/%d/ns/%s", pid, ns_info[i].proc);
		paths[i] = text[i];
	}
	for (unsigned joined = 0; joined < 1u << NS_KINDS; joined++) {
		bool new_user = !(joined & 1u << NS_USER), any = joined & KINDS;
		struct spec s = make_spec(list, KINDS, joined & KINDS, paths);
		struct ns_plan p;

		if (joined & ~KINDS)
			continue;
		good &= ns_plan_make(&s, &p, NULL) == 0;
		for (int i = 0; i < NS_KINDS; i++)
			good &= (p.join[i] >= 0) == !!(joined & 1u << i);
		good &= p.new_user == new_user && p.needs_stage == (!new_user || any);
		ns_plan_close(&p);
	}
	ok(good, "joined beside new ones: a stage for whatever involves a user namespace");

	struct spec s = make_spec(list, 1u << NS_NET | 1u << NS_MOUNT, 1u << NS_NET, paths);
	struct ns_plan p;

	ok(ns_plan_make(&s, &p, NULL) == 0 && !p.needs_stage && p.join[NS_NET] >= 0 && p.clone_flags == CLONE_NEWNS,
	   "a joined network namespace needs no stage");
	ns_plan_close(&p);
	kill(pid, SIGKILL);
}

static void test_refused(void)
{
	struct spec_namespace list[NS_KINDS];
	const char *paths[NS_KINDS] = {[NS_NET] = "/proc/self/ns/uts", [NS_UTS] = "/proc/self/ns/uts", [NS_IPC] = "/nowhere"};
	struct spec s = make_spec(list, 1u << NS_NET, 1u << NS_NET, paths);
	struct error err = {0};
	struct ns_plan p;

	is_int(ns_plan_make(&s, &p, &err), -EINVAL, "a namespace of another kind");
	is_str(err.msg, "cannot join /proc/self/ns/uts: it is not a network namespace", "says which");
	s = make_spec(list, 1u << NS_IPC, 1u << NS_IPC, paths);
	is_int(ns_plan_make(&s, &p, &err), -ENOENT, "a path that is not there");
	s = make_spec(list, 1u << NS_UTS, 1u << NS_UTS, paths);
	ok(ns_plan_make(&s, &p, &err) == 0 && p.join[NS_UTS] == -1 && !ns_is_private(&p, NS_UTS),
	   "the caller's own namespace is not joined, and not private");
	ns_plan_close(&p);
}

static void test_users(void)
{
	static const char *const bad[] = {"",	   "root", "1x",  "x1",	 " 1",	       "1 ",	     "-1", "+1", "1:",
					  ":1",	   "1:x",  "0x1", "1:2:3", "4294967295", "4294967296", "1.0", "1:-1", "::"};
	uint32_t uid = 7, gid = 8;
	bool good = true;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		good &= exec_parse_user(bad[i], &uid, &gid, NULL) == -EINVAL;
	ok(good && uid == 7 && gid == 8, "exec --user: what is no number is refused, and changes nothing (CVE-2026-30892)");
	ok(exec_parse_user("1", &uid, &gid, NULL) == 0 && uid == 1 && gid == 8, "exec --user UID keeps the group");
	ok(exec_parse_user("0:4294967294", &uid, &gid, NULL) == 0 && uid == 0 && gid == 4294967294u, "exec --user UID:GID");
}

static void test_ids(void)
{
	static const char *const good[] = {"a", "A-b_c+d.e", ".hidden", "0", "..."};
	static const char *const bad[] = {"", ".", "..", "a/b", "/", "a b", "a\n", "\xc3\xa4", "a:b", "a%"};
	char longest[1026];
	bool right = true;

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		right &= state_check_id(good[i], NULL) == 0;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		right &= state_check_id(bad[i], NULL) == -EINVAL;
	memset(longest, 'x', sizeof(longest));
	longest[1025] = '\0';
	right &= state_check_id(longest, NULL) == -EINVAL;
	longest[1024] = '\0';
	right &= state_check_id(longest, NULL) == 0;
	ok(right, "container ids");
}

static void test_messages(void)
{
	struct error sent = {.code = EBUSY}, err = {0};
	struct sync_msg m;
	int pair[2], fd = -1;

	memset(sent.msg, 'e', sizeof(sent.msg) - 1);
	ok(sync_pair(pair, &err) == 0, "a pair");
	ok(sync_send(pair[0], SYNC_PID, 4711, pair[0], &err) == 0 && sync_expect(pair[1], SYNC_PID, &m, &fd, &err) == 0 &&
		   m.code == 4711 && fd >= 0,
	   "a number and a descriptor");
	close(fd);
	sync_send(pair[0], SYNC_GO, 0, pair[0], &err);
	is_int(sync_expect(pair[1], SYNC_START, &m, &fd, &err), -EPROTO, "another message than expected");
	is_int(fd, -1, "its descriptor is closed");
	sync_send_error(pair[0], &sent);
	is_int(sync_expect(pair[1], SYNC_START, &m, NULL, &err), -EBUSY, "an error is the receiver's");
	is_str(err.msg, sent.msg, "with its text, however long");
	ok(send(pair[0], "x", 1, 0) == 1 && sync_receive(pair[1], &m, NULL, &err) == -EPROTO, "a message cut short");
	sync_send(pair[1], SYNC_GO, 0, -1, &err); /* never read */
	sync_send(pair[0], SYNC_READY, 0, -1, &err);
	close(pair[0]);
	ok(sync_receive(pair[1], &m, NULL, &err) == 0 && m.type == SYNC_READY, "what was sent before the other side closed is received");
	ok(sync_receive(pair[1], &m, NULL, &err) == 0 && m.type == SYNC_EOF, "then comes the end");
	is_int(sync_expect(pair[1], SYNC_GO, &m, NULL, &err), -EPIPE, "which is no message that one can expect");
	is_int(sync_send(pair[1], SYNC_GO, 0, -1, &err), -EPIPE, "and cannot be sent to");
	close(pair[1]);
}

int main(void)
{
	test_new();
	test_joined();
	test_refused();
	test_users();
	test_ids();
	test_messages();
	return done_testing();
}
