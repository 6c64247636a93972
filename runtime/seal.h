/* Running from a read-only view of our own executable.
 *
 * A container's program can reach the runtime's executable as /proc/PID/exe of a process that is just entering the
 * container, or by being "#!/proc/self/exe" itself, and overwrite it once nothing runs from it (CVE-2019-5736). So
 * commands that enter a container re-execute themselves from a detached read-only bind mount of the executable, before
 * they do anything else: opened for writing through that mount, the file is refused with EROFS. */
#ifndef SEAL_H
#define SEAL_H

struct error;

/* Returns once this process runs from a read-only mount: at once if it does already (also because the file system that
 * nsrun is installed on is mounted so), otherwise in the re-executed process, from main(). */
int seal_self(char **argv, struct error *err);

/* Lets go of the mount, which ends with the last process that does. That waits for an RCU grace period, some 30 us on an
 * idle machine and milliseconds on a busy one; so it is left to whoever has time: `run` while its program starts, the
 * init of `create` while it waits for the start. */
void seal_release(void);
/* For init, in a mount namespace of its own which is about to lose the host's tree: makes the mount a part of that tree, so
 * that both go in one grace period, and nobody waits for a second one. Then releases it. */
void seal_bury(void);

/* Where nsrun is installed, for finding what stands beside it: the path from before the re-execution. NULL: unknown. */
const char *seal_path(void);

#endif
