#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (err) {
		va_start(ap, fmt);
		vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
		va_end(ap);
		err->code = code;
	}
	return -code;
}

int error_sys(struct error *err, const char *fmt, ...)
{
	int code = errno ? errno : EIO;
	va_list ap;

	if (err) {
		int n;

		va_start(ap, fmt);
		n = vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
		va_end(ap);
		if (n >= 0 && (size_t)n < sizeof(err->msg))
			snprintf(err->msg + n, sizeof(err->msg) - n, ": %s", strerror(code));
		err->code = code;
	}
	errno = code;
	return -code;
}

int error_wrap(struct error *err, const char *fmt, ...)
{
	char inner[ERROR_TEXT_SIZE];
	va_list ap;
	int n;

	if (!err)
		return -EIO;
	memcpy(inner, err->msg, sizeof(inner));
	va_start(ap, fmt);
	n = vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n + 3 < sizeof(err->msg))
		snprintf(err->msg + n, sizeof(err->msg) - n, ": %.*s", (int)sizeof(err->msg) - n - 3, inner);
	return err->code ? -err->code : -EIO;
}

int error_oom(struct error *err)
{
	return error_set(err, ENOMEM, "out of memory");
}
