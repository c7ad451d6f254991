package waterbear

import "unsafe"

// The functions as the canonical ABI lowers them: what is more than one number is
// written to where result points to.

//go:wasmexport cabi_realloc
func realloc(old, _, align, size uint32) uint32 { return allocate(old, align, size) }

//go:wasmimport waterbear:durable/context@0.1.0 current
func contextCurrent(result unsafe.Pointer)

//go:wasmimport waterbear:durable/context@0.1.0 idempotency-key
func contextKey(result unsafe.Pointer)

//go:wasmimport waterbear:durable/config@0.1.0 get
func configGet(name string, result unsafe.Pointer)

//go:wasmimport waterbear:durable/config@0.1.0 get-all
func configGetAll(result unsafe.Pointer)

//go:wasmimport waterbear:durable/control@0.1.0 begin-atomic
func controlBeginAtomic() uint64

//go:wasmimport waterbear:durable/control@0.1.0 end-atomic
func controlEndAtomic()

//go:wasmimport waterbear:durable/control@0.1.0 waypoint
func controlWaypoint() uint64

//go:wasmimport waterbear:durable/control@0.1.0 go-back
func controlGoBack(to uint64)

//go:wasmimport waterbear:durable/control@0.1.0 repeats
func controlRepeats(of uint64) uint64

//go:wasmimport waterbear:durable/control@0.1.0 commit
func controlCommit()

//go:wasmimport waterbear:durable/control@0.1.0 set-idempotence
func controlSetIdempotence(on bool)

//go:wasmimport waterbear:durable/control@0.1.0 idempotence
func controlIdempotence() bool

//go:wasmimport waterbear:durable/control@0.1.0 get-retry-policy
func controlGetRetryPolicy(result unsafe.Pointer)

//go:wasmimport waterbear:durable/control@0.1.0 set-retry-policy
func controlSetRetryPolicy(attempts, initial, longest uint64, factor, jitter float64)

//go:wasmimport waterbear:durable/effects@0.1.0 begin
func effectsBegin(name string, request unsafe.Pointer, length uint32, kind uint32, result unsafe.Pointer)

//go:wasmimport waterbear:durable/effects@0.1.0 end
func effectsEnd(outcome unsafe.Pointer, length uint32)

//go:wasmimport waterbear:durable/effects@0.1.0 end-and-forget
func effectsEndAndForget(outcome unsafe.Pointer, length uint32)

//go:wasmimport waterbear:durable/history@0.1.0 entries
func historyEntries(from, to uint64, kinds unsafe.Pointer, count uint32, result unsafe.Pointer)

//go:wasmimport waterbear:durable/promises@0.1.0 create
func promisesCreate(label string, result unsafe.Pointer)

//go:wasmimport waterbear:durable/promises@0.1.0 webhook-url
func promisesWebhookURL(promise string, result unsafe.Pointer)

//go:wasmimport waterbear:durable/promises@0.1.0 wait
func promisesWait(promise string, result unsafe.Pointer)

//go:wasmimport waterbear:durable/promises@0.1.0 wait-any
func promisesWaitAny(promises unsafe.Pointer, count uint32, limited bool, timeout uint64, result unsafe.Pointer)

//go:wasmimport waterbear:durable/promises@0.1.0 poll
func promisesPoll(promise string, result unsafe.Pointer)

//go:wasmimport waterbear:durable/promises@0.1.0 withdraw
func promisesWithdraw(promise string, result unsafe.Pointer)

//go:wasmimport waterbear:durable/promises@0.1.0 complete
func promisesComplete(promise string, value unsafe.Pointer, length uint32, result unsafe.Pointer)

//go:wasmimport waterbear:durable/promises@0.1.0 fail
func promisesFail(promise, message string, result unsafe.Pointer)

//go:wasmimport waterbear:durable/workers@0.1.0 invoke
func workersInvoke(worker, function, args string, result unsafe.Pointer)

//go:wasmimport waterbear:durable/workers@0.1.0 start
func workersStart(worker, function, args string, result unsafe.Pointer)

//go:wasmimport waterbear:durable/workers@0.1.0 schedule
func workersSchedule(worker, function, args string, at uint64, result unsafe.Pointer)

//go:wasmimport waterbear:durable/workers@0.1.0 await-result
func workersAwaitResult(worker, key string, result unsafe.Pointer)

//go:wasmimport waterbear:durable/workers@0.1.0 poll
func workersPoll(worker, key string, result unsafe.Pointer)

//go:wasmimport waterbear:durable/workers@0.1.0 cancel
func workersCancel(worker, key string, result unsafe.Pointer)

//go:wasmimport waterbear:durable/workers@0.1.0 spawn
func workersSpawn(worker string, revision uint64, args unsafe.Pointer, argCount uint32, env unsafe.Pointer, envCount uint32, ephemeral bool, settings string, result unsafe.Pointer)

//go:wasmimport waterbear:durable/workers@0.1.0 list-workers
func workersList(component, after string, result unsafe.Pointer)

//go:wasmimport waterbear:durable/workers@0.1.0 status
func workersStatus(worker string, result unsafe.Pointer)

//go:wasmimport waterbear:durable/workers@0.1.0 choose
func workersChoose(interfaceName, worker string, result unsafe.Pointer)

//go:wasmimport waterbear:durable/workers@0.1.0 fork
func workersFork(worker string, result unsafe.Pointer)
