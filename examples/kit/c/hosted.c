// What the world kit-hosted has besides.
#include "text.h"

typedef waterbear_kit_host_own_bucket_t own_bucket;

// A failed put gives its reason in err.
bool exports_kit_fill(kit_string_t *name, kit_list_tuple2_string_list_u8_t *entries, kit_list_string_t *ret,
		kit_string_t *err) {
	own_bucket bucket = waterbear_kit_host_constructor_bucket(name);
	waterbear_kit_host_borrow_bucket_t borrowed = waterbear_kit_host_borrow_bucket(bucket);
	bool ok = true;
	for (size_t i = 0; ok && i < entries->len; i++) {
		kit_tuple2_string_list_u8_t *entry = &entries->ptr[i];
		waterbear_kit_host_log(WATERBEAR_KIT_LEVELS_LEVEL_DEBUG, &entry->f0);
		ok = waterbear_kit_host_method_bucket_put(borrowed, &entry->f0, &entry->f1, err);
		if (!ok)
			waterbear_kit_host_log(WATERBEAR_KIT_LEVELS_LEVEL_WARNING, err);
	}
	if (ok)
		waterbear_kit_host_method_bucket_keys(borrowed, ret);
	waterbear_kit_host_bucket_drop_own(bucket);
	kit_list_tuple2_string_list_u8_free(entries);
	kit_string_free(name);
	return ok;
}

bool exports_kit_look_up(kit_string_t *name, kit_string_t *key, kit_list_u8_t *ret) {
	own_bucket bucket;
	kit_string_t why;
	bool found = false;
	if (waterbear_kit_host_static_bucket_open(name, &bucket, &why)) {
		found = waterbear_kit_host_method_bucket_get(waterbear_kit_host_borrow_bucket(bucket), key, ret);
		waterbear_kit_host_bucket_drop_own(bucket);
	} else {
		waterbear_kit_host_log(WATERBEAR_KIT_LEVELS_LEVEL_ERROR, &why);
		kit_string_free(&why);
	}
	kit_string_free(name);
	kit_string_free(key);
	return found;
}

uint64_t exports_kit_weigh(waterbear_kit_host_borrow_bucket_t bucket) {
	uint64_t weight = 0;
	kit_list_string_t keys;
	waterbear_kit_host_method_bucket_keys(bucket, &keys);
	for (size_t i = 0; i < keys.len; i++) {
		kit_list_u8_t value;
		if (!waterbear_kit_host_method_bucket_get(bucket, &keys.ptr[i], &value))
			continue;
		weight += value.len;
		kit_list_u8_free(&value);
	}
	kit_list_string_free(&keys);
	waterbear_kit_host_bucket_drop_borrow(bucket);
	return weight;
}

static bool holds;
static own_bucket held;

bool exports_kit_hold(own_bucket bucket, own_bucket *ret) {
	bool held_before = holds;
	*ret = held;
	held = bucket;
	holds = true;
	return held_before;
}

bool exports_kit_discard(uint32_t *ret) {
	if (!holds)
		return false;
	holds = false;
	*ret = waterbear_kit_host_remove(held);
	return true;
}
