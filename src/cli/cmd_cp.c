/* cli/cmd_cp.c -- cp: CONTAINER:PATH on either side, "-" for a tar on the other. */
#include "cli/cli_int.h"
#include "engine/life.h"
#include <string.h>
#include <unistd.h>

struct place {
	const char *container, *path;
};

/* docker's rule: a path that begins with '/' or '.' is one of the host; else what stands before the first
 * colon is a container. */
static int parse(struct skf_cli *c, const char *word, struct place *ret)
{
	const char *colon = strchr(word, ':');
	char *name;

	*ret = (struct place){NULL, word};
	if (word[0] == '/' || word[0] == '.' || !colon)
		return 0;
	name = skf_arena_dup(&c->a, word, (size_t)(colon - word));
	if (!name)
		return skf_fail(&c->e, SKF_ENOMEM, "memory for the names");
	*ret = (struct place){name, colon + 1};
	return 0;
}

static int check(struct skf_cli *c, const struct place *from, const struct place *to)
{
	if (!from->container && !to->container)
		return skf_fail(&c->e, SKF_EINVALID, "must specify at least one container source");
	if ((from->container && !*from->path) || (to->container && !*to->path))
		return skf_fail(&c->e, SKF_EINVALID, "arg can not be empty");
	return 0;
}

int skf_cmd_cp(struct skf_cli *c)
{
	struct skf_cp_req q = SKF_REQ(struct skf_cp_req);
	struct place from, to;

	if (parse(c, c->args.v[0], &from) < 0 || parse(c, c->args.v[1], &to) < 0 || check(c, &from, &to) < 0)
		return skf_cli_fail(c, 1);
	q.from_container = from.container;
	q.from = from.path;
	q.to_container = to.container;
	q.to = to.path;
	q.archive = c->o.archive;
	q.follow_link = c->o.follow_link;
	q.in_fd = !from.container && skf_streq(from.path, "-") ? STDIN_FILENO : -1;
	q.out_fd = !to.container && skf_streq(to.path, "-") ? STDOUT_FILENO : -1;
	if (q.out_fd >= 0 && isatty(STDOUT_FILENO) == 1) {
		skf_fail(&c->e, SKF_EINVALID,
			 "a tar is not written to a terminal: redirect standard output");
		return skf_cli_fail(c, 1);
	}
	if (skf_cli_engine(c) < 0 || skf_engine_cp(c->g, &q, &c->e) < 0)
		return skf_cli_fail(c, 1);
	return 0;
}
