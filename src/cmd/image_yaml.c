/* cmd/image_yaml.c -- a YAML document of the user's as JSON, for a front end that links no parser of it
 * (registry/yaml.c). */
#include "base/fd.h"
#include "base/limits.h"
#include "cmd/image_place.h"
#include "registry/registry.h"

int image_serve_yaml(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
		     struct skf_err *e)
{
	SKF_AUTO(skf_buf_done)
	struct skf_buf in = SKF_BUF(SKF_MAX_OBJECT_BYTES + 1), out = SKF_BUF(SKF_MAX_OBJECT_BYTES * 8);
	(void)q;
	if (peer->fds->n != 1)
		return skf_fail(e, SKF_EINVALID, "the request is cut short");
	int r = skf_read_fd(peer->fds->fd[0], SKF_MAX_OBJECT_BYTES, &in);
	if (r < 0)
		return skf_fail_sys(e, r, "read the list");
	if (skf_yaml_to_json(skf_buf_cstr(&in), in.len, &out, e) < 0)
		return -1;
	image_send_text(peer, out.p, out.len);
	image_put_done(answer);
	return 0;
}
