/* cli/cmd_network.c -- network create, ls, rm, connect, disconnect, prune, update, reload, exists; and port.
 * network inspect: cmd_inspect.c. */
#include "cli/cli_int.h"
#include "cli/listing.h"
#include <json-c/json.h>
#include <string.h>

static int no_memory(struct skf_cli *c)
{
	skf_fail(&c->e, SKF_ENOMEM, "memory for the network");
	return skf_cli_fail(c, 1);
}

/* --subnet, --ip-range and --gateway are three lists; a range or gateway belongs to the subnet that contains
 * it, and the engine says when there is none. Found by family here: docker allows one subnet of each, and
 * podman more in order. */
static int pair(struct skf_cli *c, struct skf_network_subnet *v, size_t n, const struct skf_strv *words,
		size_t off)
{
	for (size_t i = 0; i < words->n; i++) {
		bool v6 = strchr(words->v[i], ':') != NULL;
		size_t k = 0;

		while (k < n && (*(const char **)(void *)((char *)&v[k] + off) ||
				 (v[k].subnet && (strchr(v[k].subnet, ':') != NULL) != v6)))
			k++;
		if (k == n)
			return skf_fail(&c->e, SKF_EINVALID, "no matching subnet for %s", words->v[i]);
		*(const char **)(void *)((char *)&v[k] + off) = words->v[i];
	}
	return 0;
}

static int take_subnets(struct skf_cli *c, struct skf_network_create_req *q)
{
	const struct skf_cli_opts *o = &c->o;
	size_t n = o->subnet.n ? o->subnet.n : (o->ip_range.n || o->gateway.n);
	struct skf_network_subnet *v = n ? skf_arena_array(&c->a, n, sizeof(*v)) : NULL;

	if (n && !v)
		return skf_fail(&c->e, SKF_ENOMEM, "memory for the network");
	for (size_t i = 0; i < o->subnet.n; i++)
		v[i].subnet = o->subnet.v[i];
	if (pair(c, v, n, &o->ip_range, offsetof(struct skf_network_subnet, range)) < 0 ||
	    pair(c, v, n, &o->gateway, offsetof(struct skf_network_subnet, gateway)) < 0)
		return -1;
	q->subnets = (struct skf_jarr){v, n};
	return 0;
}

int skf_cmd_network_create(struct skf_cli *c)
{
	const struct skf_cli_opts *o = &c->o;
	struct skf_network_create_req q = {.size = sizeof(q),
					   .version = SKF_ENGINE_API,
					   .name = c->args.v[0],
					   .driver = o->driver,
					   .aux = o->aux_address,
					   .options = o->opt,
					   .labels = o->label,
					   .ipam_options = o->ipam_opt,
					   .dns = o->dns,
					   .internal = o->internal,
					   .ipv6 = o->ipv6,
					   .no_ipv4 = !o->ipv4,
					   .attachable = o->attachable,
					   .disable_dns = o->disable_dns,
					   .ignore = o->ignore,
					   .interface = o->interface_name,
					   .ipam_driver = o->ipam_driver,
					   .egress = o->egress,
					   .egress_allow = o->egress_allow};
	char id[SKF_ID_LEN + 1];

	if (take_subnets(c, &q) < 0 || skf_cli_engine(c) < 0 ||
	    skf_engine_network_create(c->g, &q, id, &c->e) < 0)
		return skf_cli_fail(c, 1);
	printf("%s\n", id);
	return 0;
}

/* --- ls --- */
static bool put(struct json_object *o, const char *key, const char *text)
{
	return json_object_object_add(o, key, json_object_new_string(text)) == 0;
}

static struct json_object *row_document(const struct skf_cli *c, const struct skf_network_row *r)
{
	SKF_AUTO(skf_buf_done) struct skf_buf labels = SKF_BUF(SKF_MAX_SPEC_BYTES);
	struct json_object *o = json_object_new_object();
	char id[SKF_ID_LEN + 1], created[64] = "";

	for (size_t i = 0; i < r->labels.n; i++)
		skf_buf_fmt(&labels, "%s%s=%s", i ? "," : "", r->labels.v[i].k, r->labels.v[i].v);
	snprintf(id, sizeof(id), "%.*s", c->o.no_trunc ? SKF_ID_LEN : 12, r->id);
	if (r->created_ns)
		skf_cli_time_text(r->created_ns, created);
	if (o && put(o, "CreatedAt", created) && put(o, "Driver", r->driver) && put(o, "ID", id) &&
	    put(o, "IPv4", r->ipv4 ? "true" : "false") && put(o, "IPv6", r->ipv6 ? "true" : "false") &&
	    put(o, "Internal", r->internal ? "true" : "false") && put(o, "Labels", skf_buf_cstr(&labels)) &&
	    put(o, "Name", r->name) && put(o, "Scope", r->scope))
		return o;
	json_object_put(o);
	return NULL;
}

static int print_plain(const struct skf_cli *c, const struct skf_jarr *rows)
{
	static const char *const head[] = {"NETWORK ID", "NAME", "DRIVER", "SCOPE"};
	SKF_AUTO(skf_table_done) struct skf_table t = SKF_TABLE(SKF_ARRAY_LEN(head));
	const struct skf_network_row *v = rows->v;

	for (size_t i = 0; !c->o.quiet && !c->o.noheading && i < SKF_ARRAY_LEN(head); i++)
		skf_table_add(&t, head[i]);
	for (size_t i = 0; i < rows->n; i++) {
		char id[SKF_ID_LEN + 1];

		snprintf(id, sizeof(id), "%.*s", c->o.no_trunc ? SKF_ID_LEN : 12, v[i].id);
		if (c->o.quiet) {
			printf("%s\n", id);
			continue;
		}
		skf_table_add(&t, id);
		skf_table_add(&t, v[i].name);
		skf_table_add(&t, v[i].driver);
		skf_table_add(&t, v[i].scope);
	}
	skf_table_print(&t);
	return 0;
}

static const struct skf_listing_head heads[] = {{"CreatedAt", "CREATED AT"},
						{"Driver", "DRIVER"},
						{"ID", "NETWORK ID"},
						{"IPv4", "IPV4"},
						{"IPv6", "IPV6"},
						{"Internal", "INTERNAL"},
						{"Labels", "LABELS"},
						{"Name", "NAME"},
						{"Scope", "SCOPE"},
						{NULL, NULL}};

static int print_formatted(struct skf_cli *c, struct skf_listing *l, const struct skf_jarr *rows)
{
	const struct skf_network_row *v = rows->v;

	for (size_t i = 0; i < rows->n; i++) {
		struct json_object *o = row_document(c, &v[i]);
		int r = o ? skf_listing_row(l, o, &c->e)
			  : skf_fail(&c->e, SKF_ENOMEM, "memory for the list");

		json_object_put(o);
		if (r < 0)
			return -1;
	}
	return skf_listing_end(l, &c->e);
}

int skf_cmd_network_ls(struct skf_cli *c)
{
	struct skf_listing l = {.heads = heads, .env = {.type = "*formatter.NetworkContext"}};
	struct skf_strv filters = {0};
	struct skf_jarr rows;
	bool plain;
	int r = -1;

	if (skf_cli_check_filters(c) < 0)
		return skf_cli_usage(c);
	if (skf_listing_init(&l, c->o.format, &c->a, &plain, &c->e) == 0 &&
	    skf_cli_until_filters(c, &filters) == 0 && skf_cli_engine(c) == 0 &&
	    skf_engine_network_list(c->g, &filters, &c->a, &rows, &c->e) == 0)
		r = plain ? print_plain(c, &rows) : print_formatted(c, &l, &rows);
	skf_listing_done(&l);
	return r < 0 ? skf_cli_fail(c, 1) : 0;
}

/* --- the others --- */
int skf_cmd_network_rm(struct skf_cli *c)
{
	struct skf_err first = SKF_ERR_INIT;

	if (skf_cli_engine(c) < 0)
		return skf_cli_fail(c, 1);
	for (size_t i = 0; i < c->args.n; i++) {
		skf_err_clear(&c->e);
		if (skf_engine_network_rm(c->g, c->args.v[i], c->o.force, &c->e) == 0) {
			printf("%s\n", c->args.v[i]);
			continue;
		}
		if (c->o.force && c->e.kind == SKF_ENOTFOUND)
			continue;
		if (first.kind != SKF_OK)
			skf_cli_error(&first);
		first = c->e;
	}
	c->e = first;
	return first.kind == SKF_OK ? 0 : skf_cli_fail(c, 1);
}

int skf_cmd_network_connect(struct skf_cli *c)
{
	const struct skf_cli_opts *o = &c->o;
	struct skf_net_attach how = {.ip = o->ip,
				     .ip6 = o->ip6,
				     .mac = o->mac_address,
				     .aliases = o->network_alias,
				     .driver_opts = o->driver_opt};

	if (skf_cli_engine(c) < 0 ||
	    skf_engine_network_connect(c->g, c->args.v[0], c->args.v[1], &how, &c->e) < 0)
		return skf_cli_fail(c, 1);
	return 0;
}

int skf_cmd_network_disconnect(struct skf_cli *c)
{
	if (skf_cli_engine(c) < 0 ||
	    skf_engine_network_disconnect(c->g, c->args.v[0], c->args.v[1], c->o.force, &c->e) < 0)
		return skf_cli_fail(c, 1);
	return 0;
}

/* docker asks; without a terminal nobody can answer, and that is a no. */
static bool agreed(const struct skf_cli *c)
{
	char line[16];

	if (c->o.force)
		return true;
	printf("WARNING! This will remove all custom networks not used by at least one container.\nAre you "
	       "sure you want to continue? [y/N] ");
	fflush(stdout);
	return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
}

int skf_cmd_network_prune(struct skf_cli *c)
{
	struct skf_strv names = {0}, filters = {0};

	if (skf_cli_check_filters(c) < 0)
		return skf_cli_usage(c);
	if (skf_cli_until_filters(c, &filters) < 0)
		return skf_cli_fail(c, 1);
	if (!agreed(c))
		return 0;
	if (skf_cli_engine(c) < 0 || skf_engine_network_prune(c->g, &filters, &c->a, &names, &c->e) < 0)
		return skf_cli_fail(c, 1);
	if (names.n)
		printf("Deleted Networks:\n");
	for (size_t i = 0; i < names.n; i++)
		printf("%s\n", names.v[i]);
	return 0;
}

/* podman's lists have commas */
static int split(struct skf_cli *c, const struct skf_strv *words, struct skf_strv *ret)
{
	for (size_t i = 0; i < words->n; i++) {
		char *save = NULL, *copy = skf_arena_strdup(&c->a, words->v[i]);

		for (char *w = copy ? strtok_r(copy, ",", &save) : NULL; w; w = strtok_r(NULL, ",", &save))
			if (skf_strv_add(&c->a, ret, w) < 0)
				return -ENOMEM;
		if (!copy)
			return -ENOMEM;
	}
	return 0;
}

int skf_cmd_network_update(struct skf_cli *c)
{
	struct skf_strv add = {0}, drop = {0};

	if (split(c, &c->o.dns_add, &add) < 0 || split(c, &c->o.dns_drop, &drop) < 0)
		return no_memory(c);
	if (skf_cli_engine(c) < 0 || skf_engine_network_update(c->g, c->args.v[0], &add, &drop, &c->e) < 0)
		return skf_cli_fail(c, 1);
	printf("%s\n", c->args.v[0]);
	return 0;
}

int skf_cmd_network_reload(struct skf_cli *c)
{
	char id[SKF_ID_LEN + 1];

	for (size_t i = 0; i < c->args.n; i++) /* what is loaded is one table: of all, whoever is named */
		if (skf_cli_engine(c) < 0 || skf_engine_resolve(c->g, c->args.v[i], id, &c->e) < 0)
			return skf_cli_fail(c, 1);
	return skf_cli_engine(c) < 0 || skf_engine_network_reload(c->g, &c->e) < 0 ? skf_cli_fail(c, 1) : 0;
}

int skf_cmd_network_exists(struct skf_cli *c)
{
	int r = skf_cli_engine(c) < 0 ? -1 : skf_engine_network_exists(c->g, c->args.v[0], &c->e);

	return r < 0 ? skf_cli_fail(c, 125) : !r;
}

/* --- port --- */
static void print_port(const struct skf_port_row *r, bool with_port)
{
	bool v6 = strchr(r->host_ip, ':') != NULL;

	if (with_port)
		printf("%u/%s -> ", r->port, r->proto);
	printf("%s%s%s:%u\n", v6 ? "[" : "", r->host_ip, v6 ? "]" : "", r->host);
}

int skf_cmd_port(struct skf_cli *c)
{
	char *word = c->args.n > 1 ? skf_arena_strdup(&c->a, c->args.v[1]) : NULL,
	     *proto = word ? strchr(word, '/') : NULL;
	const struct skf_port_row *v;
	struct skf_jarr rows;
	uint32_t port = 0;
	bool found = false;

	if (c->args.n > 1 && !word)
		return no_memory(c);
	if (proto)
		*proto++ = '\0';
	if (word && (skf_parse_u32(word, &port) < 0 || port == 0 || port > UINT16_MAX)) {
		skf_fail(&c->e, SKF_EINVALID, "invalid port '%s'", c->args.v[1]);
		return skf_cli_fail(c, 1);
	}
	if (skf_cli_engine(c) < 0 || skf_engine_ports(c->g, c->args.v[0], &c->a, &rows, &c->e) < 0)
		return skf_cli_fail(c, 1);
	v = rows.v;
	for (size_t i = 0; i < rows.n; i++) {
		if (port && (v[i].port != port || !skf_streq(v[i].proto, proto ? proto : "tcp")))
			continue;
		print_port(&v[i], port == 0);
		found = true;
	}
	if (port && !found) {
		skf_fail(&c->e, SKF_ENOTFOUND, "no public port '%u/%s' published for %s", port,
			 proto ? proto : "tcp", c->args.v[0]);
		return skf_cli_fail(c, 1);
	}
	return 0;
}
