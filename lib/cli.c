#include "cli.h"

#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "error.h"
#include "str.h"

/* --- parsing ------------------------------------------------------------------------------------------------ */

static const struct cli_option *find_long(const struct cli_option *options, const char *name, size_t len)
{
	for (; options && options->kind != CLI_END; options++)
		if (strlen(options->name) == len && memcmp(options->name, name, len) == 0)
			return options;
	return NULL;
}

static const struct cli_option *find_letter(const struct cli_option *options, char letter)
{
	for (; options && options->kind != CLI_END; options++)
		if (options->letter == letter)
			return options;
	return NULL;
}

static int store(const struct cli_option *o, void *out, const char *value, struct error *err)
{
	void *at = (char *)out + o->offset;
	int rc = 0;

	switch (o->kind) {
	case CLI_END:
		break;
	case CLI_BOOL:
		if (value && strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
			return error_set(err, EINVAL, "option --%s is a switch: it takes true or false, not \"%s\"", o->name,
					 value);
		*(bool *)at = !value || strcmp(value, "true") == 0;
		break;
	case CLI_STRING:
		*(const char **)at = value;
		break;
	case CLI_STRINGS:
		if (strv_add(at, value) < 0)
			return error_oom(err);
		break;
	case CLI_U32:
		rc = str_u32(value, 0, UINT32_MAX, at);
		break;
	case CLI_I64:
		rc = str_i64(value, INT64_MIN, INT64_MAX, at);
		break;
	}
	if (rc < 0)
		return error_set(err, EINVAL, "option --%s needs a number, not \"%s\"", o->name, value);
	return 0;
}

/* One option at argv[i], as "--name", "--name=value", "-n" or "-n=value"; returns how many words it took. */
static int parse_option(const struct cli_option *options, void *out, int left, char **argv, struct error *err)
{
	const char *word = argv[0], *name = word + (word[1] == '-' ? 2 : 1), *equals = strchr(name, '=');
	size_t len = equals ? (size_t)(equals - name) : strlen(name);
	const struct cli_option *o = len == 1 ? find_letter(options, name[0]) : NULL;
	int rc;

	if (!o)
		o = find_long(options, name, len); /* "-name" is understood too, as runc did */
	if (!o)
		return error_set(err, EINVAL, "flag provided but not defined: -%.*s", (int)len, name);
	if (o->kind == CLI_BOOL || equals) {
		rc = store(o, out, equals ? equals + 1 : NULL, err);
		return rc < 0 ? rc : 1;
	}
	if (left < 2)
		return error_set(err, EINVAL, "flag needs an argument: %s", word);
	rc = store(o, out, argv[1], err);
	return rc < 0 ? rc : 2;
}

int cli_parse(const struct cli_option *options, void *out, int argc, char **argv, bool stop_at_args, struct error *err)
{
	int kept = 0, i = 0;

	while (i < argc) {
		int n;

		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		if (argv[i][0] != '-' || !argv[i][1]) {
			if (stop_at_args)
				break;
			argv[kept++] = argv[i++];
			continue;
		}
		n = parse_option(options, out, argc - i, argv + i, err);
		if (n < 0)
			return n;
		i += n;
	}
	while (i < argc)
		argv[kept++] = argv[i++];
	argv[kept] = NULL;
	return kept;
}

/* --- help --------------------------------------------------------------------------------------------------- */

static void help_options(const struct cli_option *o, FILE *f)
{
	for (; o && o->kind != CLI_END; o++) {
		char left[64];
		int n;

		if (!o->help)
			continue;
		n = o->letter ? snprintf(left, sizeof(left), "--%s, -%c", o->name, o->letter)
			      : snprintf(left, sizeof(left), "--%s", o->name);
		if (o->value && n > 0 && (size_t)n < sizeof(left))
			snprintf(left + n, sizeof(left) - (size_t)n, " %s", o->value);
		fprintf(f, "   %-30s %s\n", left, o->help);
	}
}

void cli_help(const struct cli_program *p, FILE *f)
{
	fprintf(f, "NAME:\n   %s - %s\n\nUSAGE:\n   %s [global options] command [command options] [arguments...]\n\n"
		"VERSION:\n   %s\n\nCOMMANDS:\n", p->name, p->summary, p->name, p->version);
	for (const struct cli_command *const *c = p->commands; *c; c++)
		fprintf(f, "   %-12s %s\n", (*c)->name, (*c)->help);
	fprintf(f, "\nGLOBAL OPTIONS:\n");
	help_options(p->options, f);
	fprintf(f, "   %-30s %s\n   %-30s %s\n", "--help, -h", "show help", "--version, -v", "print the version");
}

void cli_help_command(const struct cli_program *p, const struct cli_command *c, FILE *f)
{
	fprintf(f, "NAME:\n   %s %s - %s\n\nUSAGE:\n   %s %s%s %s\n", p->name, c->name, c->help, p->name, c->name,
		c->options ? " [command options]" : "", c->args ? c->args : "");
	if (c->details)
		fprintf(f, "\nDESCRIPTION:\n%s\n", c->details);
	fprintf(f, "\nOPTIONS:\n");
	help_options(c->options, f);
	fprintf(f, "   %-30s %s\n", "--help, -h", "show help");
}

const struct cli_command *cli_find(const struct cli_program *p, const char *name)
{
	for (const struct cli_command *const *c = p->commands; *c; c++)
		if (strcmp((*c)->name, name) == 0)
			return *c;
	return NULL;
}

/* --- running ------------------------------------------------------------------------------------------------ */

static bool wants_help(const struct cli_command *c, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--") == 0 || (c->stop_at_args && argv[i][0] != '-'))
			return false;
		if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0)
			return true;
	}
	return false;
}

static int usage_error(const struct cli_program *p, const struct cli_command *c, const char *reason)
{
	fprintf(stdout, "Incorrect Usage.\n\n");
	cli_help_command(p, c, stdout);
	fflush(stdout);
	fprintf(stderr, "%s: %s: %s\n", p->name, c->name, reason);
	return 1;
}

static void free_strings(const struct cli_option *o, void *options)
{
	for (; o && o->kind != CLI_END; o++)
		if (o->kind == CLI_STRINGS)
			strv_free(*(char ***)((char *)options + o->offset));
}

int cli_run(const struct cli_program *p, const struct cli_command *c, int argc, char **argv)
{
	auto_free void *options = calloc(1, c->options_size ? c->options_size : 1);
	struct error err = {0};
	char reason[160];
	int n, status;

	if (!options) {
		fprintf(stderr, "%s: out of memory\n", p->name);
		return 1;
	}
	if (wants_help(c, argc, argv)) {
		cli_help_command(p, c, stdout);
		return 0;
	}
	n = cli_parse(c->options, options, argc, argv, c->stop_at_args, &err);
	if (n < 0) {
		status = usage_error(p, c, err.msg);
	} else if (n < c->min_args || (c->max_args >= 0 && n > c->max_args)) {
		if (c->min_args == c->max_args)
			snprintf(reason, sizeof(reason), "\"%s\" requires exactly %d argument(s)", c->name, c->min_args);
		else if (n < c->min_args)
			snprintf(reason, sizeof(reason), "\"%s\" requires a minimum of %d argument(s)", c->name, c->min_args);
		else
			snprintf(reason, sizeof(reason), "\"%s\" requires a maximum of %d argument(s)", c->name, c->max_args);
		status = usage_error(p, c, reason);
	} else {
		status = c->run(options, n, argv);
	}
	free_strings(c->options, options);
	return status;
}
