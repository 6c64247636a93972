#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "error.h"
#include "fs.h"
#include "json.h"
#include "str.h"

static struct {
	int fd;
	enum log_format format;
	enum log_level level;
	log_sink *sink;
	void *arg;
} logger = {.fd = STDERR_FILENO, .level = LOG_WARN_LEVEL};

static const char *const level_names[] = {"error", "warning", "info", "debug"};

int log_open(const char *path, enum log_format format, struct error *err)
{
	int fd;

	logger.format = format;
	if (!path)
		return 0;
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (fd < 0)
		return error_sys(err, "cannot open the log file %s", path);
	if (logger.fd != STDERR_FILENO)
		close(logger.fd);
	logger.fd = fd;
	return 0;
}

void log_set_level(enum log_level level)
{
	logger.level = level;
}

bool log_enabled(enum log_level level)
{
	return level <= logger.level;
}

void log_set_sink(log_sink *sink, void *arg)
{
	logger.sink = sink;
	logger.arg = arg;
}

bool log_is_stderr(void)
{
	return logger.fd == STDERR_FILENO;
}

/* One write for each record, so that records of several processes in one file do not mix. */
static void write_record(enum log_level level, const char *msg)
{
	auto_buf struct buf b = {0};
	char now[STR_TIME_SIZE];

	str_time(now);
	if (logger.format == LOG_JSON) {
		buf_printf(&b, "{\"level\":\"%s\",\"msg\":", level_names[level]);
		json_write_text(&b, msg);
		buf_printf(&b, ",\"time\":\"%s\"}\n", now);
	} else {
		buf_printf(&b, "time=\"%s\" level=%s msg=", now, level_names[level]);
		json_write_text(&b, msg);
		buf_putc(&b, '\n');
	}
	if (!b.failed)
		(void)fs_write_all(logger.fd, b.data, b.len);
}

void log_emit(enum log_level level, const char *msg)
{
	int saved = errno;

	if (!log_enabled(level))
		return;
	if (logger.sink)
		logger.sink(level, msg, logger.arg);
	else
		write_record(level, msg);
	errno = saved;
}

static void log_at(enum log_level level, const char *fmt, va_list ap)
{
	char msg[2048];

	if (!log_enabled(level))
		return;
	vsnprintf(msg, sizeof(msg), fmt, ap);
	log_emit(level, msg);
}

#define LOG_FUNCTION(name, level)                                                                                      \
	void name(const char *fmt, ...)                                                                                \
	{                                                                                                              \
		va_list ap;                                                                                            \
		va_start(ap, fmt);                                                                                     \
		log_at(level, fmt, ap);                                                                                \
		va_end(ap);                                                                                            \
	}

LOG_FUNCTION(log_error, LOG_ERROR_LEVEL)
LOG_FUNCTION(log_warn, LOG_WARN_LEVEL)
LOG_FUNCTION(log_info, LOG_INFO_LEVEL)
LOG_FUNCTION(log_debug, LOG_DEBUG_LEVEL)
