/* What a C program asks the platform that it runs on: the functions of the WIT
 * package waterbear:durable@0.1.0 (wit/durable says what each does), for programs
 * that are compiled for WASI 0.1 by clang, in C11. There is nothing to link.
 *
 * Strings and lists are a pointer and a count, without a zero byte at the end.
 * What the program passes stays the program's. What it is given, in a result, it
 * owns: waterbear_free frees a text, value or list; the texts in the elements of a
 * list are to be freed before it. Of a union that which its tag says is there:
 * if `failed` is 0 the value, and else the refusal or the error.
 *
 * What makes no sense, such as ending an atomic region that was not begun, traps,
 * which fails the invocation. */
#ifndef WATERBEAR_H
#define WATERBEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define WATERBEAR_IMPORT(interface, name) \
	__attribute__((import_module("waterbear:durable/" interface "@0.1.0"), import_name(name)))

/* By this the host allocates what it gives. No alignment is above 8, which malloc
 * has. Each source file has it, and the linker keeps one. */
__attribute__((weak, export_name("cabi_realloc"))) void *
waterbear_realloc(void *old, size_t old_size, size_t align, size_t size) {
	(void)old_size;
	if (size == 0)
		return (void *)align;
	void *p = realloc(old, size);
	if (p == NULL)
		abort();
	return p;
}

/* A text, or bytes. */
typedef struct {
	char *data;
	size_t length;
} waterbear_text;

/* Frees what data points to, of anything with data and a length. */
#define waterbear_free(given)              \
	do {                               \
		if ((given).length > 0)    \
			free((given).data); \
	} while (0)

/* What a program passes in a list. */
typedef struct {
	const char *data;
	size_t length;
} waterbear_argument;

/* ---- context ---- */

typedef struct {
	waterbear_text component, name;
	uint64_t revision, created; /* nanoseconds since 1970 */
	waterbear_text invocation;
	uint64_t attempt;
} waterbear_identity;

WATERBEAR_IMPORT("context", "current") void waterbear_current(waterbear_identity *result);
WATERBEAR_IMPORT("context", "idempotency-key") void waterbear_idempotency_key(waterbear_text *result);

/* ---- config ---- */

typedef struct {
	uint8_t failed;
	union {
		struct {
			uint8_t some;
			waterbear_text value; /* if there is some */
		};
		waterbear_text message;
	};
} waterbear_config_result;

typedef struct {
	waterbear_text name, value;
} waterbear_config_pair;

typedef struct {
	uint8_t failed;
	union {
		struct {
			waterbear_config_pair *data;
			size_t length;
		} values;
		waterbear_text message;
	};
} waterbear_config_list_result;

WATERBEAR_IMPORT("config", "get")
void waterbear_config_get(const char *name, size_t length, waterbear_config_result *result);
WATERBEAR_IMPORT("config", "get-all") void waterbear_config_get_all(waterbear_config_list_result *result);

/* ---- control ---- */

typedef struct {
	uint64_t attempts, initial, max; /* pauses in nanoseconds */
	double factor, jitter;
} waterbear_retry_policy;

WATERBEAR_IMPORT("control", "begin-atomic") uint64_t waterbear_begin_atomic(void);
WATERBEAR_IMPORT("control", "end-atomic") void waterbear_end_atomic(void);
WATERBEAR_IMPORT("control", "waypoint") uint64_t waterbear_waypoint(void);
WATERBEAR_IMPORT("control", "go-back") void waterbear_go_back(uint64_t to);
WATERBEAR_IMPORT("control", "repeats") uint64_t waterbear_repeats(uint64_t of);
WATERBEAR_IMPORT("control", "commit") void waterbear_commit(void);
WATERBEAR_IMPORT("control", "set-idempotence") void waterbear_set_idempotence(bool on);
WATERBEAR_IMPORT("control", "idempotence") bool waterbear_idempotence(void);
WATERBEAR_IMPORT("control", "get-retry-policy") void waterbear_get_retry_policy(waterbear_retry_policy *result);
WATERBEAR_IMPORT("control", "set-retry-policy")
void waterbear_set_retry_policy(uint64_t attempts, uint64_t initial, uint64_t max, double factor, double jitter);

/* ---- effects ---- */

enum { WATERBEAR_READ, WATERBEAR_WRITE };

typedef struct {
	uint8_t done;
	union {
		uint64_t times; /* not done: begun so often before and not ended */
		waterbear_text outcome;
	};
} waterbear_begun;

WATERBEAR_IMPORT("effects", "begin")
void waterbear_effect_begin(const char *name, size_t name_length, const void *request, size_t request_length,
	uint32_t kind, waterbear_begun *result);
WATERBEAR_IMPORT("effects", "end") void waterbear_effect_end(const void *outcome, size_t length);
WATERBEAR_IMPORT("effects", "end-and-forget")
void waterbear_effect_end_and_forget(const void *outcome, size_t length);

/* ---- history ---- */

typedef struct {
	uint64_t index, at; /* nanoseconds since 1970 */
	waterbear_text kind, json;
} waterbear_entry;

typedef struct {
	struct {
		waterbear_entry *data;
		size_t length;
	} entries;
	uint64_t next; /* 0: nothing is left */
} waterbear_history_page;

WATERBEAR_IMPORT("history", "entries")
void waterbear_history(uint64_t from, uint64_t to, const waterbear_argument *kinds, size_t count,
	waterbear_history_page *result);

/* ---- promises ---- */

typedef enum {
	WATERBEAR_UNSUPPORTED,
	WATERBEAR_UNKNOWN,
	WATERBEAR_SETTLED,
	WATERBEAR_TOO_MANY,
	WATERBEAR_TOO_LARGE,
	WATERBEAR_INVALID,
} waterbear_refusal;

/* A promise's name, or a URL. */
typedef struct {
	uint8_t failed;
	union {
		waterbear_text text;
		uint8_t refusal;
	};
} waterbear_promise_text_result;

/* What has become of a promise: the value, or the message if it has failed. */
typedef struct {
	uint8_t failed;
	waterbear_text value;
} waterbear_outcome;

typedef struct {
	uint8_t failed;
	union {
		waterbear_outcome outcome;
		uint8_t refusal;
	};
} waterbear_wait_result;

typedef struct {
	uint8_t failed;
	union {
		struct {
			uint8_t some; /* 0: the time is over */
			uint32_t place;
		};
		uint8_t refusal;
	};
} waterbear_wait_any_result;

typedef struct {
	uint8_t failed;
	union {
		struct {
			uint8_t some; /* 0: it is not settled */
			waterbear_outcome outcome;
		};
		uint8_t refusal;
	};
} waterbear_promise_poll_result;

typedef struct {
	uint8_t failed;
	uint8_t refusal;
} waterbear_promise_result;

WATERBEAR_IMPORT("promises", "create")
void waterbear_promise_create(const char *label, size_t length, waterbear_promise_text_result *result);
WATERBEAR_IMPORT("promises", "webhook-url")
void waterbear_promise_webhook_url(const char *promise, size_t length, waterbear_promise_text_result *result);
WATERBEAR_IMPORT("promises", "wait")
void waterbear_promise_wait(const char *promise, size_t length, waterbear_wait_result *result);
WATERBEAR_IMPORT("promises", "wait-any")
void waterbear_promise_wait_any(const waterbear_argument *promises, size_t count, bool limited,
	uint64_t nanoseconds, waterbear_wait_any_result *result);
WATERBEAR_IMPORT("promises", "poll")
void waterbear_promise_poll(const char *promise, size_t length, waterbear_promise_poll_result *result);
WATERBEAR_IMPORT("promises", "withdraw")
void waterbear_promise_withdraw(const char *promise, size_t length, waterbear_promise_result *result);
WATERBEAR_IMPORT("promises", "complete")
void waterbear_promise_complete(const char *promise, size_t length, const void *value, size_t value_length,
	waterbear_promise_result *result);
WATERBEAR_IMPORT("promises", "fail")
void waterbear_promise_fail(const char *promise, size_t length, const char *message, size_t message_length,
	waterbear_promise_result *result);

/* ---- workers ---- */

typedef enum {
	WATERBEAR_FAILURE_INVALID,
	WATERBEAR_FAILURE_NO_COMPONENT,
	WATERBEAR_FAILURE_NO_WORKER,
	WATERBEAR_FAILURE_NO_FUNCTION,
	WATERBEAR_FAILURE_BAD_ARGUMENTS,
	WATERBEAR_FAILURE_TOO_LARGE,
	WATERBEAR_FAILURE_KEY_REUSED,
	WATERBEAR_FAILURE_CYCLE,
	WATERBEAR_FAILURE_QUEUE_FULL,
	WATERBEAR_FAILURE_FAILED,
	WATERBEAR_FAILURE_CANCELED,
	WATERBEAR_FAILURE_DELETED,
	WATERBEAR_FAILURE_STOPPED,
	WATERBEAR_FAILURE_NO_INVOCATION,
	WATERBEAR_FAILURE_ENDED,
	WATERBEAR_FAILURE_EXISTS,
} waterbear_failure;

typedef struct {
	uint8_t kind; /* a waterbear_failure */
	waterbear_text message;
} waterbear_error;

/* A result as JSON, or a key. */
typedef struct {
	uint8_t failed;
	union {
		waterbear_text text;
		waterbear_error error;
	};
} waterbear_call_result;

typedef struct {
	uint8_t failed;
	union {
		struct {
			uint8_t some; /* 0: it has not ended */
			waterbear_text text;
		};
		waterbear_error error;
	};
} waterbear_call_poll_result;

typedef struct {
	uint8_t failed;
	waterbear_error error;
} waterbear_done_result;

typedef struct {
	uint8_t failed;
	union {
		bool created;
		waterbear_error error;
	};
} waterbear_spawn_result;

typedef struct {
	waterbear_text worker; /* component/name */
	uint64_t revision;
	waterbear_text status, reason;
	uint64_t queue;
} waterbear_worker;

typedef struct {
	uint8_t failed;
	union {
		waterbear_worker worker;
		waterbear_error error;
	};
} waterbear_status_result;

typedef struct {
	uint8_t failed;
	union {
		struct {
			struct {
				waterbear_worker *data;
				size_t length;
			} workers;
			waterbear_text next; /* empty at the end */
		};
		waterbear_error error;
	};
} waterbear_workers_result;

typedef struct {
	uint8_t failed;
	union {
		struct {
			uint8_t copied; /* 1: this is the copy */
			waterbear_text worker; /* the copy: component/name */
		};
		waterbear_error error;
	};
} waterbear_fork_result;

WATERBEAR_IMPORT("workers", "invoke")
void waterbear_invoke(const char *worker, size_t worker_length, const char *function, size_t function_length,
	const char *args, size_t args_length, waterbear_call_result *result);
WATERBEAR_IMPORT("workers", "start")
void waterbear_start(const char *worker, size_t worker_length, const char *function, size_t function_length,
	const char *args, size_t args_length, waterbear_call_result *result);
WATERBEAR_IMPORT("workers", "schedule")
void waterbear_schedule(const char *worker, size_t worker_length, const char *function, size_t function_length,
	const char *args, size_t args_length, uint64_t at, waterbear_call_result *result);
WATERBEAR_IMPORT("workers", "await-result")
void waterbear_await_result(const char *worker, size_t worker_length, const char *key, size_t key_length,
	waterbear_call_result *result);
WATERBEAR_IMPORT("workers", "poll")
void waterbear_poll(const char *worker, size_t worker_length, const char *key, size_t key_length,
	waterbear_call_poll_result *result);
WATERBEAR_IMPORT("workers", "cancel")
void waterbear_cancel(const char *worker, size_t worker_length, const char *key, size_t key_length,
	waterbear_done_result *result);
WATERBEAR_IMPORT("workers", "spawn")
void waterbear_spawn(const char *worker, size_t worker_length, uint64_t revision, const waterbear_argument *args,
	size_t args_count, const waterbear_argument *env, size_t env_count, bool ephemeral, const char *settings,
	size_t settings_length, waterbear_spawn_result *result);
WATERBEAR_IMPORT("workers", "list-workers")
void waterbear_list_workers(const char *component, size_t component_length, const char *after,
	size_t after_length, waterbear_workers_result *result);
WATERBEAR_IMPORT("workers", "status")
void waterbear_status(const char *worker, size_t worker_length, waterbear_status_result *result);
WATERBEAR_IMPORT("workers", "choose")
void waterbear_choose(const char *interface, size_t interface_length, const char *worker, size_t worker_length,
	waterbear_done_result *result);
WATERBEAR_IMPORT("workers", "fork")
void waterbear_fork(const char *worker, size_t worker_length, waterbear_fork_result *result);

#endif
