// A small key-value store on files, and a workload that tries it: values are
// appended to segments, an index in memory tells where, full segments are
// renamed away and now and then merged. After each batch it prints a digest of
// all it holds; at the end it forgets everything, reads its files anew and
// demands the same digest.
//
//	ledger [batches [operations]]
//
// It works in the directory "ledger", which it makes.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	KEYS = 512,
	SEGMENT_BYTES = 64 << 10,
	SEGMENTS_TO_MERGE = 6,
	VALUE_BYTES = 200,
	USAGE = 2,
};

// A record in a segment: this header, then length bytes of value. A length of
// -1 says that the key was deleted.
struct record {
	uint32_t checksum; // of all that follows
	uint16_t key;
	int16_t length;
};

// Where the value of a key is. Segment 0 stands for "no value".
struct place {
	uint32_t segment, offset;
	int length;
};

static struct place places[KEYS]; // the index
static uint32_t model[KEYS];      // what the workload last put: the hash of the value, or 0
static uint32_t current = 1;      // the segment that is appended to
static int append_fd = -1;
static uint32_t append_offset;

static void die(const char *format, ...) {
	int saved = errno;
	va_list args;
	va_start(args, format);
	fprintf(stderr, "ledger: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, " (errno %d)\n", saved);
	va_end(args);
	exit(1);
}

static uint32_t hash(uint32_t h, const void *data, size_t n) {
	const uint8_t *p = data;
	while (n--)
		h = (h ^ *p++) * 16777619;
	return h;
}

// A stream of numbers that is the same in every run.
static uint64_t random_state = 88172645463325252;

static uint32_t next_number(void) {
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 32);
}

static const char *segment_path(uint32_t segment) {
	static char path[32];
	snprintf(path, sizeof path, "ledger/segment-%05u", segment);
	return path;
}

static uint32_t record_checksum(const struct record *r, const void *value) {
	uint32_t h = hash(2166136261, &r->key, sizeof *r - sizeof r->checksum);
	return r->length > 0 ? hash(h, value, r->length) : h;
}

static void append_record(int fd, uint16_t key, const void *value, int length) {
	uint8_t buffer[sizeof(struct record) + VALUE_BYTES];
	struct record r = {.key = key, .length = (int16_t)length};
	size_t n = sizeof r;
	r.checksum = record_checksum(&r, value);
	memcpy(buffer, &r, sizeof r);
	if (length > 0) {
		memcpy(buffer + n, value, length);
		n += length;
	}
	if (write(fd, buffer, n) != (ssize_t)n)
		die("append to %s", segment_path(current));
}

static void open_current(void) {
	append_fd = open("ledger/current", O_WRONLY | O_CREAT | O_APPEND, 0666);
	if (append_fd < 0)
		die("open ledger/current");
	append_offset = (uint32_t)lseek(append_fd, 0, SEEK_END);
}

// The current segment is called "current" until it is full.
static int open_segment(uint32_t segment) {
	const char *path = segment == current ? "ledger/current" : segment_path(segment);
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		die("open %s", path);
	return fd;
}

static void roll(void) {
	if (fsync(append_fd) || close(append_fd))
		die("close ledger/current");
	if (rename("ledger/current", segment_path(current)))
		die("rename ledger/current to %s", segment_path(current));
	unlink("ledger/latest");
	if (symlink(segment_path(current) + strlen("ledger/"), "ledger/latest"))
		die("link ledger/latest");
	current++;
	open_current();
}

static void put(uint16_t key, const void *value, int length) {
	append_record(append_fd, key, value, length);
	places[key] = (struct place){length < 0 ? 0 : current, append_offset, length};
	append_offset += sizeof(struct record) + (length > 0 ? length : 0);
	if (append_offset >= SEGMENT_BYTES)
		roll();
}

// Reads the value of a key, compares its checksum, and returns its length, or
// -1 if there is none.
static int get(uint16_t key, void *value) {
	struct place at = places[key];
	if (at.segment == 0)
		return -1;
	int fd = open_segment(at.segment);
	struct record r;
	if (pread(fd, &r, sizeof r, at.offset) != sizeof r || r.key != key || r.length != at.length)
		die("key %u is not at %u in segment %u", key, at.offset, at.segment);
	if (pread(fd, value, r.length, at.offset + sizeof r) != r.length || r.checksum != record_checksum(&r, value))
		die("the value of key %u is damaged", key);
	close(fd);
	return r.length;
}

static uint32_t digest(int *keys) {
	uint32_t h = 2166136261;
	*keys = 0;
	for (int key = 0; key < KEYS; key++) {
		uint8_t value[VALUE_BYTES];
		int n = get(key, value);
		if (n < 0)
			continue;
		(*keys)++;
		h = hash(hash(h, &key, sizeof key), value, n);
	}
	return h;
}

// Lists the full segments in order and returns how many there are.
static int list_segments(uint32_t *segments, int max) {
	DIR *dir = opendir("ledger");
	if (!dir)
		die("list ledger");
	int n = 0;
	for (struct dirent *e; (e = readdir(dir));)
		if (sscanf(e->d_name, "segment-%u", &segments[n]) == 1 && ++n == max)
			die("more than %d segments", max);
	closedir(dir);
	for (int i = 1; i < n; i++)
		for (int j = i; j > 0 && segments[j - 1] > segments[j]; j--) {
			uint32_t swap = segments[j];
			segments[j] = segments[j - 1];
			segments[j - 1] = swap;
		}
	return n;
}

// Writes the values that full segments still hold into one, in a directory of
// its own until it is whole, and removes the others.
static int merge(void) {
	uint32_t segments[2 * SEGMENTS_TO_MERGE];
	int n = list_segments(segments, 2 * SEGMENTS_TO_MERGE);
	if (n < SEGMENTS_TO_MERGE)
		return 0;
	uint32_t into = segments[n - 1], offset = 0;
	if (mkdir("ledger/merging", 0777))
		die("make ledger/merging");
	int fd = open("ledger/merging/segment", O_WRONLY | O_CREAT | O_EXCL, 0666);
	if (fd < 0)
		die("make ledger/merging/segment");
	struct place moved[KEYS];
	memcpy(moved, places, sizeof moved);
	for (int key = 0; key < KEYS; key++) {
		uint8_t value[VALUE_BYTES];
		if (places[key].segment == 0 || places[key].segment > into)
			continue;
		int length = get(key, value);
		append_record(fd, key, value, length);
		moved[key] = (struct place){into, offset, length};
		offset += sizeof(struct record) + length;
	}
	if (fsync(fd) || close(fd))
		die("close ledger/merging/segment");
	if (rename("ledger/merging/segment", segment_path(into)))
		die("rename the merged segment");
	for (int i = 0; i < n - 1; i++)
		if (unlink(segment_path(segments[i])))
			die("remove %s", segment_path(segments[i]));
	if (rmdir("ledger/merging"))
		die("remove ledger/merging");
	memcpy(places, moved, sizeof places);
	return n;
}

static void index_segment(uint32_t segment) {
	int fd = open_segment(segment);
	struct stat status;
	if (fstat(fd, &status))
		die("stat %s", segment_path(segment));
	uint32_t offset = 0;
	struct record r;
	while (offset < status.st_size) {
		uint8_t value[VALUE_BYTES];
		if (read(fd, &r, sizeof r) != sizeof r || r.key >= KEYS || r.length > VALUE_BYTES)
			die("no record at %u in %s", offset, segment_path(segment));
		if (r.length > 0 && read(fd, value, r.length) != r.length)
			die("half a record at %u in %s", offset, segment_path(segment));
		if (r.checksum != record_checksum(&r, value))
			die("a damaged record at %u in %s", offset, segment_path(segment));
		places[r.key] = (struct place){r.length < 0 ? 0 : segment, offset, r.length};
		offset += sizeof r + (r.length > 0 ? r.length : 0);
	}
	close(fd);
}

// Forgets all that is in memory and finds it again in the files.
static void reopen(void) {
	close(append_fd);
	memset(places, 0, sizeof places);
	uint32_t segments[2 * SEGMENTS_TO_MERGE];
	int n = list_segments(segments, 2 * SEGMENTS_TO_MERGE);
	for (int i = 0; i < n; i++)
		index_segment(segments[i]);
	index_segment(current);
	open_current();
}

static void run_batch(int operations) {
	for (int i = 0; i < operations; i++) {
		uint8_t value[VALUE_BYTES];
		uint16_t key = next_number() % KEYS;
		uint32_t what = next_number() % 16;
		if (what == 0) { // delete
			put(key, NULL, -1);
			model[key] = 0;
		} else if (what < 10) { // put
			int length = 8 + next_number() % (VALUE_BYTES - 8);
			for (int j = 0; j < length; j++)
				value[j] = (uint8_t)next_number();
			put(key, value, length);
			model[key] = hash(1, value, length) | 1;
		} else { // get
			int length = get(key, value);
			uint32_t found = length < 0 ? 0 : hash(1, value, length) | 1;
			if (found != model[key])
				die("key %u has %08x instead of %08x", key, found, model[key]);
		}
	}
}

static int number(int argc, char **argv, int i, int otherwise) {
	int n = i < argc ? atoi(argv[i]) : otherwise;
	if (n < 1 || n > 1000000) {
		fprintf(stderr, "ledger: %s is not a number from 1 to 1000000\n", argv[i]);
		exit(USAGE);
	}
	return n;
}

int main(int argc, char **argv) {
	int batches = number(argc, argv, 1, 150);
	int operations = number(argc, argv, 2, 400);
	int keys;
	setvbuf(stdout, NULL, _IOLBF, 256);
	if (mkdir("ledger", 0777))
		die("make the directory ledger, which must not exist");
	open_current();
	for (int batch = 1; batch <= batches; batch++) {
		run_batch(operations);
		int merged = merge();
		uint32_t d = digest(&keys);
		printf("batch %d: %d keys, segment %u at %u bytes, digest %08x", batch, keys, current, append_offset, d);
		if (merged)
			printf(", merged %d segments", merged);
		printf("\n");
	}
	uint32_t held = digest(&keys);
	reopen();
	uint32_t read = digest(&keys);
	printf("read again from the files: %d keys, digest %08x\n", keys, read);
	if (read != held)
		die("the files hold %08x instead of %08x", read, held);
	return 0;
}
