/* cli/cmd_system_prune.c -- system prune, and what every prune shares. */
#include "cli/cli_int.h"

int skf_cli_prune_filters(struct skf_cli *c, struct skf_strv *ret)
{
	for (size_t i = 0; i < c->o.filter.n; i++) {
		char *f = c->o.filter.v[i], when[36];
		int64_t ns;

		if (skf_startswith(f, "until=") && skf_human_parse_time(f + 6, skf_now_ns(), &ns) == 0) {
			skf_time_rfc3339(ns, when);
			f = skf_arena_fmt(&c->a, "until=%s", when);
		}
		if (!f || skf_strv_add(&c->a, ret, f) < 0)
			return skf_fail(&c->e, SKF_ENOMEM, "memory for the filters");
	}
	return 0;
}

/* docker asks; without a terminal nobody can answer, and that is a no. */
static bool agreed(const struct skf_cli *c)
{
	char line[16];

	if (c->o.force)
		return true;
	printf("WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at "
	       "least one container\n");
	if (c->o.volumes)
		printf("  - all anonymous volumes not used by at least one container\n");
	printf("  - all %s\n  - unfinished downloads that nobody works on\n",
	       c->o.all ? "images without at least one container associated to them" : "dangling images");
	if (c->o.filter.n) {
		printf("\n  Items to be pruned will be filtered with:\n");
		for (size_t i = 0; i < c->o.filter.n; i++)
			printf("  - %s\n", c->o.filter.v[i]);
	}
	printf("\nAre you sure you want to continue? [y/N] ");
	fflush(stdout);
	return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
}

int skf_cmd_system_prune(struct skf_cli *c)
{
	struct skf_system_prune_req q = SKF_REQ(struct skf_system_prune_req);
	const struct skf_pruned *v;
	struct skf_jarr groups;
	uint64_t bytes;
	char size[32];

	q.all = c->o.all;
	q.volumes = c->o.volumes;
	if (skf_cli_prune_filters(c, &q.filters) < 0)
		return skf_cli_fail(c, 1);
	if (!agreed(c))
		return 0;
	if (skf_cli_engine(c) < 0 || skf_engine_system_prune(c->g, &q, &c->a, &groups, &bytes, &c->e) < 0)
		return skf_cli_fail(c, 1);
	v = groups.v;
	for (size_t i = 0; i < groups.n; i++) {
		printf("%s:\n", v[i].title);
		for (size_t k = 0; k < v[i].lines.n; k++)
			printf("%s\n", v[i].lines.v[k]);
		printf("\n");
	}
	skf_human_size(bytes, size, sizeof(size));
	printf("Total reclaimed space: %s\n", size);
	return 0;
}
