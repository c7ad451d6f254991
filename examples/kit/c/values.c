// Values of every kind go in and out. Whoever is called owns the arguments; the
// bindings free what is returned.
#include <math.h>

#include "text.h"

typedef exports_waterbear_kit_values_person_t person;
typedef exports_waterbear_kit_values_point_t point;
typedef exports_waterbear_kit_values_shape_t shape;
typedef exports_waterbear_kit_values_list_person_t list_person;
typedef exports_waterbear_kit_values_list_shape_t list_shape;
typedef exports_waterbear_kit_values_list_direction_t list_direction;
typedef exports_waterbear_kit_values_direction_t direction;
typedef exports_waterbear_kit_values_rights_t rights;
typedef exports_waterbear_kit_values_parse_error_t parse_error;
typedef exports_waterbear_kit_values_everything_t everything;

void exports_waterbear_kit_values_birthday(person *who, person *ret) {
	*ret = *who;
	if (ret->age < 255)
		ret->age++;
	ret->tags.ptr = need(who->tags.len + 1, sizeof(kit_string_t));
	ret->tags.len = who->tags.len + 1;
	if (who->tags.len) {
		memcpy(ret->tags.ptr, who->tags.ptr, who->tags.len * sizeof(kit_string_t));
		free(who->tags.ptr);
	}
	ret->tags.ptr[who->tags.len] = text_literal(TEXT("birthday"));
}

void exports_waterbear_kit_values_sort(list_person *people, list_person *ret) {
	*ret = *people;
	for (size_t i = 1; i < ret->len; i++) {
		person one = ret->ptr[i];
		size_t at = i;
		for (; at > 0 && ret->ptr[at - 1].age > one.age; at--)
			ret->ptr[at] = ret->ptr[at - 1];
		ret->ptr[at] = one;
	}
}

static double area(const shape *s) {
	switch (s->tag) {
	case EXPORTS_WATERBEAR_KIT_VALUES_SHAPE_CIRCLE:
		return M_PI * s->val.circle * s->val.circle;
	case EXPORTS_WATERBEAR_KIT_VALUES_SHAPE_RECTANGLE:
		return s->val.rectangle.f0 * s->val.rectangle.f1;
	case EXPORTS_WATERBEAR_KIT_VALUES_SHAPE_POLYGON: {
		double twice = 0;
		size_t n = s->val.polygon.len;
		for (size_t i = 0; i < n; i++) {
			point p = s->val.polygon.ptr[i], q = s->val.polygon.ptr[(i + 1) % n];
			twice += p.x * q.y - q.x * p.y;
		}
		return fabs(twice) / 2;
	}
	default:
		return 0;
	}
}

void exports_waterbear_kit_values_areas(list_shape *shapes, kit_list_f64_t *ret) {
	ret->len = shapes->len;
	ret->ptr = need(shapes->len, sizeof(double));
	for (size_t i = 0; i < shapes->len; i++)
		ret->ptr[i] = area(&shapes->ptr[i]);
	exports_waterbear_kit_values_list_shape_free(shapes);
}

void exports_waterbear_kit_values_scale(shape *what, double factor, shape *ret) {
	*ret = *what;
	switch (ret->tag) {
	case EXPORTS_WATERBEAR_KIT_VALUES_SHAPE_CIRCLE:
		ret->val.circle *= factor;
		break;
	case EXPORTS_WATERBEAR_KIT_VALUES_SHAPE_RECTANGLE:
		ret->val.rectangle.f0 *= factor;
		ret->val.rectangle.f1 *= factor;
		break;
	case EXPORTS_WATERBEAR_KIT_VALUES_SHAPE_POLYGON:
		for (size_t i = 0; i < ret->val.polygon.len; i++) {
			ret->val.polygon.ptr[i].x *= factor;
			ret->val.polygon.ptr[i].y *= factor;
		}
		break;
	}
}

direction exports_waterbear_kit_values_turn(direction from, int32_t quarters) {
	return (direction)((from + (uint32_t)quarters) % 4);
}

void exports_waterbear_kit_values_walk(list_direction *steps, kit_tuple2_s32_s32_t *ret) {
	ret->f0 = ret->f1 = 0;
	for (size_t i = 0; i < steps->len; i++)
		switch (steps->ptr[i]) {
		case EXPORTS_WATERBEAR_KIT_VALUES_DIRECTION_NORTH:
			ret->f1++;
			break;
		case EXPORTS_WATERBEAR_KIT_VALUES_DIRECTION_EAST:
			ret->f0++;
			break;
		case EXPORTS_WATERBEAR_KIT_VALUES_DIRECTION_SOUTH:
			ret->f1--;
			break;
		case EXPORTS_WATERBEAR_KIT_VALUES_DIRECTION_WEST:
			ret->f0--;
			break;
		}
	exports_waterbear_kit_values_list_direction_free(steps);
}

rights exports_waterbear_kit_values_grant(rights has, rights more) { return has | more; }

bool exports_waterbear_kit_values_divide(int32_t dividend, int32_t divisor, int32_t *ret, kit_string_t *err) {
	if (divisor == 0) {
		*err = text_literal(TEXT("division by zero"));
		return false;
	}
	if (dividend == INT32_MIN && divisor == -1) {
		*err = text_literal(TEXT("overflow"));
		return false;
	}
	*ret = dividend / divisor;
	return true;
}

bool exports_waterbear_kit_values_parse(kit_string_t *text, uint64_t *ret, parse_error *err) {
	bool overflow = false;
	uint32_t position = 0;
	*ret = 0;
	err->tag = EXPORTS_WATERBEAR_KIT_VALUES_PARSE_ERROR_EMPTY;
	bool ok = text->len > 0;
	for (size_t i = 0; ok && i < text->len; i += text_width(*text, i), position++) {
		uint32_t found = text_char(*text, i);
		if (found < '0' || found > '9') {
			err->tag = EXPORTS_WATERBEAR_KIT_VALUES_PARSE_ERROR_BAD_DIGIT;
			err->val.bad_digit.position = position;
			err->val.bad_digit.found = found;
			ok = false;
		}
		overflow |= __builtin_mul_overflow(*ret, 10, ret);
		overflow |= __builtin_add_overflow(*ret, found - '0', ret);
	}
	if (ok && overflow) {
		err->tag = EXPORTS_WATERBEAR_KIT_VALUES_PARSE_ERROR_OVERFLOW;
		err->val.overflow = *text;
		return false;
	}
	kit_string_free(text);
	return ok;
}

bool exports_waterbear_kit_values_check(bool holds) { return holds; }

int64_t exports_waterbear_kit_values_sum(kit_list_s32_t *numbers) {
	int64_t sum = 0;
	for (size_t i = 0; i < numbers->len; i++)
		sum += numbers->ptr[i];
	kit_list_s32_free(numbers);
	return sum;
}

void exports_waterbear_kit_values_reverse(kit_list_u8_t *bytes, kit_list_u8_t *ret) {
	*ret = *bytes;
	for (size_t i = 0; i < ret->len / 2; i++) {
		uint8_t first = ret->ptr[i];
		ret->ptr[i] = ret->ptr[ret->len - 1 - i];
		ret->ptr[ret->len - 1 - i] = first;
	}
}

void exports_waterbear_kit_values_mirror(kit_string_t *text, kit_string_t *ret) {
	*ret = text_copy(text->ptr, text->len);
	for (size_t i = 0, width; i < text->len; i += width) {
		width = text_width(*text, i);
		memcpy(ret->ptr + text->len - i - width, text->ptr + i, width * sizeof(unit));
	}
	kit_string_free(text);
}

void exports_waterbear_kit_values_repeat(kit_string_t *text, uint32_t times, kit_string_t *ret) {
	if (__builtin_mul_overflow(text->len, (size_t)times, &ret->len))
		abort();
	ret->ptr = need(ret->len, sizeof(unit));
	for (unit *to = ret->ptr; to < ret->ptr + ret->len;)
		to = text_append(to, *text);
	kit_string_free(text);
}

void exports_waterbear_kit_values_split(kit_string_t *text, uint32_t separator, kit_list_string_t *ret) {
	size_t parts = 1;
	for (size_t i = text_find(*text, 0, separator); i < text->len; parts++)
		i = text_find(*text, i + text_width(*text, i), separator);
	ret->ptr = need(parts, sizeof(kit_string_t));
	ret->len = parts;
	for (size_t i = 0, begin = 0; i < parts; i++) {
		size_t end = text_find(*text, begin, separator);
		ret->ptr[i] = text_copy(text->ptr + begin, end - begin);
		begin = end < text->len ? end + text_width(*text, end) : end;
	}
	kit_string_free(text);
}

void exports_waterbear_kit_values_join(kit_list_string_t *parts, kit_string_t *separator, kit_string_t *ret) {
	ret->len = parts->len ? (parts->len - 1) * separator->len : 0;
	for (size_t i = 0; i < parts->len; i++)
		ret->len += parts->ptr[i].len;
	ret->ptr = need(ret->len, sizeof(unit));
	unit *to = ret->ptr;
	for (size_t i = 0; i < parts->len; i++) {
		if (i > 0)
			to = text_append(to, *separator);
		to = text_append(to, parts->ptr[i]);
	}
	kit_list_string_free(parts);
	kit_string_free(separator);
}

void exports_waterbear_kit_values_transpose(kit_list_list_u32_t *rows, kit_list_list_u32_t *ret) {
	ret->len = rows->len ? rows->ptr[0].len : 0;
	ret->ptr = need(ret->len, sizeof(kit_list_u32_t));
	for (size_t i = 0; i < ret->len; i++) {
		ret->ptr[i].len = rows->len;
		ret->ptr[i].ptr = need(rows->len, sizeof(uint32_t));
		for (size_t k = 0; k < rows->len; k++) {
			if (i >= rows->ptr[k].len)
				abort();
			ret->ptr[i].ptr[k] = rows->ptr[k].ptr[i];
		}
	}
	kit_list_list_u32_free(rows);
}

void exports_waterbear_kit_values_count(kit_list_string_t *words, kit_list_tuple2_string_u32_t *ret) {
	ret->ptr = need(words->len, sizeof(kit_tuple2_string_u32_t));
	ret->len = 0;
	for (size_t i = 0; i < words->len; i++) {
		size_t k = 0;
		while (k < ret->len && !text_equal(ret->ptr[k].f0, words->ptr[i]))
			k++;
		if (k == ret->len)
			ret->ptr[ret->len++].f0 = text_copy(words->ptr[i].ptr, words->ptr[i].len);
		ret->ptr[k].f1++;
	}
	kit_list_string_free(words);
}

void exports_waterbear_kit_values_swap(kit_tuple2_string_u32_t *pair, kit_tuple2_u32_string_t *ret) {
	ret->f0 = pair->f1;
	ret->f1 = pair->f0;
}

bool exports_waterbear_kit_values_flip(exports_waterbear_kit_values_result_list_string_u32_t *outcome, uint32_t *ret, kit_list_string_t *err) {
	if (outcome->is_err)
		*ret = outcome->val.err;
	else
		*err = outcome->val.ok;
	return outcome->is_err;
}

bool exports_waterbear_kit_values_wrap(uint32_t *maybe_value, kit_option_u32_t *ret) {
	ret->is_some = maybe_value != NULL;
	ret->val = maybe_value ? *maybe_value : 0;
	return true;
}

bool exports_waterbear_kit_values_unwrap(kit_option_u32_t *maybe_value, uint32_t *ret) {
	if (!maybe_value || !maybe_value->is_some)
		return false;
	*ret = maybe_value->val;
	return true;
}

void exports_waterbear_kit_values_pack(bool truth, uint8_t unsigned8, int8_t signed8, uint16_t unsigned16,
		int16_t signed16, uint32_t unsigned32, int32_t signed32, uint64_t unsigned64, int64_t signed64, float float32,
		double float64, uint32_t letter, kit_string_t *text, kit_string_t *maybe_maybe, kit_list_u8_t *bytes,
		everything *ret) {
	*ret = (everything){
		truth, unsigned8, signed8, unsigned16, signed16, unsigned32, signed32, unsigned64, signed64, float32, float64,
		letter, *text, {maybe_maybe != NULL}, *bytes,
	};
	if (maybe_maybe)
		ret->maybe.val = *maybe_maybe;
}
