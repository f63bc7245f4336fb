/* registry/search.c -- searching a registry: Docker Hub's and old registries' /v1/search, else the names of
 * /v2/_catalog that hold the word (registry v2 has no search). Bounded like a list of tags. Blocks: network.
 */
#include "base/arena.h"
#include "base/json.h"
#include "registry/registry_int.h"
#include <stdlib.h>
#include <string.h>

#define MAX_PAGES 1000
#define HUB       "https://index.docker.io"

struct found {
	char *name, *description;
	uint64_t stars;
	bool official, automated;
};
struct answer {
	struct skf_jarr results;
};
struct catalog {
	struct skf_strv repositories;
};
#define F struct found
static const struct skf_jfield found_f[] = {
	SKF_J(F, name, "name", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	SKF_J(F, description, "description", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J(F, stars, "star_count", skf_j_u64, NULL, SKF_J_NULL_OK),
	SKF_J(F, official, "is_official", skf_j_bool, NULL, SKF_J_NULL_OK),
	SKF_J(F, automated, "is_automated", skf_j_bool, NULL, SKF_J_NULL_OK),
	SKF_J_END,
};
#undef F
static const struct skf_jtable found_table = {.size = sizeof(struct found), .f = found_f};
static const struct skf_jarr_arg found_arg = {&found_table, 10000};
static const struct skf_jfield answer_f[] = {
	SKF_J(struct answer, results, "results", skf_j_arr, &found_arg, SKF_J_REQUIRED), SKF_J_END};
static const struct skf_jtable answer_table = {.size = sizeof(struct answer), .f = answer_f};
static const struct skf_jfield catalog_f[] = {
	SKF_J(struct catalog, repositories, "repositories", skf_j_strv, NULL, SKF_J_NULL_OK), SKF_J_END};
static const struct skf_jtable catalog_table = {.size = sizeof(struct catalog), .f = catalog_f};

static void put_row(struct skf_jw *w, const struct skf_registry *r, const struct found *x)
{
	skf_jw_obj(w);
	skf_jw_kstr(w, "index", r->host);
	skf_jw_kstr(w, "name", x->name);
	skf_jw_kstr(w, "description", x->description);
	skf_jw_ku64(w, "star_count", x->stars);
	skf_jw_kbool(w, "is_official", x->official);
	skf_jw_kbool(w, "is_automated", x->automated);
	skf_jw_end(w);
}

/* 1 answered, 0 the registry has no such API. */
static int by_v1(struct skf_registry *r, const char *word, unsigned limit, struct skf_arena *a,
		 struct skf_jw *w, struct skf_err *e)
{
	SKF_AUTO(skf_http_resp_done) struct skf_http_resp p = {0};
	const struct skf_jdoc d = {.name = "search", .max_bytes = SKF_MAX_MANIFEST_BYTES};
	char url[2048], *escaped = curl_easy_escape(NULL, word, 0);
	struct skf_err none = SKF_ERR_INIT;
	void *doc;
	int rc = escaped ? skf_fmt(url, sizeof(url), "%s/v1/search?q=%s&n=%u",
				   skf_streq(r->host, "docker.io") ? HUB : r->base, escaped, limit)
			 : -ENOMEM;
	curl_free(escaped);
	if (rc < 0)
		return skf_fail_sys(e, rc, "search for '%.100s'", word);
	const struct skf_http_req q = {
		.url = url, .max_body = SKF_MAX_MANIFEST_BYTES, .with_auth = true, .follow = true};
	if (skf_http_do(r, &q, &p, e) < 0)
		return -1;
	if (p.status != 200 ||
	    skf_json_decode(&d, skf_buf_cstr(&p.body), p.body.len, &answer_table, a, &doc, &none) < 0)
		return skf_streq(r->host, "docker.io") ? skf_http_fail_status(r, &p, "search", e) : 0;
	const struct skf_jarr *list = &((struct answer *)doc)->results;
	for (size_t i = 0; i < list->n && i < limit; i++)
		put_row(w, r, &((const struct found *)list->v)[i]);
	return 1;
}

static int by_catalog(struct skf_registry *r, const char *word, unsigned limit, struct skf_arena *a,
		      struct skf_jw *w, struct skf_err *e)
{
	const struct skf_jdoc d = {.name = "catalog", .max_bytes = SKF_MAX_MANIFEST_BYTES};
	char url[4096];
	unsigned n = 0;
	if (skf_fmt(url, sizeof(url), "%s/v2/_catalog?n=1000", r->base) < 0)
		return skf_fail(e, SKF_EINVALID, "registry '%s': the name is too long", r->host);
	for (int i = 0; url[0] && n < limit; i++) {
		SKF_AUTO(skf_http_resp_done) struct skf_http_resp p = {0};
		void *doc;
		if (i >= MAX_PAGES)
			return skf_fail(e, SKF_ELIMIT,
					"registry '%s' sends more than %d pages of its catalog", r->host,
					MAX_PAGES);
		if (skf_registry_page(r, "", url, NULL, &p, e) < 0)
			return -1;
		if (p.status != 200)
			return skf_http_fail_status(r, &p, "catalog", e);
		if (skf_json_decode(&d, skf_buf_cstr(&p.body), p.body.len, &catalog_table, a, &doc, e) < 0)
			return -1;
		const struct skf_strv *names = &((struct catalog *)doc)->repositories;
		for (size_t k = 0; k < names->n && n < limit; k++) {
			const struct found x = {.name = names->v[k]};
			if (!strstr(names->v[k], word))
				continue;
			put_row(w, r, &x);
			n++;
		}
	}
	return 0;
}

int skf_registry_search(struct skf_registry *r, const char *word, unsigned limit, struct skf_buf *ret,
			struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_jw w = SKF_JW(ret);
	if (skf_http_find_scheme(r, e) < 0)
		return -1;
	skf_jw_obj(&w);
	skf_jw_karr(&w, "results");
	int x = by_v1(r, word, limit, &a, &w, e);
	if (x < 0 || (x == 0 && by_catalog(r, word, limit, &a, &w, e) < 0))
		return skf_ctx(e, "search in '%s'", r->host);
	skf_jw_end_arr(&w);
	skf_jw_end(&w);
	return ret->err ? skf_fail_sys(e, ret->err, "search in '%s'", r->host) : 0;
}
