// A library: its functions are invoked one by one, and what they leave in
// memory and in files is there for the next one, for ever.
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#define EXPORT(name) __attribute__((export_name(#name))) name

static int64_t total;

// Adds n, which may be negative, and gives the new total.
int64_t EXPORT(add)(int64_t n) {
	total += n;
	printf("added %lld: %lld\n", (long long)n, (long long)total);
	fflush(stdout);
	return total;
}

// Gives the total.
int64_t EXPORT(get)(void) { return total; }

// Sleeps for so many seconds, in no memory if they are many, and gives the total.
int64_t EXPORT(rest)(int32_t seconds) {
	struct timespec t = {.tv_sec = seconds};
	nanosleep(&t, NULL);
	return total;
}
