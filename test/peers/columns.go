//go:build linux

package main

import (
	"fmt"
	"path/filepath"
	"regexp"
)

// columns are all systems, with what build.sh leaves below dir. The versions are
// those that it installs.
func columns(dir string) []*column {
	return []*column{waterbearColumn(dir), rawColumn(dir), restateColumn(dir), dbosColumn(dir), temporalColumn(dir)}
}

func waterbearColumn(dir string) *column {
	const address = "127.0.0.1:7911"
	const worker = "http://" + address + "/v1/workers/peers/"
	binary, data, program := filepath.Join(dir, "bin/waterbear"), filepath.Join(dir, "data/waterbear"), filepath.Join(dir, "waterbear.wasm")
	run := func(command string) string {
		return fmt.Sprintf("WATERBEAR_SERVER=http://%s %s %s", address, binary, command)
	}
	return &column{
		name:       "waterbear",
		versions:   "this commit",
		durability: "a log, one fdatasync for all who wait, before every answer (the default)",
		needs:      []string{binary, program},
		data:       []string{data},
		register: []string{
			run("deploy --name peers " + program),
			run("component settings --net-allow " + marksAddress + " peers"),
			// Each client of w5 has a worker whose calls have an instance of their own.
			fmt.Sprintf("for i in $(seq 0 %d); do %s; done", echoClients-1, run("worker create --ephemeral peers/echo-$i")),
		},
		processes: []process{{
			role: roleServer, name: "waterbear", args: []string{binary, "server", "--listen", address, "--state", data}, ready: "http://" + address + "/readyz",
		}},
		verbs: map[string]verb{
			verbAdd:   {url: worker + "{key}/invoke/add", body: "[1]"},
			verbFlow:  {url: worker + "{id}/invoke/flow", body: "[{n}]"},
			verbSleep: {url: worker + "{id}/invoke/sleep?async=true", body: `["{id}", 0]`, header: map[string]string{"Idempotency-Key": "sleep"}},
			verbCrash: {url: worker + "{id}/invoke/sleep?async=true", body: `["{id}", {n}]`, header: map[string]string{"Idempotency-Key": "sleep"}},
			// Who wakes it looks for the promise that it waits for.
			verbWake: {
				method: "GET", url: worker + "{id}/promises", found: regexp.MustCompile(`"promise":"[^"]*/([^"/]+)"`),
				then: &verb{url: worker + "{id}/promises/{found}/complete", body: `"wake"`},
			},
			verbWoken: {method: "GET", url: worker + "{id}/invocations/sleep?wait=true"},
			verbEcho:  {url: worker + "echo-{n}/invoke/echo", body: `["hi"]`},
		},
	}
}

func rawColumn(dir string) *column {
	const url = "http://127.0.0.1:7910"
	binary, data := filepath.Join(dir, "bin/raw"), filepath.Join(dir, "data/raw")
	return &column{
		name:       "raw",
		versions:   "test/peers/raw",
		durability: "a log, one fdatasync for all who wait, before every answer",
		needs:      []string{binary},
		data:       []string{data},
		processes:  []process{{role: roleServer, name: "raw", args: []string{binary, data, "127.0.0.1:7910", marksAddress}, ready: "tcp:127.0.0.1:7910"}},
		verbs: map[string]verb{
			verbAdd:   {url: url + "/add/{key}"},
			verbFlow:  {url: url + "/flow/{id}/{n}"},
			verbSleep: {url: url + "/sleep/{id}"},
			verbWake:  {url: url + "/wake/{id}"},
			verbWoken: {method: "GET", url: url + "/woken/{id}"},
			verbCrash: {url: url + "/crash/{id}/{n}"},
			verbEcho:  {url: url + "/echo", body: `"hi"`},
		},
	}
}

func restateColumn(dir string) *column {
	const ingress, admin = "http://127.0.0.1:8080", "http://127.0.0.1:9070"
	modules, data := filepath.Join(dir, "restate/node_modules"), filepath.Join(dir, "data/restate")
	server := filepath.Join(modules, "@restatedev/restate-server-linux-x64/bin/restate-server")
	return &column{
		name:       "restate",
		versions:   "restate-server 1.7.12, @restatedev/restate-sdk 1.17.2, Node.js",
		durability: "one node, the write-ahead log synced for every batch (the default)",
		needs:      []string{server},
		data:       []string{data},
		register: []string{fmt.Sprintf(`curl -sS --fail --retry 40 --retry-delay 0 --retry-all-errors -X POST %s/deployments -H 'content-type: application/json' `+
			`-d '{"uri":"http://127.0.0.1:9080","force":true}'`, admin)},
		processes: []process{
			{
				role: roleServer, name: "restate-server", ready: ingress + "/restate/health",
				args: []string{server, "--no-logo", "--base-dir", data, "--node-name", "n1", "--bind-ip", "127.0.0.1", "--listen-mode", "tcp"},
				env:  []string{"RESTATE_DISABLE_TELEMETRY=true", "DO_NOT_TRACK=1", "RESTATE_LOG_FILTER=error", "RESTATE_ADMIN__DISABLE_WEB_UI=true"},
			},
			{
				role: roleService, name: "restate-service", ready: "tcp:127.0.0.1:9080",
				args: []string{"node", filepath.Join(dir, "restate/service.mjs")},
				env:  []string{"NODE_ENV=production", "RESTATE_LOGGING=ERROR", "MARKS=" + marksAddress},
			},
		},
		verbs: map[string]verb{
			verbAdd:   {url: ingress + "/Counter/{key}/add", body: "1"},
			verbFlow:  {url: ingress + "/Flow/{id}/run", body: "{n}"},
			verbSleep: {url: ingress + "/Sleeper/{id}/run/send", body: "0"},
			verbWake:  {url: ingress + "/Sleeper/{id}/wake", body: "0"},
			verbWoken: {method: "GET", url: ingress + "/restate/workflow/Sleeper/{id}/attach"},
			verbCrash: {url: ingress + "/Sleeper/{id}/run/send", body: "{n}"},
			verbEcho:  {url: ingress + "/Echo/call", body: `"hi"`},
		},
	}
}

func dbosColumn(dir string) *column {
	const url = "http://127.0.0.1:8090"
	modules, data := filepath.Join(dir, "dbos/node_modules"), filepath.Join(dir, "data/postgres")
	return &column{
		name:       "dbos",
		versions:   "@dbos-inc/dbos-sdk 5.3.0, Node.js, PostgreSQL 15",
		durability: "fsync and synchronous_commit on (the default)",
		needs:      []string{postgres, modules},
		data:       []string{data},
		prepare:    []string{filepath.Join(dir, "postgres.sh") + " " + data + " app dbos"},
		processes: []process{
			postgresProcess(data),
			{
				role: roleService, name: "dbos-app", ready: url + "/health",
				args: []string{"node", filepath.Join(dir, "dbos/app.mjs")},
				env:  []string{"NODE_ENV=production", "DO_NOT_TRACK=1", "MARKS=" + marksAddress},
			},
		},
		verbs: frontVerbs(url),
	}
}

// postgres is where Debian has the server.
const postgres = "/usr/lib/postgresql/15/bin/postgres"

func postgresProcess(data string) process {
	return process{
		role: roleServer, name: "postgres", user: "postgres", args: []string{postgres, "-D", data},
		ready: "sh:/usr/lib/postgresql/15/bin/pg_isready -q -h 127.0.0.1 -p 5439",
	}
}

func temporalColumn(dir string) *column {
	const url = "http://127.0.0.1:7299"
	server, worker, data := filepath.Join(dir, "bin/temporal-server"), filepath.Join(dir, "bin/temporal-worker"), filepath.Join(dir, "data/temporal")
	return &column{
		name:       "temporal",
		versions:   "go.temporal.io/server 1.32.0 configured as by start-dev, go.temporal.io/sdk 1.47.0",
		durability: "SQLite, write-ahead log, synchronous=FULL; one task-queue partition",
		needs:      []string{server, worker},
		data:       []string{data},
		processes: []process{
			{role: roleServer, name: "temporal-server", args: []string{server, filepath.Join(data, "temporal.db")}, ready: "tcp:127.0.0.1:7233"},
			{role: roleService, name: "temporal-worker", args: []string{worker, "127.0.0.1:7299"}, env: []string{"MARKS=" + marksAddress}, ready: url + "/health"},
		},
		verbs: frontVerbs(url),
	}
}

// frontVerbs are how verbs are said to the HTTP fronts that we have written.
func frontVerbs(url string) map[string]verb {
	return map[string]verb{
		verbAdd:   {url: url + "/add/{key}"},
		verbFlow:  {url: url + "/flow/{id}/{n}"},
		verbSleep: {url: url + "/sleep/{id}/0"},
		verbWake:  {url: url + "/wake/{id}"},
		verbWoken: {method: "GET", url: url + "/woken/{id}"},
		verbCrash: {url: url + "/sleep/{id}/{n}"},
		verbEcho:  {url: url + "/echo", body: `"hi"`},
	}
}
