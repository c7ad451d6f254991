// A library that lets two workers work at once, and adds up what they say. Each of
// its calls takes effect once, whatever is killed meanwhile.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../guest/c/waterbear.h"

static const char *const workers[] = {"counter/left", "counter/right"};

// give_up shows why a call has no result, and fails the invocation.
static void give_up(const char *worker, const waterbear_error *e) {
	fprintf(stderr, "%s: %.*s\n", worker, (int)e->message.length, e->message.data);
	abort();
}

// Adds n to both counters, and gives the sum of what they count then.
__attribute__((export_name("both"))) int64_t both(int32_t n) {
	char args[16];
	int length = snprintf(args, sizeof args, "[%d]", n);
	waterbear_call_result keys[2];
	for (int i = 0; i < 2; i++) {
		waterbear_start(workers[i], strlen(workers[i]), "add", 3, args, length, &keys[i]);
		if (keys[i].failed)
			give_up(workers[i], &keys[i].error);
	}
	int64_t sum = 0;
	for (int i = 0; i < 2; i++) {
		waterbear_call_result r;
		waterbear_await_result(workers[i], strlen(workers[i]), keys[i].text.data, keys[i].text.length, &r);
		waterbear_free(keys[i].text);
		if (r.failed)
			give_up(workers[i], &r.error);
		printf("%s says %.*s\n", workers[i], (int)r.text.length, r.text.data);
		// [n]: a text has no zero byte at its end, and strtoll stops at the bracket.
		sum += strtoll(r.text.data + 1, NULL, 10);
		waterbear_free(r.text);
	}
	fflush(stdout);
	return sum;
}
