/* engine/net_filter.c -- which networks a --filter leaves. Values of one word are alternatives, labels and
 * different words all have to match. */
#include "engine/net_filter.h"
#include "engine/pod_int.h"
#include <fcntl.h>
#include <string.h>

static bool is_builtin(const struct skf_network_row *r)
{
	return skf_streq(r->name, SKF_NET_DEFAULT) || skf_streq(r->name, "host") ||
	       skf_streq(r->name, "none");
}

static int check_type(const struct skf_filters *f, struct skf_err *e)
{
	const struct skf_filter *t = skf_filters_get(f, "type");

	for (size_t i = 0; t && i < t->v.n; i++)
		if (!skf_streq(t->v.v[i], "custom") && !skf_streq(t->v.v[i], "builtin"))
			return skf_filters_invalid("type", t->v.v[i], e);
	return 0;
}

int skf_net_filter_init(struct skf_engine *g, const struct skf_strv *words, struct skf_arena *a,
			struct skf_net_filter *ret, struct skf_err *e)
{
	static const char *const known[] = {"driver", "id",   "label",    "label!", "name",
					    "scope",  "type", "dangling", "until",  NULL};

	*ret = (struct skf_net_filter){.until = 0};
	if (skf_filters_parse(words, known, a, &ret->words, e) < 0 ||
	    skf_filters_until(&ret->words, &ret->until, e) < 0 ||
	    skf_filters_bool(&ret->words, "dangling", &ret->dangling, e) < 0 ||
	    check_type(&ret->words, e) < 0)
		return -1;
	return ret->dangling < 0 ? 0 : skf_net_used(g, a, &ret->used, e);
}

bool skf_net_filter_match(const struct skf_net_filter *f, const struct skf_network_row *r)
{
	bool in_use = is_builtin(r);

	for (size_t i = 0; i < f->used.n && !in_use; i++)
		in_use = skf_streq(f->used.v[i], r->id);
	return (f->dangling < 0 || in_use == !f->dangling) &&
	       skf_filters_match(&f->words, "name", r->name) && skf_filters_match(&f->words, "id", r->id) &&
	       skf_filters_exact(&f->words, "driver", r->driver) &&
	       skf_filters_exact(&f->words, "scope", r->scope) &&
	       skf_filters_exact(&f->words, "type", is_builtin(r) ? "builtin" : "custom") &&
	       skf_filters_prune(&f->words, &r->labels, r->created_ns, f->until);
}

/* --- networks in use --- */
/* Networks that a container wants or has. */
static int add_used(struct skf_engine *g, const char *id, struct skf_arena *a, struct skf_strv *ret,
		    struct skf_err *e)
{
	struct skf_net_choice *c;
	struct skf_net_conf *conf;

	if (skf_net_conf_read(g, id, a, &conf, e) < 0)
		return -1;
	c = conf->networks.v;
	for (size_t i = 0; i < conf->networks.n; i++)
		if (skf_strv_add(a, ret, c[i].network) < 0)
			return skf_net_no_memory(e);
	return 0;
}

int skf_net_used(struct skf_engine *g, struct skf_arena *a, struct skf_strv *ret, struct skf_err *e)
{
	SKF_AUTO_DIR DIR *d = skf_ctr_opendir(g, e);
	struct skf_strv pods = {0};
	const char *id;

	if (!d)
		return -1;
	while ((id = skf_ctr_next(d)))
		if (add_used(g, id, a, ret, e) < 0)
			return -1;
	if (skf_pod_list(g, a, &pods, e) < 0)
		return -1;
	for (size_t i = 0; i < pods.n; i++)
		if (add_used(g, pods.v[i], a, ret, e) < 0)
			return -1;
	return 0;
}
