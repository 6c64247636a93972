/* The project's version, in one place; the Makefile reads it from here. */
#ifndef VERSION_H
#define VERSION_H

#define PROJECT_VERSION "0.1.0"
#define OCI_SPEC_VERSION "1.3.0"

#ifndef GIT_COMMIT
#define GIT_COMMIT "unknown"
#endif

#endif
