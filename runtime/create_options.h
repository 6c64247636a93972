/* The options that create and run share, as entries of their tables. */
#ifndef CREATE_OPTIONS_H
#define CREATE_OPTIONS_H

#include "cli.h"
#include "container.h"

#define CREATE_OPTIONS                                                                                                 \
	{"bundle", 'b', CLI_STRING, offsetof(struct create_options, bundle), "DIR",                                    \
	 "the bundle (default: the current directory)"},                                                               \
	{"console-socket", 0, CLI_STRING, offsetof(struct create_options, console_socket), "SOCKET",                   \
	 "AF_UNIX socket that receives the master of the container's terminal"},                                       \
	{"pidfd-socket", 0, CLI_STRING, offsetof(struct create_options, pidfd_socket), "SOCKET",                       \
	 "AF_UNIX socket that receives a pidfd of the container's init"},                                              \
	{"pid-file", 0, CLI_STRING, offsetof(struct create_options, pid_file), "FILE",                                 \
	 "where to write the process id"},                                                                             \
	{"preserve-fds", 0, CLI_U32, offsetof(struct create_options, preserve_fds), "N",                               \
	 "pass N additional descriptors (3 and up) to the container"},                                                 \
	{"net", 0, CLI_STRINGS, offsetof(struct create_options, net), "IFNAME=FILE",                                   \
	 "make interface IFNAME by the CNI configuration FILE (may be repeated)"},                                     \
	{"no-pivot", 0, CLI_BOOL, offsetof(struct create_options, no_pivot), NULL,                                     \
	 "enter the root by chroot instead of pivot_root (for a root on a ramdisk)"},                                  \
	{"no-new-keyring", 0, CLI_BOOL, offsetof(struct create_options, no_new_keyring), NULL,                         \
	 "keep the caller's session keyring"}

#endif
