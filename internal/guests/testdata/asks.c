// A library that calls every function of guest/c/waterbear.h, and prints what it is
// told, a line each: a name, and what there is to say of it.
#include <stdio.h>
#include <string.h>

#include "waterbear.h"

#define EXPORT(name) __attribute__((export_name(#name))) name
#define S(text) text, strlen(text)
#define T(t) (int)(t).length, (t).data
#define A(t) (t).data, (t).length

__attribute__((constructor)) static void begin(void) { setvbuf(stdout, NULL, _IOLBF, 0); }

void EXPORT(context)(void) {
	waterbear_identity i;
	waterbear_current(&i);
	printf("current %.*s/%.*s %llu %llu %.*s %llu\n", T(i.component), T(i.name), i.revision, i.created, T(i.invocation), i.attempt);
	waterbear_text one, other;
	waterbear_idempotency_key(&one);
	waterbear_idempotency_key(&other);
	printf("keys differ %d\n", one.length > 0 && (one.length != other.length || memcmp(one.data, other.data, one.length) != 0));
	waterbear_free(i.component);
	waterbear_free(i.name);
	waterbear_free(i.invocation);
	waterbear_free(one);
	waterbear_free(other);
}

void EXPORT(config)(void) {
	waterbear_config_result r;
	waterbear_config_get(S("url"), &r);
	printf("url %d %d %.*s\n", r.failed, r.some, T(r.value));
	waterbear_free(r.value);
	waterbear_config_get(S("none"), &r);
	printf("none %d %d\n", r.failed, r.some);
	waterbear_config_list_result all;
	waterbear_config_get_all(&all);
	for (size_t i = 0; i < all.values.length; i++) {
		printf("all %.*s=%.*s\n", T(all.values.data[i].name), T(all.values.data[i].value));
		waterbear_free(all.values.data[i].name);
		waterbear_free(all.values.data[i].value);
	}
	waterbear_free(all.values);
}

static void policy(void) {
	waterbear_retry_policy p;
	waterbear_get_retry_policy(&p);
	printf("policy %llu %llu %llu %g %g\n", p.attempts, p.initial, p.max, p.factor, p.jitter);
}

void EXPORT(control)(void) {
	policy();
	waterbear_set_retry_policy(7, 1000000000, 60000000000, 2.5, 0.25);
	policy();
	waterbear_set_idempotence(false);
	printf("idempotence %d\n", waterbear_idempotence());
	waterbear_set_idempotence(true);
	printf("idempotence %d\n", waterbear_idempotence());
	uint64_t here = waterbear_waypoint();
	if (waterbear_repeats(here) < 2)
		waterbear_go_back(here);
	printf("repeats %llu\n", waterbear_repeats(here));
	printf("region %d\n", waterbear_begin_atomic() > here);
	waterbear_end_atomic();
	waterbear_commit();
}

void EXPORT(effects)(void) {
	waterbear_begun b;
	waterbear_effect_begin(S("tour.charge"), S("five"), WATERBEAR_WRITE, &b);
	printf("charge %d %llu\n", b.done, b.times);
	waterbear_effect_end(S("charged"));
	waterbear_effect_begin(S("tour.look"), NULL, 0, WATERBEAR_READ, &b);
	if (!b.done)
		waterbear_effect_end_and_forget(S("seen"));
	printf("look %d %.*s\n", b.done, T(b.outcome));
	waterbear_free(b.outcome);
}

static void show(waterbear_history_page *p) {
	for (size_t i = 0; i < p->entries.length; i++) {
		waterbear_entry *e = &p->entries.data[i];
		printf("entry %llu %.*s %d %d\n", e->index, T(e->kind), e->at > 0, e->json.length > 1 && e->json.data[0] == '{');
		waterbear_free(e->kind);
		waterbear_free(e->json);
	}
	waterbear_free(p->entries);
}

void EXPORT(history)(void) {
	waterbear_history_page p;
	waterbear_history(1, 3, NULL, 0, &p);
	show(&p);
	waterbear_argument kinds[] = {{S("InvocationStarted")}, {S("WorkerCreated")}};
	waterbear_history(1, 3, kinds, 2, &p);
	show(&p);
}

void EXPORT(promises)(void) {
	waterbear_promise_text_result a, b, url;
	waterbear_promise_create(S("a"), &a);
	waterbear_promise_create(S("b"), &b);
	waterbear_promise_webhook_url(A(a.text), &url);
	printf("made %d %.*s %d %d %.*s\n", a.failed, 7, a.text.data, b.failed, url.failed, 33, url.text.data);
	waterbear_promise_poll_result poll;
	waterbear_promise_poll(A(a.text), &poll);
	printf("poll %d %d\n", poll.failed, poll.some);
	waterbear_argument both[] = {{A(b.text)}, {A(a.text)}};
	waterbear_wait_any_result any;
	waterbear_promise_wait_any(both, 2, true, 1000000, &any);
	printf("any %d %d\n", any.failed, any.some);
	waterbear_promise_result r;
	waterbear_promise_complete(A(a.text), S("yes"), &r);
	printf("complete %d\n", r.failed);
	waterbear_promise_complete(A(a.text), S("other"), &r);
	printf("complete %d %d\n", r.failed, r.refusal == WATERBEAR_SETTLED);
	waterbear_promise_wait_any(both, 2, false, 0, &any);
	printf("any %d %d %d\n", any.failed, any.some, any.place);
	waterbear_promise_fail(A(b.text), S("no"), &r);
	printf("fail %d\n", r.failed);
	waterbear_wait_result w;
	waterbear_promise_wait(A(a.text), &w);
	printf("wait %d %d %.*s\n", w.failed, w.outcome.failed, T(w.outcome.value));
	waterbear_free(w.outcome.value);
	waterbear_promise_poll(A(b.text), &poll);
	printf("poll %d %d %d %.*s\n", poll.failed, poll.some, poll.outcome.failed, T(poll.outcome.value));
	waterbear_free(poll.outcome.value);
	waterbear_promise_withdraw(A(b.text), &r);
	printf("withdraw %d\n", r.failed);
	waterbear_promise_wait(A(b.text), &w);
	printf("wait %d %d\n", w.failed, w.refusal == WATERBEAR_UNKNOWN);
	waterbear_free(a.text);
	waterbear_free(b.text);
	waterbear_free(url.text);
}

void EXPORT(workers)(void) {
	waterbear_call_result r, key;
	waterbear_invoke(S("counter/a"), S("add"), S("[2]"), &r);
	printf("invoke %d %.*s\n", r.failed, T(r.text));
	waterbear_free(r.text);
	waterbear_invoke(S("none/a"), S("add"), S("[2]"), &r);
	printf("invoke %d %d %d\n", r.failed, r.error.kind == WATERBEAR_FAILURE_NO_COMPONENT, r.error.message.length > 0);
	waterbear_free(r.error.message);
	waterbear_start(S("counter/a"), S("add"), S("[3]"), &key);
	waterbear_await_result(S("counter/a"), A(key.text), &r);
	printf("result %d %.*s\n", r.failed, T(r.text));
	waterbear_free(r.text);
	waterbear_call_poll_result poll;
	waterbear_poll(S("counter/a"), A(key.text), &poll);
	printf("poll %d %d %.*s\n", poll.failed, poll.some, T(poll.text));
	waterbear_free(poll.text);
	waterbear_free(key.text);
	waterbear_schedule(S("counter/a"), S("add"), S("[4]"), (uint64_t)1 << 62, &key);
	waterbear_poll(S("counter/a"), A(key.text), &poll);
	printf("later %d %d\n", poll.failed, poll.some);
	waterbear_done_result done;
	waterbear_cancel(S("counter/a"), A(key.text), &done);
	printf("cancel %d\n", done.failed);
	waterbear_poll(S("counter/a"), A(key.text), &poll);
	printf("canceled %d %d\n", poll.failed, poll.error.kind == WATERBEAR_FAILURE_CANCELED);
	waterbear_free(poll.error.message);
	waterbear_free(key.text);
	waterbear_argument args[] = {{S("")}, {S("one")}}, env[] = {{S("A=b")}};
	waterbear_spawn_result spawned;
	for (int i = 0; i < 2; i++) {
		waterbear_spawn(S("counter/b"), 1, args, 2, env, 1, false, S(""), &spawned);
		printf("spawn %d %d\n", spawned.failed, spawned.created);
	}
	waterbear_status_result s;
	waterbear_status(S("counter/b"), &s);
	printf("status %d %.*s %llu %.*s %.*s %llu\n", s.failed, T(s.worker.worker), s.worker.revision, T(s.worker.status), T(s.worker.reason), s.worker.queue);
	waterbear_free(s.worker.worker);
	waterbear_free(s.worker.status);
	waterbear_free(s.worker.reason);
	waterbear_status(S("counter/none"), &s);
	printf("status %d %d\n", s.failed, s.error.kind == WATERBEAR_FAILURE_NO_WORKER);
	waterbear_free(s.error.message);
	waterbear_workers_result list;
	waterbear_list_workers(S("counter"), S(""), &list);
	for (size_t i = 0; i < list.workers.length; i++) {
		waterbear_worker *w = &list.workers.data[i];
		printf("worker %.*s %.*s\n", T(w->worker), T(w->status));
		waterbear_free(w->worker);
		waterbear_free(w->status);
		waterbear_free(w->reason);
	}
	printf("list %d %zu\n", list.failed, list.next.length);
	waterbear_free(list.workers);
	waterbear_free(list.next);
	waterbear_choose(S("shop:pricing/api@1.0.0"), S("counter/a"), &done);
	printf("choose %d %d\n", done.failed, done.error.kind == WATERBEAR_FAILURE_INVALID);
	waterbear_free(done.error.message);
	waterbear_choose(S("shop:pricing/api"), S("a"), &done);
	printf("choose %d %d\n", done.failed, done.error.kind == WATERBEAR_FAILURE_INVALID);
	waterbear_free(done.error.message);
	waterbear_fork_result f;
	waterbear_fork(S("counter/a"), &f);
	printf("fork %d %d\n", f.failed, f.error.kind == WATERBEAR_FAILURE_INVALID);
	waterbear_free(f.error.message);
	waterbear_fork(S("tour/twin"), &f);
	printf("fork %d %d %.*s\n", f.failed, f.copied, T(f.worker));
	waterbear_free(f.worker);
}
