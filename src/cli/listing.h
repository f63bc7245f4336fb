/* cli/listing.h -- --format of the verbs that print a list: "table", "table TEMPLATE", "json" or a template,
 * as docker's. */
#pragma once
#include "base/buf.h"
#include "cli/template.h"

struct json_object;
struct skf_listing_head {
	const char *field, *head; /* "ID", "CONTAINER ID" */
};
struct skf_listing {
	const struct skf_listing_head *heads; /* every field of a row; ends with a NULL field */
	struct skf_tmpl_env env;              /* of the rows: type and method */
	bool no_head;                         /* a table without its line of titles */
	/* private */
	bool json, table;
	struct skf_tmpl *t;
	struct skf_buf out; /* of a table: all lines, until the end */
};
/* True: docker's own table is wanted (no format, or "table"), nothing was set up. Otherwise parses: INVALID.
 */
int skf_listing_init(struct skf_listing *l, const char *format, struct skf_arena *a, bool *ret_default,
		     struct skf_err *e);
bool skf_listing_uses(const struct skf_listing *l, const char *field);
/* A row of texts: name and value of each field. Owned by the caller; NULL: no memory. */
struct json_object *skf_listing_document(const char *const pairs[][2], size_t n);
/* Prints one row, or keeps it when it belongs to a table. */
int skf_listing_row(struct skf_listing *l, struct json_object *row, struct skf_err *e);
int skf_listing_end(struct skf_listing *l, struct skf_err *e);
void skf_listing_done(struct skf_listing *l);
/* Lines with cells that end in tabs, as Go's tabwriter aligns them (minimal width 10, 3 spaces between). */
void skf_tabs_align(const char *text, size_t n, struct skf_buf *out);
