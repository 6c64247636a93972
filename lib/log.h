/* The log of a program: to stderr until log_open(), in text (logrus' key=value form) or JSON, a line a record.
 * The container's init replaces the sink, so that its records travel to its parent. */
#ifndef LOG_H
#define LOG_H

#include <stdbool.h>

struct error;

enum log_level { LOG_ERROR_LEVEL, LOG_WARN_LEVEL, LOG_INFO_LEVEL, LOG_DEBUG_LEVEL };
enum log_format { LOG_TEXT, LOG_JSON };

/* Called with a finished message, without time and level. */
typedef void log_sink(enum log_level level, const char *msg, void *arg);

/* Sends records to the file (created 0644, appended to); path NULL: stderr. */
int log_open(const char *path, enum log_format format, struct error *err);

/* Records above this level are dropped; the default is LOG_WARN_LEVEL. */
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/* Replaces the sink; NULL puts the file (or stderr) back. */
void log_set_sink(log_sink *sink, void *arg);

/* True when records go to stderr, so an error need not be printed there again. */
bool log_is_stderr(void);

/* Hands a record that another process made to the sink. */
void log_emit(enum log_level level, const char *msg);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
