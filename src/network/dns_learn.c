#include "network/dns_int.h"
void skf_dns_learn(struct skf_dns *d, const struct skf_dns_pending *f, const uint8_t *p, size_t n)
{
}
