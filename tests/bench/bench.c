/* Times whole processes, interleaved, and prints a table for each phase.
 *
 *     bench [-n ROUNDS] [-p PAUSE_MS] <PLAN
 *
 * The plan, a line each; words are separated by blanks, and {i} stands for the number of the round:
 *
 *     as NAME            begins a contender; the first is the yardstick
 *     env NAME=VALUE     for its commands from here on, beside PATH
 *     stdin FILE         for its commands from here on
 *     before COMMAND     run, not timed
 *     time PHASE COMMAND timed
 *     after COMMAND      run, not timed
 *
 * A round runs all contenders one after the other, so that what disturbs the machine disturbs all of them alike. Time is
 * from posix_spawn(3) to the end of waitid(2). A command that does not exit with 0 ends it all, and says what it wrote
 * to stderr. With several phases there is a table of their sum. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CONTENDERS = 8, MAX_COMMANDS = 12, MAX_ARGS = 48, MAX_ENV = 24, MAX_ROUNDS = 10000, WARM_UP = 2 };

struct command {
	const char *phase; /* NULL: not timed */
	const char *input;
	char *argv[MAX_ARGS];
	char *env[MAX_ENV];
	double ms[MAX_ROUNDS];
};

struct contender {
	const char *name;
	char *env[MAX_ENV]; /* while the plan is read: for the next command */
	size_t n_env, n;
	struct command *commands[MAX_COMMANDS];
};

static struct contender contenders[MAX_CONTENDERS];
static size_t n_contenders;
static int rounds = 100, pause_ms;

static _Noreturn void fail(const char *what, const char *detail)
{
	fprintf(stderr, "bench: %s: %s\n", what, detail);
	exit(1);
}

/* --- plan --------------------------------------------------------------------------------------------------- */

static void add_command(struct contender *c, const char *phase, const char *input)
{
	struct command *cmd = calloc(1, sizeof(*cmd));
	size_t n = 0;

	if (!cmd || c->n == MAX_COMMANDS)
		fail(c->name, "too many commands");
	for (char *word = strtok(NULL, " \t"); word; word = strtok(NULL, " \t")) {
		if (n + 1 == MAX_ARGS)
			fail(c->name, "too many arguments");
		cmd->argv[n++] = strdup(word);
	}
	if (n == 0)
		fail(c->name, "a command is missing");
	memcpy(cmd->env, c->env, sizeof(cmd->env));
	cmd->phase = phase;
	cmd->input = input;
	c->commands[c->n++] = cmd;
}

/* Replaces the variable if it is there. */
static void set_env(struct contender *c, const char *assignment)
{
	size_t i = 0, len = strcspn(assignment, "=") + 1;

	while (i < c->n_env && strncmp(c->env[i], assignment, len) != 0)
		i++;
	if (i + 1 >= MAX_ENV)
		fail(c->name, "too many variables");
	c->env[i] = strdup(assignment);
	if (i == c->n_env)
		c->n_env++;
}

static void read_line(char *line)
{
	static const char *input;
	struct contender *c = &contenders[n_contenders - 1];
	char *word = strtok(line, " \t");

	if (!word || word[0] == '#')
		return;
	if (strcmp(word, "as") == 0) {
		if (n_contenders == MAX_CONTENDERS)
			fail("plan", "too many contenders");
		c = &contenders[n_contenders++];
		c->name = strdup(strtok(NULL, ""));
		set_env(c, "PATH=/usr/sbin:/usr/bin:/sbin:/bin");
		input = "/dev/null";
		return;
	}
	if (n_contenders == 0)
		fail("plan", "it starts with `as`");
	if (strcmp(word, "env") == 0)
		set_env(c, strtok(NULL, ""));
	else if (strcmp(word, "stdin") == 0)
		input = strdup(strtok(NULL, " \t"));
	else if (strcmp(word, "before") == 0 || strcmp(word, "after") == 0)
		add_command(c, NULL, input);
	else if (strcmp(word, "time") == 0)
		add_command(c, strdup(strtok(NULL, " \t")), input);
	else
		fail("plan", word);
}

static void read_plan(void)
{
	char line[4096];

	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		read_line(line);
	}
	if (n_contenders == 0)
		fail("plan", "nothing to do");
}

/* --- running ------------------------------------------------------------------------------------------------ */

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void fill_in(const char *text, int round, char out[512])
{
	const char *mark = strstr(text, "{i}");

	if (mark)
		snprintf(out, 512, "%.*s%d%s", (int)(mark - text), text, round, mark + 3);
	else
		snprintf(out, 512, "%s", text);
}

static void check_status(const struct contender *c, const struct command *cmd, const siginfo_t *info, int errors)
{
	char text[4096] = "";

	if (info->si_code == CLD_EXITED && info->si_status == 0)
		return;
	if (pread(errors, text, sizeof(text) - 1, 0) < 0)
		text[0] = '\0';
	fprintf(stderr, "bench: %s: %s", c->name, cmd->argv[0]);
	for (size_t i = 1; cmd->argv[i]; i++)
		fprintf(stderr, " %s", cmd->argv[i]);
	fprintf(stderr, "\nbench: %s %d\n%s", info->si_code == CLD_EXITED ? "exit status" : "signal", info->si_status, text);
	exit(1);
}

static double run(const struct contender *c, const struct command *cmd, int round, int errors)
{
	char words[MAX_ARGS][512];
	char *argv[MAX_ARGS];
	posix_spawn_file_actions_t files;
	size_t n = 0;
	siginfo_t info;
	double start, end;
	pid_t pid;
	int r;

	for (; cmd->argv[n]; n++) {
		fill_in(cmd->argv[n], round, words[n]);
		argv[n] = words[n];
	}
	argv[n] = NULL;
	if (ftruncate(errors, 0) < 0 || lseek(errors, 0, SEEK_SET) < 0)
		fail("memfd", strerror(errno));
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, cmd->input, O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&files, errors, 2);
	start = now_ms();
	r = posix_spawn(&pid, argv[0], &files, NULL, argv, (char **)cmd->env);
	if (r != 0)
		fail(argv[0], strerror(r));
	waitid(P_PID, (id_t)pid, &info, WEXITED);
	end = now_ms();
	posix_spawn_file_actions_destroy(&files);
	check_status(c, cmd, &info, errors);
	return end - start;
}

static void measure(void)
{
	int errors = memfd_create("stderr", MFD_CLOEXEC);

	for (int round = -WARM_UP; round < rounds; round++)
		for (size_t i = 0; i < n_contenders; i++) {
			const struct contender *c = &contenders[i];

			for (size_t k = 0; k < c->n; k++) {
				double ms = run(c, c->commands[k], round + WARM_UP, errors);

				if (round >= 0)
					c->commands[k]->ms[round] = ms;
			}
			if (pause_ms)
				nanosleep(&(struct timespec){pause_ms / 1000, pause_ms % 1000 * 1000000L}, NULL);
		}
}

/* --- tables ------------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The times of a phase (NULL: of all together), sorted. False: the contender has none. */
static bool collect(const struct contender *c, const char *phase, double *out)
{
	bool found = false;

	memset(out, 0, (size_t)rounds * sizeof(*out));
	for (size_t k = 0; k < c->n; k++) {
		const struct command *cmd = c->commands[k];

		if (!cmd->phase || (phase && strcmp(cmd->phase, phase) != 0))
			continue;
		found = true;
		for (int i = 0; i < rounds; i++)
			out[i] += cmd->ms[i];
	}
	qsort(out, (size_t)rounds, sizeof(*out), compare);
	return found;
}

static void print_table(const char *title)
{
	static double ms[MAX_ROUNDS];
	const char *phase = strcmp(title, "sum") == 0 ? NULL : title;
	double yardstick = 0;

	printf("  %-34s %5s %9s %9s %9s %9s\n", title, "n", "median", "p10", "p90", "ratio");
	for (size_t i = 0; i < n_contenders; i++) {
		double median;

		if (!collect(&contenders[i], phase, ms))
			continue;
		median = ms[rounds / 2];
		if (yardstick == 0)
			yardstick = median;
		printf("    %-32s %5d %6.2f ms %6.2f ms %6.2f ms %8.2fx\n", contenders[i].name, rounds, median,
		       ms[rounds / 10], ms[rounds * 9 / 10], median / yardstick);
	}
}

int main(int argc, char **argv)
{
	size_t phases = 0;
	int o;

	while ((o = getopt(argc, argv, "n:p:")) != -1) {
		if (o == 'n')
			rounds = atoi(optarg);
		else if (o == 'p')
			pause_ms = atoi(optarg);
		else
			return 2;
	}
	if (rounds < 1 || rounds > MAX_ROUNDS)
		fail("-n", "a number from 1 to 10000");
	read_plan();
	measure();
	for (size_t k = 0; k < contenders[0].n; k++)
		if (contenders[0].commands[k]->phase) {
			print_table(contenders[0].commands[k]->phase);
			phases++;
		}
	if (phases > 1)
		print_table("sum");
	return 0;
}
