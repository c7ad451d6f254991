//go:build !wasip1

package waterbear

import "unsafe"

// absent stands for every function where there is no platform to ask.
func absent() {
	panic("waterbear: there is no platform to ask; compile with GOOS=wasip1 GOARCH=wasm, and run by Waterbear")
}

func contextCurrent(unsafe.Pointer) { absent() }

func contextKey(unsafe.Pointer) { absent() }

func configGet(string, unsafe.Pointer) { absent() }

func configGetAll(unsafe.Pointer) { absent() }

func controlBeginAtomic() uint64 {
	absent()
	return 0
}

func controlEndAtomic() { absent() }

func controlWaypoint() uint64 {
	absent()
	return 0
}

func controlGoBack(uint64) { absent() }

func controlRepeats(uint64) uint64 {
	absent()
	return 0
}

func controlCommit() { absent() }

func controlSetIdempotence(bool) { absent() }

func controlIdempotence() bool {
	absent()
	return false
}

func controlGetRetryPolicy(unsafe.Pointer) { absent() }

func controlSetRetryPolicy(uint64, uint64, uint64, float64, float64) { absent() }

func effectsBegin(string, unsafe.Pointer, uint32, uint32, unsafe.Pointer) { absent() }

func effectsEnd(unsafe.Pointer, uint32) { absent() }

func effectsEndAndForget(unsafe.Pointer, uint32) { absent() }

func historyEntries(uint64, uint64, unsafe.Pointer, uint32, unsafe.Pointer) { absent() }

func promisesCreate(string, unsafe.Pointer) { absent() }

func promisesWebhookURL(string, unsafe.Pointer) { absent() }

func promisesWait(string, unsafe.Pointer) { absent() }

func promisesWaitAny(unsafe.Pointer, uint32, bool, uint64, unsafe.Pointer) { absent() }

func promisesPoll(string, unsafe.Pointer) { absent() }

func promisesWithdraw(string, unsafe.Pointer) { absent() }

func promisesComplete(string, unsafe.Pointer, uint32, unsafe.Pointer) { absent() }

func promisesFail(string, string, unsafe.Pointer) { absent() }

func workersInvoke(string, string, string, unsafe.Pointer) { absent() }

func workersStart(string, string, string, unsafe.Pointer) { absent() }

func workersSchedule(string, string, string, uint64, unsafe.Pointer) { absent() }

func workersAwaitResult(string, string, unsafe.Pointer) { absent() }

func workersPoll(string, string, unsafe.Pointer) { absent() }

func workersCancel(string, string, unsafe.Pointer) { absent() }

func workersSpawn(string, uint64, unsafe.Pointer, uint32, unsafe.Pointer, uint32, bool, string, unsafe.Pointer) {
	absent()
}

func workersList(string, string, unsafe.Pointer) { absent() }

func workersStatus(string, unsafe.Pointer) { absent() }

func workersChoose(string, string, unsafe.Pointer) { absent() }

func workersFork(string, unsafe.Pointer) { absent() }
