/* The smallest TAP producer: ok(), is_int(), is_str(), done_testing(). */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int tap_run, tap_failed;

__attribute__((format(printf, 2, 3), unused)) static bool ok(bool good, const char *fmt, ...)
{
	va_list ap;

	printf("%s %d - ", good ? "ok" : "not ok", ++tap_run);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	tap_failed += !good;
	return good;
}

__attribute__((unused)) static bool is_int(long long got, long long want, const char *what)
{
	return ok(got == want, "%s", what) || (printf("# got %lld, expected %lld\n", got, want), false);
}

__attribute__((unused)) static bool is_str(const char *got, const char *want, const char *what)
{
	return ok(got && want ? strcmp(got, want) == 0 : got == want, "%s", what) ||
	       (printf("# got \"%s\"\n# expected \"%s\"\n", got ? got : "(null)", want ? want : "(null)"), false);
}

/* Prints the plan; the exit status of main. */
__attribute__((unused)) static int done_testing(void)
{
	printf("1..%d\n", tap_run);
	return tap_failed ? 1 : 0;
}

#endif
