/* cli/cmd_images.c -- pull of one image, images. Several tags or platforms at once: cmd_transfer.c. */
#include "cli/cli_int.h"
#include "cli/listing.h"
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHORT_ID 12

/* A colon before the last slash belongs to the registry's port. */
static bool has_tag(const char *reference)
{
	const char *slash = strrchr(reference, '/');

	return strpbrk(slash ? slash : reference, ":@") != NULL;
}

int skf_cli_pull_one(struct skf_cli *c, const char *reference)
{
	struct skf_pull_req q = SKF_REQ(struct skf_pull_req);
	struct skf_cli_progress p;
	struct skf_pull_ret ret;
	char full[SKF_MAX_REF_BYTES + 1];
	int r;

	q.reference = reference;
	q.platform = c->o.platform;
	if (skf_cli_how(c, &q.how) < 0 || skf_cli_engine(c) < 0)
		return skf_cli_fail(c, 1);
	skf_cli_progress_init(&p, stdout, c->o.quiet);
	if (!c->o.quiet && !has_tag(reference))
		printf("Using default tag: latest\n");
	r = skf_engine_pull(c->g, &q, &p.p, &ret, &c->e);
	skf_cli_progress_done(&p);
	if (r < 0)
		return skf_cli_fail(c, 1);
	skf_ref_full(&ret.ref, full);
	if (!c->o.quiet) {
		char name[SKF_MAX_REF_BYTES + 1];

		skf_ref_familiar_name(&ret.ref, name);
		printf("Digest: %s\nStatus: %s for %s%s%s\n", ret.top.s,
		       ret.up_to_date ? "Image is up to date" : "Downloaded newer image", name,
		       ret.ref.tag[0] ? ":" : "@", ret.ref.tag[0] ? ret.ref.tag : ret.ref.digest.s);
	}
	printf("%s\n", full);
	return 0;
}

static void image_row(const struct skf_cli *c, struct skf_table *t, const struct skf_image_row *r,
		      int64_t now)
{
	const char *hex = strchr(r->id, ':');
	char id[SKF_DIGEST_MAX], created[80], size[32];

	if (c->o.no_trunc)
		snprintf(id, sizeof(id), "%s", r->id);
	else
		snprintf(id, sizeof(id), "%.*s", SHORT_ID, hex ? hex + 1 : r->id);
	if (c->o.quiet) {
		printf("%s\n", id);
		return;
	}
	skf_human_ago(r->created_ns, now, created, sizeof(created));
	skf_human_size(r->size, size, sizeof(size));
	skf_table_add(t, r->repository);
	skf_table_add(t, r->tag);
	if (c->o.digests)
		skf_table_add(t, r->digest);
	skf_table_add(t, id);
	skf_table_add(t, created);
	skf_table_add(t, size);
}

static int print_plain(struct skf_cli *c, const struct skf_jarr *rows)
{
	static const char *const head[] = {"REPOSITORY", "TAG", "DIGEST", "IMAGE ID", "CREATED", "SIZE"};
	SKF_AUTO(skf_table_done) struct skf_table t = SKF_TABLE(c->o.digests ? 6 : 5);
	const struct skf_image_row *v = rows->v;
	int64_t now = skf_now_ns();

	for (size_t i = 0; !c->o.quiet && !c->o.noheading && i < SKF_ARRAY_LEN(head); i++)
		if (i != 2 || c->o.digests)
			skf_table_add(&t, head[i]);
	for (size_t i = 0; i < rows->n; i++)
		image_row(c, &t, &v[i], now);
	skf_table_print(&t);
	return 0;
}

/* In docker's order, which {{json .}} shows. NULL without memory. */
static struct json_object *image_document(const struct skf_cli *c, const struct skf_image_row *r,
					  int64_t now)
{
	const char *hex = strchr(r->id, ':');
	char id[SKF_DIGEST_MAX], created[64], since[80], size[32];
	const char *const pairs[][2] = {{"Containers", "N/A"},
					{"CreatedAt", created},
					{"CreatedSince", since},
					{"Digest", r->digest},
					{"ID", id},
					{"Repository", r->repository},
					{"SharedSize", "N/A"},
					{"Size", size},
					{"Tag", r->tag},
					{"UniqueSize", "N/A"},
					{"VirtualSize", size}};

	snprintf(id, sizeof(id), "%.*s", c->o.no_trunc ? SKF_DIGEST_MAX - 1 : SHORT_ID,
		 hex && !c->o.no_trunc ? hex + 1 : r->id);
	skf_cli_time_text(r->created_ns, created);
	skf_human_ago(r->created_ns, now, since, sizeof(since));
	skf_human_size(r->size, size, sizeof(size));
	return skf_listing_document(pairs, SKF_ARRAY_LEN(pairs));
}

static int print_formatted(struct skf_cli *c, struct skf_listing *l, const struct skf_jarr *rows)
{
	const struct skf_image_row *v = rows->v;
	int64_t now = skf_now_ns();

	for (size_t i = 0; i < rows->n; i++) {
		struct json_object *o = image_document(c, &v[i], now);
		int r = o ? skf_listing_row(l, o, &c->e)
			  : skf_fail(&c->e, SKF_ENOMEM, "memory for the list");

		json_object_put(o);
		if (r < 0)
			return -1;
	}
	return skf_listing_end(l, &c->e);
}

/* What users type after until= becomes a time; the engine takes no durations. */
int skf_cli_until_filters(struct skf_cli *c, struct skf_strv *ret)
{
	for (size_t i = 0; i < c->o.filter.n; i++) {
		const char *w = c->o.filter.v[i];
		char t[36];
		int64_t ns;

		if (skf_startswith(w, "until=")) {
			if (skf_human_parse_time(w + 6, skf_now_ns(), &ns) < 0)
				return skf_fail(&c->e, SKF_EINVALID, "invalid filter '%s'", w);
			skf_time_rfc3339(ns, t);
			w = skf_arena_fmt(&c->a, "until=%s", t);
		}
		if (!w || skf_strv_add(&c->a, ret, w) < 0)
			return skf_fail(&c->e, SKF_ENOMEM, "memory for the filters");
	}
	return 0;
}

/* --- the order: podman's words for it --- */
static int by_name(const void *a, const void *b)
{
	const struct skf_image_row *x = a, *y = b;
	int r = strcmp(x->repository, y->repository);

	return r ? r : strcmp(x->tag, y->tag);
}

static int by_id(const void *a, const void *b)
{
	int r = strcmp(((const struct skf_image_row *)a)->id, ((const struct skf_image_row *)b)->id);

	return r ? r : by_name(a, b);
}

static int by_tag(const void *a, const void *b)
{
	int r = strcmp(((const struct skf_image_row *)a)->tag, ((const struct skf_image_row *)b)->tag);

	return r ? r : by_name(a, b);
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = ((const struct skf_image_row *)a)->size, y = ((const struct skf_image_row *)b)->size;

	return x != y ? (x < y ? -1 : 1) : by_name(a, b);
}

static const struct order {
	const char *word;
	int (*cmp)(const void *a, const void *b); /* NULL: as the engine lists them, newest first */
} orders[] = {{"id", by_id}, {"repository", by_name}, {"size", by_size}, {"tag", by_tag}, {"created", NULL}};

static int find_order(struct skf_cli *c, const struct order **ret)
{
	const char *w = c->o.sort ? c->o.sort : "created";

	for (size_t i = 0; i < SKF_ARRAY_LEN(orders); i++)
		if (skf_streq(orders[i].word, w)) {
			*ret = &orders[i];
			return 0;
		}
	return skf_fail(
		&c->e, SKF_EINVALID,
		"\"%s\" is not a valid field for sorting. Choose from: id, repository, size, tag, created",
		w);
}

static int list_images(struct skf_cli *c, struct skf_listing *l)
{
	struct skf_images_req q = SKF_REQ(struct skf_images_req);
	const struct order *order;
	struct skf_jarr rows;
	bool plain;

	if (skf_cli_check_filters(c) < 0 || find_order(c, &order) < 0)
		return skf_cli_usage(c);
	l->no_head = c->o.noheading;
	q.reference = c->args.n ? c->args.v[0] : NULL;
	if (skf_listing_init(l, c->o.format, &c->a, &plain, &c->e) < 0 ||
	    skf_cli_until_filters(c, &q.filters) < 0 || skf_cli_engine(c) < 0 ||
	    skf_engine_images_list(c->g, &q, &c->a, &rows, &c->e) < 0)
		return skf_cli_fail(c, 1);
	if (order->cmp && rows.n)
		qsort(rows.v, rows.n, sizeof(struct skf_image_row), order->cmp);
	if (plain)
		return print_plain(c, &rows);
	return print_formatted(c, l, &rows) < 0 ? skf_cli_fail(c, 1) : 0;
}

int skf_cmd_images(struct skf_cli *c)
{
	static const struct skf_listing_head heads[] = {{"Containers", "CONTAINERS"},
							{"CreatedAt", "CREATED AT"},
							{"CreatedSince", "CREATED"},
							{"Digest", "DIGEST"},
							{"ID", "IMAGE ID"},
							{"Repository", "REPOSITORY"},
							{"SharedSize", "SHARED SIZE"},
							{"Size", "SIZE"},
							{"Tag", "TAG"},
							{"UniqueSize", "UNIQUE SIZE"},
							{"VirtualSize", "SIZE"},
							{NULL, NULL}};
	struct skf_listing l = {.heads = heads, .env = {.type = "*formatter.imageContext"}};
	int r = list_images(c, &l);

	skf_listing_done(&l);
	return r;
}
