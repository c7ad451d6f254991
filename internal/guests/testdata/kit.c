// A library that has every effect that tests of workers want to see.
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/random.h>
#include <wasi/api.h>

#define EXPORT(name) __attribute__((export_name(#name))) name

static int64_t counter;
static int64_t registered;

__attribute__((constructor)) static void begin(void) { counter = 0; }

int32_t EXPORT(add)(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }
int64_t EXPORT(add64)(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }
float EXPORT(half32)(float v) { return v / 2; }
double EXPORT(half64)(double v) { return v / 2; }
void EXPORT(nothing)(void) {}

// A counter in memory.
int64_t EXPORT(inc)(int64_t n) { return counter += n; }
int64_t EXPORT(get)(void) { return counter; }

// A register: gives what was there before.
int64_t EXPORT(put)(int64_t v) {
	int64_t before = registered;
	registered = v;
	return before;
}

// A counter in a file.
int64_t EXPORT(file_inc)(int64_t n) {
	int64_t v = 0;
	FILE *f = fopen("/counter", "r");
	if (f) {
		if (fread(&v, sizeof v, 1, f) != 1)
			v = 0;
		fclose(f);
	}
	v += n;
	f = fopen("/counter", "w");
	if (!f || fwrite(&v, sizeof v, 1, f) != 1 || fclose(f) != 0)
		abort();
	return v;
}

// Draws a random number; mixes it into the counter, so that replay is seen.
int64_t EXPORT(roll)(void) {
	uint64_t v;
	if (getentropy(&v, sizeof v))
		abort();
	counter += (int64_t)(v >> 32);
	return (int64_t)(v >> 1);
}

// The wall clock, in nanoseconds, likewise.
int64_t EXPORT(now)(void) {
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	int64_t ns = t.tv_sec * 1000000000ll + t.tv_nsec;
	counter += ns & 1;
	return ns;
}

// Prints a line n times to stdout and once to stderr.
void EXPORT(print)(int32_t n) {
	for (int32_t i = 0; i < n; i++)
		printf("line %d\n", i);
	fflush(stdout);
	fprintf(stderr, "printed %d\n", n);
}

// Sleeps and gives the milliseconds that it took, in full hundreds.
int64_t EXPORT(nap)(int64_t milliseconds) {
	struct timespec before, after, t = {milliseconds / 1000, milliseconds % 1000 * 1000000};
	clock_gettime(CLOCK_MONOTONIC, &before);
	nanosleep(&t, NULL);
	clock_gettime(CLOCK_MONOTONIC, &after);
	return (after.tv_sec - before.tv_sec) * 1000ll + (after.tv_nsec - before.tv_nsec) / 1000000;
}

// n steps of work, each of which reads the clock.
int64_t EXPORT(steps)(int64_t n) {
	struct timespec t;
	for (int64_t i = 0; i < n; i++) {
		clock_gettime(CLOCK_MONOTONIC, &t);
		counter++;
	}
	return counter;
}

// Fails: always alike, without having observed anything.
void EXPORT(fail)(void) {
	counter += 1000;
	fprintf(stderr, "about to fail\n");
	__builtin_trap();
}

// Fails unless the clock, in nanoseconds, is divisible by n: worth repeating.
int64_t EXPORT(flaky)(int64_t n) {
	counter += 1000;
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	if (t.tv_nsec % n) {
		fprintf(stderr, "no luck\n");
		__builtin_trap();
	}
	return counter -= 1000;
}

void EXPORT(leave)(int32_t code) { exit(code); }

// Computes for ever.
void EXPORT(spin)(void) {
	for (volatile int i = 0;; i++)
		;
}

// Computes n rounds.
int64_t EXPORT(work)(int64_t n) {
	volatile uint64_t h = 1469598103934665603ull;
	for (int64_t i = 0; i < n; i++)
		h = (h ^ (uint64_t)i) * 1099511628211ull;
	return (int64_t)(h >> 1);
}

// Takes n pages of memory; gives how many there are, or -1.
int32_t EXPORT(grow)(int32_t n) {
	if (__builtin_wasm_memory_grow(0, n) == (size_t)-1)
		return -1;
	return (int32_t)__builtin_wasm_memory_size(0);
}

// Writes n bytes to a file; gives 0 or the error number.
int32_t EXPORT(fill)(int64_t n) {
	static char block[65536];
	FILE *f = fopen("/fill", "w");
	if (!f)
		return errno;
	setvbuf(f, NULL, _IONBF, 0);
	while (n > 0) {
		size_t m = n < (int64_t)sizeof block ? (size_t)n : sizeof block;
		if (fwrite(block, 1, m, f) != m) {
			int e = errno;
			fclose(f);
			return e;
		}
		n -= (int64_t)m;
	}
	return fclose(f) ? errno : 0;
}

// Recurses for ever.
int32_t EXPORT(recurse)(int32_t n) {
	volatile char room[256];
	room[n & 255] = (char)n;
	return recurse(n + 1) + room[(n + 1) & 255];
}

// Prints for ever.
void EXPORT(chatter)(void) {
	static char line[4096];
	memset(line, 'x', sizeof line - 1);
	for (;;)
		puts(line);
}

// Reads the clock for ever.
void EXPORT(clockwork)(void) {
	struct timespec t;
	for (;;)
		clock_gettime(CLOCK_REALTIME, &t);
}

// Gives how many arguments and environment variables there are: 100 * the
// first + the second.
int32_t EXPORT(count)(void) {
	__wasi_size_t argc, bytes, envc;
	if (__wasi_args_sizes_get(&argc, &bytes) || __wasi_environ_sizes_get(&envc, &bytes))
		return -1;
	return (int32_t)(100 * argc + envc);
}
