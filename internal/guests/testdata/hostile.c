// Misbehaves in the way that its first argument names. It is built without a C
// library, so that nothing stands between it and the host.
//
// A mode that the host should survive and refuse prints what it was told and
// ends; "endless" modes have to be stopped; "trap" modes end in a trap.
#include <stdint.h>

#define WASI(result, name, ...)                                                          \
	__attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) result name(__VA_ARGS__)

typedef uint32_t u32;
typedef uint64_t u64;

WASI(u32, args_get, u32, u32);
WASI(u32, args_sizes_get, u32, u32);
WASI(u32, environ_get, u32, u32);
WASI(u32, environ_sizes_get, u32, u32);
WASI(u32, clock_res_get, u32, u32);
WASI(u32, clock_time_get, u32, u64, u32);
WASI(u32, fd_advise, u32, u64, u64, u32);
WASI(u32, fd_allocate, u32, u64, u64);
WASI(u32, fd_close, u32);
WASI(u32, fd_datasync, u32);
WASI(u32, fd_fdstat_get, u32, u32);
WASI(u32, fd_fdstat_set_flags, u32, u32);
WASI(u32, fd_fdstat_set_rights, u32, u64, u64);
WASI(u32, fd_filestat_get, u32, u32);
WASI(u32, fd_filestat_set_size, u32, u64);
WASI(u32, fd_filestat_set_times, u32, u64, u64, u32);
WASI(u32, fd_pread, u32, u32, u32, u64, u32);
WASI(u32, fd_prestat_get, u32, u32);
WASI(u32, fd_prestat_dir_name, u32, u32, u32);
WASI(u32, fd_pwrite, u32, u32, u32, u64, u32);
WASI(u32, fd_read, u32, u32, u32, u32);
WASI(u32, fd_readdir, u32, u32, u32, u64, u32);
WASI(u32, fd_renumber, u32, u32);
WASI(u32, fd_seek, u32, u64, u32, u32);
WASI(u32, fd_sync, u32);
WASI(u32, fd_tell, u32, u32);
WASI(u32, fd_write, u32, u32, u32, u32);
WASI(u32, path_create_directory, u32, u32, u32);
WASI(u32, path_filestat_get, u32, u32, u32, u32, u32);
WASI(u32, path_filestat_set_times, u32, u32, u32, u32, u64, u64, u32);
WASI(u32, path_link, u32, u32, u32, u32, u32, u32, u32);
WASI(u32, path_open, u32, u32, u32, u32, u32, u64, u64, u32, u32);
WASI(u32, path_readlink, u32, u32, u32, u32, u32, u32);
WASI(u32, path_remove_directory, u32, u32, u32);
WASI(u32, path_rename, u32, u32, u32, u32, u32, u32);
WASI(u32, path_symlink, u32, u32, u32, u32, u32);
WASI(u32, path_unlink_file, u32, u32, u32);
WASI(u32, poll_oneoff, u32, u32, u32, u32);
WASI(_Noreturn void, proc_exit, u32);
WASI(u32, random_get, u32, u32);
WASI(u32, sched_yield, void);
WASI(u32, sock_accept, u32, u32, u32);
WASI(u32, sock_recv, u32, u32, u32, u32, u32, u32);
WASI(u32, sock_send, u32, u32, u32, u32, u32);
WASI(u32, sock_shutdown, u32, u32);

enum { STDIN, STDOUT, STDERR, ROOT, PAGE = 65536, MiB = 1 << 20 };
enum { CREAT = 1, DIRECTORY = 2 }; // flags to open with

static const u64 all_rights = (1 << 29) - 1;
// What a directory can be asked for: all but to write, allocate and resize it.
static const u64 directory_rights = all_rights & ~(1 << 6 | 1 << 8 | 1 << 22);

static u32 address(const void *p) { return (u32)(uintptr_t)p; }

struct buffer {
	u32 at, size;
};

// ---- printing

static u32 length(const char *s) {
	u32 n = 0;
	while (s[n])
		n++;
	return n;
}

static void say(const char *s) {
	struct buffer b = {address(s), length(s)};
	u32 n;
	fd_write(STDOUT, address(&b), 1, address(&n));
}

static void say_number(const char *what, u64 n) {
	char digits[24], *p = digits + sizeof digits;
	*--p = 0;
	*--p = '\n';
	do
		*--p = '0' + n % 10;
	while (n /= 10);
	*--p = ' ';
	say(what);
	say(p);
}

static u32 parse(const char *s, u32 otherwise) {
	if (!s)
		return otherwise;
	u32 n = 0;
	for (; *s >= '0' && *s <= '9'; s++)
		n = n * 10 + (*s - '0');
	return n;
}

// ---- endless

static volatile u32 sink;

static void spin(const char *unused) {
	for (;;)
		sink++;
}

__attribute__((noinline)) static void step(void) { sink++; }

static void spin_calls(const char *unused) {
	for (;;)
		step();
}

static void spin_host(const char *unused) {
	u64 now;
	for (;;)
		clock_time_get(1, 1, address(&now));
}

static void spin_print(const char *unused) {
	for (;;)
		say("and on and on\n");
}

static void sleep_forever(const char *unused) {
	u64 clock[6] = {0, 0, 1, UINT64_MAX, 0, 0}, event[4];
	u32 n;
	poll_oneoff(address(clock), address(event), 1, address(&n));
	say("woke up\n");
}

// ---- traps

static u32 recurse_forever(u32 n);
static u32 (*volatile again)(u32) = recurse_forever;

static u32 recurse_forever(u32 n) { return again(n + 1) * 31 + n; }

static void recurse(const char *unused) { sink = recurse_forever(0); }

// Eight values each that are alive across the call below.
#define EACH(X, p) X(p##0) X(p##1) X(p##2) X(p##3) X(p##4) X(p##5) X(p##6) X(p##7)
#define READ(v) u64 v = sink;
#define ADD(v) sum = sum * 31 + v;

static u64 recurse_wide_forever(u64 n);
static u64 (*volatile again_wide)(u64) = recurse_wide_forever;

// Recurses with frames of half a kilobyte and more.
static u64 recurse_wide_forever(u64 n) {
	EACH(READ, a) EACH(READ, b) EACH(READ, c) EACH(READ, d) EACH(READ, e) EACH(READ, f) EACH(READ, g) EACH(READ, h)
	u64 sum = again_wide(n + 1);
	EACH(ADD, a) EACH(ADD, b) EACH(ADD, c) EACH(ADD, d) EACH(ADD, e) EACH(ADD, f) EACH(ADD, g) EACH(ADD, h)
	return sum;
}

static void recurse_wide(const char *unused) { sink = (u32)recurse_wide_forever(0); }

static void out_of_bounds(const char *unused) { sink = *(volatile u32 *)0xfffffff0; }

static void out_of_bounds_write(const char *unused) {
	for (u32 at = PAGE;; at += PAGE)
		*(volatile u32 *)at = 0;
}

static void divide(const char *unused) {
	volatile u32 zero = 0;
	sink = sink / zero;
}

static void call_null(const char *unused) {
	void (*volatile nowhere)(void) = (void (*)(void))0xffff;
	nowhere();
}

static void call_wrong(const char *unused) {
	u64 (*volatile wrong)(u64) = (u64(*)(u64))(uintptr_t)again;
	sink = (u32)wrong(1);
}

static void trap_after_output(const char *unused) {
	say("the last line before the trap\nand half a line");
	__builtin_trap();
}

// ---- memory

static void memory(const char *unused) {
	u32 pages = 0;
	for (u32 at; (at = (u32)__builtin_wasm_memory_grow(0, 16)) != UINT32_MAX; pages += 16)
		for (u32 i = 0; i < 16 * PAGE; i += 4096)
			*(volatile u32 *)(at * PAGE + i) = ~0u;
	say_number("pages grown:", pages);
}

static void memory_at_once(const char *unused) {
	say_number("grow by 65535 pages:", (u32)__builtin_wasm_memory_grow(0, 65535));
	say_number("grow by 4294967295 pages:", (u32)__builtin_wasm_memory_grow(0, UINT32_MAX));
}

// ---- files

static u32 open_at(u32 dir, const char *path, u32 flags, u32 *fd) {
	u64 rights = flags & DIRECTORY ? directory_rights : all_rights;
	return path_open(dir, 0, address(path), length(path), flags, rights, all_rights, 0, address(fd));
}

static void open_many(const char *count) {
	u32 most = parse(count, 1000000), opened = 0, error = 0, fd = 0, highest = 0;
	while (opened < most && (error = open_at(ROOT, "one", CREAT, &fd)) == 0) {
		opened++;
		highest = fd;
	}
	say_number("opened:", opened);
	say_number("errno:", error);
	u32 closed = 0;
	for (u32 i = ROOT + 1; i <= highest; i++)
		closed += fd_close(i) == 0;
	say_number("closed:", closed);
	say_number("open again:", open_at(ROOT, "one", 0, &fd));
}

static void make_many(const char *count) {
	u32 most = parse(count, 1000000), made = 0, error = 0;
	char name[] = "file-00000000";
	for (u32 fd; made < most; made++) {
		for (u32 i = 0, n = made; i < 8; i++, n /= 10)
			name[12 - i] = '0' + n % 10;
		if ((error = open_at(ROOT, name, CREAT, &fd)))
			break;
		fd_close(fd);
	}
	say_number("made:", made);
	say_number("errno:", error);
}

static u32 arena(u32 pages) { return (u32)__builtin_wasm_memory_grow(0, pages) * PAGE; }

// Fills the file system with a file until the host refuses.
static void fill(const char *megabytes) {
	u32 most = parse(megabytes, 1 << 20), fd, n = 0, error = open_at(ROOT, "full", CREAT, &fd);
	struct buffer b = {arena(16), MiB};
	u64 written = 0;
	for (u32 i = 0; !error && i < most; i++, written += n) {
		error = fd_write(fd, address(&b), 1, address(&n));
		if (!error && n == 0)
			break;
	}
	say_number("errno:", error);
	say_number("wrote:", written);
}

static struct buffer whole_memory[4096];

// Asks to write the whole memory 4096 times over in one call.
static void giant_write(const char *to) {
	u32 fd = STDOUT, n = 0;
	if (to && *to == 'f')
		open_at(ROOT, "giant", CREAT, &fd);
	arena(64);
	for (u32 i = 0; i < 4096; i++)
		whole_memory[i] = (struct buffer){0, __builtin_wasm_memory_size(0) * PAGE};
	u32 error = fd_write(fd, address(whole_memory), 4096, address(&n));
	struct buffer all = {0, UINT32_MAX};
	u32 beyond = fd_write(fd, address(&all), 1, address(&n));
	u32 many = fd_write(fd, 0, UINT32_MAX, address(&n));
	say("\n");
	say_number("errno:", error);
	say_number("beyond memory, errno:", beyond);
	say_number("too many buffers, errno:", many);
}

static void giant_sizes(const char *unused) {
	u32 fd, n;
	struct buffer b = {0, 1};
	say_number("open:", open_at(ROOT, "sparse", CREAT, &fd));
	say_number("set size 2^60:", fd_filestat_set_size(fd, 1ull << 60));
	say_number("set size 2^63:", fd_filestat_set_size(fd, 1ull << 63));
	say_number("allocate at 2^60:", fd_allocate(fd, 1ull << 60, 1));
	say_number("allocate 2^64-1:", fd_allocate(fd, 1, UINT64_MAX));
	say_number("write at 2^62:", fd_pwrite(fd, address(&b), 1, 1ull << 62, address(&n)));
	say_number("write at 2^63-1:", fd_pwrite(fd, address(&b), 1, INT64_MAX, address(&n)));
}

// Nests directories, then walks a path as long as the memory.
static void deep(const char *count) {
	u32 most = parse(count, 100000), dir = ROOT, made = 0, error = 0;
	for (u32 next; made < most; made++) {
		if ((error = path_create_directory(dir, address("d"), 1)))
			break;
		if ((error = open_at(dir, "d", DIRECTORY, &next)))
			break;
		if (dir != ROOT)
			fd_close(dir);
		dir = next;
	}
	say_number("nested:", made);
	say_number("errno:", error);
	u32 pages = 64, at = arena(pages);
	for (u32 i = 0; i < pages * PAGE; i += 2) {
		*(char *)(at + i) = 'd';
		*(char *)(at + i + 1) = '/';
	}
	u32 stat[16];
	say_number("long path:", path_filestat_get(ROOT, 0, at, pages * PAGE, address(stat)));
	say_number("long name:", path_create_directory(ROOT, at, 1) == 0 ? 0 : 1);
	say_number("loop:", path_symlink(address("round"), 5, ROOT, address("round"), 5));
	say_number("through a loop:", path_filestat_get(ROOT, 1, address("round/x"), 7, address(stat)));
}

static void escape(const char *unused) {
	static const char *const ways[] = {
		"..", "../", "/", "/etc/passwd", "a/../../etc/passwd", "./..", "..\\..", "out/passwd", "out/../..", "//etc",
	};
	u32 fd, failed = 0;
	path_create_directory(ROOT, address("a"), 1);
	path_symlink(address("../../../../../../etc"), 21, ROOT, address("out"), 3);
	path_symlink(address("/etc"), 4, ROOT, address("out2"), 4);
	for (u32 i = 0; i < sizeof ways / sizeof *ways; i++) {
		u32 error = path_open(ROOT, 1, address(ways[i]), length(ways[i]), 0, 2, 0, 0, address(&fd));
		say(ways[i]);
		say_number(", errno:", error);
		failed += error == 0;
	}
	say_number("escaped:", failed);
	if (failed)
		proc_exit(1);
}

// ---- calls

static void poll_many(const char *count) {
	u32 n = parse(count, 100000), got = 0;
	u32 at = arena((n * 80 + PAGE - 1) / PAGE + 1);
	for (u32 i = 0; i < n; i++) { // clock subscriptions that are over at once
		u64 *s = (u64 *)(uintptr_t)(at + i * 48);
		s[0] = i;
		s[2] = 1;
	}
	say_number("poll of many, errno:", poll_oneoff(at, at + n * 48, n, address(&got)));
	say_number("poll of none, errno:", poll_oneoff(at, at, 0, address(&got)));
	say_number("poll of 4294967295, errno:", poll_oneoff(0, 0, UINT32_MAX, address(&got)));
}

static void random_much(const char *unused) {
	u32 at = arena(256);
	say_number("16 MiB, errno:", random_get(at, 256 * PAGE));
	say_number("4 GiB, errno:", random_get(0, UINT32_MAX));
}

static void echo(const char *unused) {
	u32 at = arena(1), n = 0, error;
	struct buffer in = {at, 4096};
	while ((error = fd_read(STDIN, address(&in), 1, address(&n))) == 0 && n > 0)
		for (struct buffer out = {at, n}; out.size > 0; out.at += n, out.size -= n)
			if ((error = fd_write(STDOUT, address(&out), 1, address(&n))))
				proc_exit(error);
	proc_exit(error);
}

static void leave(const char *code) { proc_exit(parse(code, 0)); }

// Numbers for the calls below: a xorshift whose state stays in registers,
// since the host may write anywhere.
static u64 next(u64 *state) {
	u64 x = *state;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}

// A pointer or a length: null, the very end of memory and beyond, huge, or
// somewhere in the arena.
static inline u32 wild(u64 *state, u32 base, u32 end) {
	u64 x = next(state);
	switch (x & 15) {
	case 0: return 0;
	case 1: return end - (u32)(x >> 8) % 64;
	case 2: return end + (u32)(x >> 8) % 64;
	case 3: return UINT32_MAX - (u32)(x >> 8) % 64;
	case 4: return 0x80000000 - (u32)(x >> 8) % 2;
	case 5: return (u32)(x >> 32) | 0x10000000;
	case 6:
	case 7: return (u32)(x >> 8) % 128;
	default: return base + (u32)(x >> 8) % (end - base);
	}
}

static inline u32 wild_fd(u64 *state) {
	u32 x = (u32)next(state);
	return x % 8 == 0 ? x : x % 8 == 1 ? UINT32_MAX - x % 32 : ROOT + x % 6;
}

// Calls every host function with wild arguments, again and again. Descriptors
// 0 to 2 stay open, and no poll can wait long.
__attribute__((noinline)) static void pointers(const char *count) {
	u32 rounds = parse(count, 20000);
	u32 base = arena(2), end = base + 2 * PAGE;
	u64 state = 0x9e3779b97f4a7c15, *s = &state;
	for (u32 i = 0; i < rounds; i++) {
		for (u32 at = base; at < base + 512; at += 4)
			*(u32 *)(uintptr_t)at = wild(s, base, end);
		for (u32 at = base + 512; at < base + 768; at++)
			*(char *)(uintptr_t)at = "/.ab\0/.c"[next(s) & 7];
#define P wild(s, base, end)
#define PATH base + 512 + (u32)next(s) % 192, (u32)next(s) % 64
#define F wild_fd(s)
#define L ((u64)(int64_t)(int32_t)wild(s, base, end) << (next(s) & 31))
		switch (next(s) % 45) {
		case 0: args_get(P, P); break;
		case 1: args_sizes_get(P, P); break;
		case 2: environ_get(P, P); break;
		case 3: environ_sizes_get(P, P); break;
		case 4: clock_res_get(P, P); break;
		case 5: clock_time_get(P, L, P); break;
		case 6: fd_advise(F, L, L, P); break;
		case 7: fd_allocate(F, L, L); break;
		case 8: fd_close(F); break;
		case 9: fd_datasync(F); break;
		case 10: fd_fdstat_get(F, P); break;
		case 11: fd_fdstat_set_flags(F, P); break;
		case 12: fd_fdstat_set_rights(F, L, L); break;
		case 13: fd_filestat_get(F, P); break;
		case 14: fd_filestat_set_size(F, L); break;
		case 15: fd_filestat_set_times(F, L, L, P); break;
		case 16: fd_pread(F, P, P, L, P); break;
		case 17: fd_prestat_get(F, P); break;
		case 18: fd_prestat_dir_name(F, P, P); break;
		case 19: fd_pwrite(F, P, P, L, P); break;
		case 20: fd_read(F, P, P, P); break;
		case 21: fd_readdir(F, P, P, L, P); break;
		case 22: fd_renumber(F, F); break;
		case 23: fd_seek(F, L, P, P); break;
		case 24: fd_sync(F); break;
		case 25: fd_tell(F, P); break;
		case 26: fd_write(F, P, P, P); break;
		case 27: path_create_directory(F, PATH); break;
		case 28: path_filestat_get(F, P, PATH, P); break;
		case 29: path_filestat_set_times(F, P, P, P, L, L, P); break;
		case 30: path_link(F, P, PATH, F, PATH); break;
		case 31: path_open(ROOT, (u32)next(s) & 1, PATH, (u32)next(s) & 15, L, L, (u32)next(s) & 31, base + 768); break;
		case 32: path_open(F, P, P, P, P, L, L, P, P); break;
		case 33: path_readlink(F, PATH, P, P, P); break;
		case 34: path_remove_directory(F, PATH); break;
		case 35: path_rename(F, PATH, F, PATH); break;
		case 36: path_symlink(PATH, F, PATH); break;
		case 37: path_unlink_file(F, P, P); break;
		case 38: poll_oneoff(end - (u32)next(s) % 96, P, 2 + (u32)next(s) % 8, P); break;
		case 39: random_get(P, P); break;
		case 40: sched_yield(); break;
		case 41: sock_accept(F, P, P); break;
		case 42: sock_recv(F, P, P, P, P, P); break;
		case 43: sock_send(F, P, P, P, P); break;
		case 44: sock_shutdown(F, P); break;
		}
	}
	// What is said is made of code, for the host has written over all data.
	volatile char said[] = {0, 0, 0, 0, 0};
	said[0] = 'd', said[1] = 'o', said[2] = 'n', said[3] = 'e';
	say_number((const char *)said, rounds);
}

static const struct {
	const char *name;
	void (*run)(const char *argument);
} modes[] = {
	{"spin", spin},
	{"spin-calls", spin_calls},
	{"spin-host", spin_host},
	{"spin-print", spin_print},
	{"sleep-forever", sleep_forever},
	{"recurse", recurse},
	{"recurse-wide", recurse_wide},
	{"out-of-bounds", out_of_bounds},
	{"out-of-bounds-write", out_of_bounds_write},
	{"divide", divide},
	{"call-null", call_null},
	{"call-wrong", call_wrong},
	{"trap-after-output", trap_after_output},
	{"memory", memory},
	{"memory-at-once", memory_at_once},
	{"open-many", open_many},
	{"make-many", make_many},
	{"fill", fill},
	{"giant-write", giant_write},
	{"giant-sizes", giant_sizes},
	{"deep", deep},
	{"escape", escape},
	{"poll-many", poll_many},
	{"random-much", random_much},
	{"echo", echo},
	{"exit", leave},
	{"pointers", pointers},
};

static int same(const char *a, const char *b) {
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

static const char *arguments[16];
static char text[4096];

__attribute__((export_name("_start"))) void _start(void) {
	u32 count = 0, size = 0;
	args_sizes_get(address(&count), address(&size));
	if (count < 2 || count > 15 || size > sizeof text || args_get(address(arguments), address(text)))
		proc_exit(2);
	for (u32 i = 0; i < sizeof modes / sizeof *modes; i++)
		if (same(modes[i].name, arguments[1])) {
			modes[i].run(arguments[2]);
			proc_exit(0);
		}
	say("no such mode\n");
	proc_exit(2);
}
