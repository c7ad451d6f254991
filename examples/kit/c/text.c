#include "text.h"

void *need(size_t n, size_t size) {
	void *p = n ? calloc(n, size) : NULL;
	if (n && !p)
		abort();
	return p;
}

kit_string_t text_copy(const unit *units, size_t len) {
	kit_string_t s = {need(len, sizeof(unit)), len};
	if (len)
		memcpy(s.ptr, units, len * sizeof(unit));
	return s;
}

unit *text_append(unit *to, kit_string_t s) {
	if (s.len)
		memcpy(to, s.ptr, s.len * sizeof(unit));
	return to + s.len;
}

bool text_equal(kit_string_t a, kit_string_t b) {
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len * sizeof(unit)) == 0);
}

// What comes in is well-formed: who calls a component must see to it.
#ifdef UTF16

size_t text_width(kit_string_t s, size_t i) { return s.ptr[i] >= 0xd800 && s.ptr[i] < 0xdc00 ? 2 : 1; }

uint32_t text_char(kit_string_t s, size_t i) {
	if (text_width(s, i) == 1)
		return s.ptr[i];
	return 0x10000 + ((uint32_t)(s.ptr[i] - 0xd800) << 10) + (s.ptr[i + 1] - 0xdc00);
}

#else

size_t text_width(kit_string_t s, size_t i) {
	uint8_t first = s.ptr[i];
	return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

uint32_t text_char(kit_string_t s, size_t i) {
	size_t width = text_width(s, i);
	uint32_t c = width == 1 ? s.ptr[i] : s.ptr[i] & (0x7f >> width);
	for (size_t k = 1; k < width; k++)
		c = c << 6 | (s.ptr[i + k] & 0x3f);
	return c;
}

#endif

size_t text_find(kit_string_t s, size_t i, uint32_t character) {
	while (i < s.len && text_char(s, i) != character)
		i += text_width(s, i);
	return i;
}
