/* What the files of the configuration share among themselves: spec*.c. */
#ifndef SPEC_PARTS_H
#define SPEC_PARTS_H

#include "spec.h"

/* spec_linux.c */
extern const struct json_type spec_linux_type, spec_id_map_type;

/* spec_resources.c: rdma, an object whose keys are data, and the rules between fields. `where` starts the messages. */
int spec_decode_rdma(struct json_doc *doc, struct spec_resources *r, const char *where, struct error *err);
int spec_check_resources(const struct spec_resources *r, const char *where, struct error *err);

/* spec_net.c: what tables cannot say. */
int spec_decode_net_devices(struct spec *s, struct error *err);
int spec_decode_annotations(struct spec *s, struct error *err);

/* spec_check*.c. Messages start with the property's path, without the file's name. */
int spec_check_process(const struct spec_process *p, struct error *err);
int spec_check_sysctl(const struct spec *s, struct error *err);
int spec_check_net(const struct spec *s, struct error *err);
int spec_check_mounts(const struct spec *s, struct error *err);

#endif
