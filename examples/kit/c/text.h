// Strings as they cross the boundary: of bytes in UTF-8, or with UTF16 of
// 16-bit units in UTF-16.
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kit.h"

#ifdef UTF16
typedef uint16_t unit;
#define TEXT(literal) u##literal
#else
typedef uint8_t unit;
#define TEXT(literal) literal
#endif

// A text is a kit_string_t on the heap, with len units.

// text_literal copies a literal, such as text_literal(TEXT("birthday")).
#define text_literal(literal) text_copy((const unit *)(literal), sizeof(literal) / sizeof(unit) - 1)

kit_string_t text_copy(const unit *units, size_t len);
bool text_equal(kit_string_t a, kit_string_t b);

// text_width is how many units the character at i has.
size_t text_width(kit_string_t s, size_t i);
// text_char is the character at i.
uint32_t text_char(kit_string_t s, size_t i);
// text_find is where the character begins from i on, or s.len.
size_t text_find(kit_string_t s, size_t i, uint32_t character);

// text_append copies s to where to points, and gives the end of it.
unit *text_append(unit *to, kit_string_t s);

// need gives n times size bytes that are 0, and ends the program if there are
// none. For n = 0 it gives NULL: the bindings free nothing that is empty.
void *need(size_t n, size_t size);

#endif
