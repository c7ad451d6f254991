// The world kit in C, with the bindings that build.sh has wit-bindgen generate.
#include <stdio.h>

#include "text.h"

typedef exports_waterbear_kit_counters_own_counter_t own_counter;
typedef exports_waterbear_kit_counters_borrow_counter_t borrow_counter;
typedef exports_waterbear_kit_counters_list_borrow_counter_t list_borrow_counter;

struct exports_waterbear_kit_counters_counter_t {
	int64_t value;
};

// Sums wrap around.
static int64_t plus(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }

own_counter exports_waterbear_kit_counters_constructor_counter(int64_t start) {
	exports_waterbear_kit_counters_counter_t *counter = need(1, sizeof *counter);
	counter->value = start;
	return exports_waterbear_kit_counters_counter_new(counter);
}

void exports_waterbear_kit_counters_counter_destructor(exports_waterbear_kit_counters_counter_t *counter) {
	free(counter);
}

int64_t exports_waterbear_kit_counters_method_counter_add(borrow_counter self, int64_t n) {
	int64_t before = self->value;
	self->value = plus(self->value, n);
	return before;
}

int64_t exports_waterbear_kit_counters_method_counter_value(borrow_counter self) { return self->value; }

own_counter exports_waterbear_kit_counters_static_counter_merge(own_counter a, own_counter b) {
	int64_t both = plus(exports_waterbear_kit_counters_counter_rep(a)->value,
		exports_waterbear_kit_counters_counter_rep(b)->value);
	exports_waterbear_kit_counters_counter_drop_own(a);
	exports_waterbear_kit_counters_counter_drop_own(b);
	return exports_waterbear_kit_counters_constructor_counter(both);
}

int64_t exports_waterbear_kit_counters_difference(borrow_counter a, borrow_counter b) {
	return (int64_t)((uint64_t)a->value - (uint64_t)b->value);
}

int64_t exports_waterbear_kit_counters_sum(list_borrow_counter *of) {
	int64_t sum = 0;
	for (size_t i = 0; i < of->len; i++)
		sum = plus(sum, of->ptr[i]->value);
	exports_waterbear_kit_counters_list_borrow_counter_free(of);
	return sum;
}

static int64_t total;
static kit_list_string_t lines;

int64_t exports_kit_add(int64_t n) { return total = plus(total, n); }

int64_t exports_kit_total(void) { return total; }

uint32_t exports_kit_remember(kit_string_t *line) {
	kit_string_t *more = realloc(lines.ptr, (lines.len + 1) * sizeof *more);
	if (!more)
		abort();
	lines.ptr = more;
	lines.ptr[lines.len++] = *line;
	return lines.len;
}

void exports_kit_recall(kit_list_string_t *ret) {
	ret->ptr = need(lines.len, sizeof *ret->ptr);
	ret->len = lines.len;
	for (size_t i = 0; i < lines.len; i++)
		ret->ptr[i] = text_copy(lines.ptr[i].ptr, lines.ptr[i].len);
}

// put_char writes a character in UTF-8.
static void put_char(uint32_t c) {
	if (c < 0x80) {
		putchar(c);
		return;
	}
	int shift = c < 0x800 ? 6 : c < 0x10000 ? 12 : 18;
	putchar((0xf00 >> (shift / 6 + 1) & 0xff) | c >> shift);
	while ((shift -= 6) >= 0)
		putchar(0x80 | (c >> shift & 0x3f));
}

void exports_kit_say(kit_string_t *line) {
	for (size_t i = 0; i < line->len; i += text_width(*line, i))
		put_char(text_char(*line, i));
	putchar('\n');
	fflush(stdout);
	kit_string_free(line);
}

void exports_kit_fail(kit_string_t *why) {
	(void)why;
	__builtin_trap();
}
