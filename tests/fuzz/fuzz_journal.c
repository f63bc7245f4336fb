/* The journal of a container. What is read from it keeps its bounds and comes from whole lines; a journal
 * cut at any place says nothing that the whole one does not say. */
#include "runtime/runtime_int.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool has_line(const char *text, size_t n, const char *start, const char *part)
{
	for (const char *p = text; p < text + n;) {
		const char *nl = memchr(p, '\n', (size_t)(text + n - p));
		size_t len;

		if (!nl)
			return false;
		len = (size_t)(nl - p);
		if (len > strlen(start) && memcmp(p, start, strlen(start)) == 0 &&
		    memmem(p + strlen(start), len - strlen(start), part, strlen(part)))
			return true;
		p = nl + 1;
	}
	return false;
}

static void check(const struct skf_journal *j, const char *text, size_t n)
{
	if (strnlen(j->cgroup, sizeof(j->cgroup)) == sizeof(j->cgroup) ||
	    strnlen(j->scope, sizeof(j->scope)) == sizeof(j->scope) ||
	    strnlen(j->rdt, sizeof(j->rdt)) == sizeof(j->rdt) ||
	    strnlen(j->boot_id, sizeof(j->boot_id)) == sizeof(j->boot_id))
		abort();
	if (j->pid < 0 ||
	    (j->has_cgroup && (j->cgroup[0] != '/' || !has_line(text, n, "cgroup ", j->cgroup))))
		abort();
	if (j->pid > 0 && !has_line(text, n, "pid ", j->boot_id))
		abort();
	if ((j->scope[0] && !has_line(text, n, "scope ", j->scope)) ||
	    (j->rdt[0] && !has_line(text, n, "rdt ", j->rdt)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct skf_journal j;
	char *text = malloc(size ? size : 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	skf_journal_parse(text, size, &j);
	check(&j, text, size);
	if (size > 0) {
		size_t cut = data[0] * size / 256;
		char *head = malloc(cut ? cut : 1);

		if (head) {
			memcpy(head, text, cut);
			skf_journal_parse(head, cut, &j);
			check(&j, text, size);
		}
		free(head);
	}
	free(text);
	return 0;
}
