/* store/crc64.c -- CRC-64/XZ: names the file that changed in a layer whose tar as a whole has a SHA-256. By ISA-L (carry-less
 * multiplication: 40 times as fast as SHA-256 with SHA-NI), else by a table of half-bytes, which only reads what others wrote.
 * Pure. */
#include "store/unpack_int.h"
#ifdef SKF_HAVE_ISAL
#include <isa-l/crc64.h>

uint64_t skf_crc64(uint64_t crc, const void *p, size_t n)
{
	return crc64_ecma_refl(crc, p, n);
}

bool skf_crc64_fast(void)
{
	return true;
}
#else
static const uint64_t half[16] = {
	0x0000000000000000, 0x7d9ba13851336649, 0xfb374270a266cc92, 0x86ace348f355aadb, 0x64b62bcaebc387a1, 0x192d8af2baf0e1e8,
	0x9f8169ba49a54b33, 0xe21ac88218962d7a, 0xc96c5795d7870f42, 0xb4f7f6ad86b4690b, 0x325b15e575e1c3d0, 0x4fc0b4dd24d2a599,
	0xadda7c5f3c4488e3, 0xd041dd676d77eeaa, 0x56ed3e2f9e224471, 0x2b769f17cf112238,
};

uint64_t skf_crc64(uint64_t crc, const void *p, size_t n)
{
	const uint8_t *b = p;

	crc = ~crc;
	for (; n > 0; n--, b++) {
		crc = crc >> 4 ^ half[(crc ^ *b) & 15];
		crc = crc >> 4 ^ half[(crc ^ (uint64_t)(*b >> 4)) & 15];
	}
	return ~crc;
}

bool skf_crc64_fast(void)
{
	return false;
}
#endif
