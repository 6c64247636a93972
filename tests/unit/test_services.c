/* unit: runtime */
/* The services file: what is accepted, what it becomes, and exactly what is said about the rest. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "json.h"
#include "services.h"
#include "services_file.h"
#include "tap.h"

static const char defaults[] = "{\"args\":[\"never\"],\"cwd\":\"/root\",\"env\":[\"PATH=/bin\"],\"terminal\":true,"
			       "\"user\":{\"uid\":5,\"gid\":6},\"noNewPrivileges\":true,"
			       "\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"soft\":10,\"hard\":20}],"
			       "\"capabilities\":{\"bounding\":[\"CAP_KILL\"]}}";

static struct services *parse(const char *text, struct error *err)
{
	struct json_doc *doc = json_parse("config.json", defaults, strlen(defaults), err);
	struct services *s = NULL;

	if (services_parse("services.json", text, strlen(text), json_root(doc), &s, err) < 0)
		s = NULL;
	json_free(doc);
	return s;
}

/* `body` is one service's properties after its name and process. */
static struct services *parse_one(const char *body, struct error *err)
{
	char text[2048];

	snprintf(text, sizeof(text), "{\"services\":[{\"name\":\"a\",\"process\":{\"args\":[\"x\"]}%s%s}]}", *body ? "," : "", body);
	return parse(text, err);
}

static void test_defaults(void)
{
	struct error err = {0};
	struct services *s = parse_one("", &err);
	const struct service_conf *c;

	if (!ok(s, "a minimal file: %s", err.msg))
		return;
	c = &s->list[0];
	is_str(c->main.process->args[0], "x", "its own args");
	is_str(c->main.process->cwd, "/root", "cwd of config.json");
	is_str(c->main.process->env[0], "PATH=/bin", "env of config.json");
	is_int(c->main.process->user.uid, 5, "user of config.json");
	ok(c->main.process->no_new_privileges, "noNewPrivileges of config.json");
	is_int((long long)c->main.process->n_rlimits, 1, "rlimits of config.json");
	is_str(c->main.process->capabilities->bounding[0], "CAP_KILL", "capabilities of config.json");
	ok(!c->main.process->terminal, "no terminal");
	is_int(c->ready.kind, READY_RUNS, "ready when it runs");
	is_int((long long)c->ready.timeout.ms, 10000, "ready.timeout");
	is_int(c->restart.policy, RESTART_ALWAYS, "restarted always");
	is_int((long long)c->restart.min.ms, 200, "restart.min");
	is_int((long long)c->restart.max.ms, 30000, "restart.max");
	is_int(c->restart.limit, 0, "never given up");
	is_int(c->stop.signo, SIGTERM, "stopped by SIGTERM");
	is_int((long long)c->stop.timeout.ms, 5000, "stop.timeout");
	is_int(c->health.retries, 3, "health.retries");
	ok(!c->health.exec.process && !c->undo.process, "no other programs");
	services_free(s);
}

static void test_everything(void)
{
	struct error err = {0};
	struct services *s = parse("{\"services\":["
		"{\"name\":\"net\",\"oneshot\":true,\"process\":{\"args\":[\"up\"],\"user\":{\"uid\":0,\"gid\":0}},"
		" \"undo\":{\"args\":[\"down\"],\"cwd\":\"/tmp\"},\"ready\":{\"timeout\":\"1m\"},\"netns\":\"host\"},"
		"{\"name\":\"dns\",\"process\":{\"args\":[\"dnsmasq\"]},\"needs\":[\"net\"],\"wants\":[\"log\"],"
		" \"ready\":{\"tcp\":\"[::1]:53\",\"timeout\":\"3s\",\"interval\":\"20ms\"},"
		" \"restart\":{\"policy\":\"on-failure\",\"min\":\"1s\",\"max\":\"2s\",\"window\":\"5s\",\"limit\":4,"
		"   \"resetAfter\":\"7s\"},\"onGiveUp\":\"stop-container\","
		" \"health\":{\"exec\":{\"args\":[\"check\"]},\"interval\":\"1s\",\"timeout\":\"500ms\",\"retries\":5,"
		"   \"startPeriod\":\"2s\",\"action\":\"cascade\"},"
		" \"reload\":{\"signal\":\"SIGUSR1\"},\"stop\":{\"signal\":\"INT\",\"timeout\":\"0\"},"
		" \"privateDirs\":[\"/run\"]},"
		"{\"name\":\"log\",\"process\":{\"args\":[\"log\"]},\"reload\":{\"exec\":{\"args\":[\"again\"]}}}]}", &err);
	const struct service_conf *c;

	if (!ok(s, "a full file: %s", err.msg))
		return;
	c = &s->list[0];
	is_int(c->ready.kind, READY_EXITED, "a oneshot is ready when it has ended");
	is_int((long long)c->ready.timeout.ms, 60000, "its timeout");
	is_int(c->restart.policy, RESTART_NO, "a oneshot is not restarted");
	is_str(c->undo.process->args[0], "down", "undo's args");
	is_str(c->undo.process->cwd, "/tmp", "undo's own cwd");
	is_int(c->undo.process->user.uid, 0, "undo's user is the service's");
	is_str(c->netns, "host", "netns");
	c = &s->list[1];
	ok(c->n_need == 1 && c->need[0] == 0, "needs");
	ok(c->n_want == 1 && c->want[0] == 2, "wants");
	is_int(c->ready.kind, READY_TCP, "ready.tcp");
	is_int(ntohs(c->ready.address.in6.sin6_port), 53, "its port");
	is_int(c->restart.limit, 4, "restart.limit");
	is_int((long long)c->restart.reset_after.ms, 7000, "restart.resetAfter");
	is_int(c->on_give_up, GIVE_UP_STOP_CONTAINER, "onGiveUp");
	is_int(c->health.action, HEALTH_CASCADE, "health.action");
	is_int((long long)c->health.timeout.ms, 500, "health.timeout");
	is_int(c->reload.signo, SIGUSR1, "reload.signal");
	is_int(c->stop.signo, SIGINT, "stop.signal");
	is_int((long long)c->stop.timeout.ms, 0, "stop.timeout 0");
	is_str(c->private_dirs[0], "/run", "privateDirs");
	is_str(s->list[2].reload.exec.process->args[0], "again", "reload.exec");
	services_free(s);
}

/* One service with these properties is refused with exactly this. */
static const struct {
	const char *body, *message;
} bad_one[] = {
	{"\"need\":[]", "services.json: services[0].need: unknown property"},
	{"\"ready\":{\"tpc\":\"1\"}", "services.json: services[0].ready.tpc: unknown property"},
	{"\"needs\":[\"b\"]", "services.json: services[0] (a).needs: there is no service \"b\""},
	{"\"wants\":[\"b\"]", "services.json: services[0] (a).wants: there is no service \"b\""},
	{"\"needs\":[\"a\"]", "services.json: services wait for each other: a -> a"},
	{"\"needs\":\"b\"", "services.json: services[0].needs: expected an array of strings"},
	{"\"stop\":{\"timeout\":\"5 s\"}",
	 "services.json: services[0] (a).stop.timeout: \"5 s\" is no duration; write it like \"200ms\", \"5s\", \"1m30s\""},
	{"\"restart\":{\"min\":\"0\"}", "services.json: services[0] (a).restart.min: \"0\" is not between 1ms and 24h"},
	{"\"restart\":{\"min\":\"2s\",\"max\":\"1s\"}",
	 "services.json: services[0] (a).restart.max: must not be smaller than restart.min"},
	{"\"restart\":{\"limit\":65}", "services.json: services[0] (a).restart.limit: 65 is more than 64"},
	{"\"restart\":{\"policy\":\"never\"}",
	 "services.json: services[0].restart.policy: \"never\" is not one of no, on-failure, always"},
	{"\"onGiveUp\":\"die\"", "services.json: services[0].onGiveUp: \"die\" is not one of ignore, stop-container"},
	{"\"stop\":{\"signal\":\"STOPP\"}", "services.json: services[0] (a).stop.signal: \"STOPP\" is no signal"},
	{"\"reload\":{\"signal\":\"x\"}", "services.json: services[0] (a).reload.signal: \"x\" is no signal"},
	{"\"reload\":{\"signal\":\"HUP\",\"exec\":{\"args\":[\"r\"]}}",
	 "services.json: services[0] (a).reload: only one of signal and exec can be given"},
	{"\"ready\":{\"fd\":3,\"tcp\":\"1.2.3.4:5\"}",
	 "services.json: services[0] (a).ready: only one of fd, tcp, unix, exec, file and device can be given"},
	{"\"ready\":{\"fd\":2}", "services.json: services[0] (a).ready.fd: 2 is not between 3 and 63"},
	{"\"ready\":{\"tcp\":\"localhost:80\"}", "services.json: services[0] (a).ready.tcp: \"localhost:80\" is no address and "
						 "port; write \"127.0.0.1:80\" or \"[::1]:80\""},
	{"\"ready\":{\"tcp\":\"1.2.3.4:0\"}", "services.json: services[0] (a).ready.tcp: \"1.2.3.4:0\" is no address and port; "
					      "write \"127.0.0.1:80\" or \"[::1]:80\""},
	{"\"ready\":{\"unix\":\"run/x\"}", "services.json: services[0].ready.unix: must be an absolute path"},
	{"\"ready\":{\"device\":\"interface0interface\"}", "services.json: services[0] (a).ready.device: "
		"\"interface0interface\" is longer than an interface name can be (15 characters)"},
	{"\"ready\":{\"exec\":{}}", "services.json: services[0].ready.exec.args: missing"},
	{"\"health\":{}", "services.json: services[0].health.exec: missing"},
	{"\"health\":{\"exec\":{\"args\":[]}}", "services.json: services[0].health.exec.args: missing"},
	{"\"undo\":{\"args\":[\"u\"]}",
	 "services.json: services[0] (a).undo: only a oneshot can be undone; a service is stopped by its stop signal"},
	{"\"oneshot\":true,\"ready\":{\"file\":\"/x\"}", "services.json: services[0] (a).ready: a oneshot is ready when it has ended "
							"with status 0; only a timeout can be given"},
	{"\"oneshot\":true,\"restart\":{\"policy\":\"always\"}", "services.json: services[0] (a).restart.policy: a oneshot that "
		"ended well is not started again; use \"on-failure\" or \"no\""},
	{"\"oneshot\":true,\"health\":{\"exec\":{\"args\":[\"h\"]}}", "services.json: services[0] (a).health: a oneshot has no "
								     "health"},
	{"\"netns\":\"other\"", "services.json: services[0] (a).netns: \"other\" is not supported; only \"host\" is"},
	{"\"privateDirs\":[\"run\"]", "services.json: services[0].privateDirs[0]: must be an absolute path"},
	{"\"privateDirs\":[\"/\"]", "services.json: services[0] (a).privateDirs: \"/\" itself cannot be private; name the "
				    "directories below it"},
};

/* Whole files. */
static const struct {
	const char *text, *message;
} bad_file[] = {
	{"{}", "services.json: services: missing"},
	{"{\"services\":[]}", "services.json: services: must not be empty"},
	{"{\"services\":[{\"name\":\"a\"}]}", "services.json: services[0].process: missing"},
	{"{\"services\":[{\"process\":{\"args\":[\"x\"]}}]}", "services.json: services[0].name: missing"},
	{"{\"services\":[{\"name\":\"a\",\"process\":{}}]}", "services.json: services[0].process.args: missing"},
	{"{\"services\":[{\"name\":\"a\",\"process\":{\"args\":[\"x\"],\"terminal\":true}}]}",
	 "services.json: services[0].process.terminal: a service has no terminal; its output goes to the log"},
	{"{\"services\":[{\"name\":\"nsrun\",\"process\":{\"args\":[\"x\"]}}]}",
	 "services.json: services[0] (nsrun).name: this name is the supervisor's own"},
	{"{\"services\":[{\"name\":\"a/b\",\"process\":{\"args\":[\"x\"]}}]}",
	 "services.json: services[0] (a/b).name: only letters, digits, '_', '.' and '-' are allowed"},
	{"{\"services\":[{\"name\":\"a\",\"process\":{\"args\":[\"x\"]}},{\"name\":\"a\",\"process\":{\"args\":[\"x\"]}}]}",
	 "services.json: services[1] (a).name: services[0] has the same name"},
	{"{\"services\":[{\"name\":\"a\",\"process\":{\"args\":[\"x\"]},\"needs\":[\"b\"]},"
	 "{\"name\":\"b\",\"process\":{\"args\":[\"x\"]},\"wants\":[\"c\"]},"
	 "{\"name\":\"c\",\"process\":{\"args\":[\"x\"]},\"needs\":[\"b\"]}]}",
	 "services.json: services wait for each other: b -> c -> b"},
	{"{\"services\":[{\"name\":\"a\",\"process\":{\"args\":[\"x\"]}}],\"version\":1}",
	 "services.json: version: unknown property"},
};

static void test_bad(void)
{
	for (size_t i = 0; i < sizeof(bad_one) / sizeof(*bad_one); i++) {
		struct error err = {0};
		struct services *s = parse_one(bad_one[i].body, &err);

		is_str(s ? "accepted" : err.msg, bad_one[i].message, bad_one[i].body);
		services_free(s);
	}
	for (size_t i = 0; i < sizeof(bad_file) / sizeof(*bad_file); i++) {
		struct error err = {0};
		struct services *s = parse(bad_file[i].text, &err);

		is_str(s ? "accepted" : err.msg, bad_file[i].message, bad_file[i].text);
		services_free(s);
	}
}

int main(void)
{
	test_defaults();
	test_everything();
	test_bad();
	return done_testing();
}
