// Reads both clocks and the random source all the time, and judges what it
// gets: the monotonic clock never goes back, the wall clock is plausible, no
// random number comes twice. Everything it reads goes into a running digest
// and into a file; at the end it reads the file and demands the same digest.
//
//   clocks [steps [readings per step]]
//
// It writes the file "clocks.log".
import {
  args_get,
  args_sizes_get,
  clock_time_get,
  clockid,
  errno,
  errnoToString,
  fd_close,
  fd_datasync,
  fd_read,
  fd_write,
  fdflags,
  oflags,
  path_open,
  proc_exit,
  random_get,
  rights,
} from "@assemblyscript/wasi-shim/assembly/bindings/wasi_snapshot_preview1";

const ROOT = 3; // the first directory that the host gives
const FILE = "clocks.log";
const SECOND: u64 = 1_000_000_000;
const EARLIEST: u64 = 1_600_000_000 * SECOND; // September 2020
const LATEST: u64 = 7_000_000_000 * SECOND; // October 2191

const cell = memory.data(16); // where the host puts its answers

function fail(message: string): void {
  write(2, "clocks: " + message + "\n");
  proc_exit(1);
}

function check(error: errno, what: string): void {
  if (error) fail(what + ": " + errnoToString(error));
}

function write(fd: i32, text: string): void {
  const bytes = String.UTF8.encode(text);
  let at = changetype<usize>(bytes);
  let left = bytes.byteLength;
  while (left > 0) {
    store<u32>(cell, <u32>at);
    store<u32>(cell, left, 4);
    check(fd_write(fd, cell, 1, cell + 8), "write");
    at += load<u32>(cell, 8);
    left -= load<u32>(cell, 8);
  }
}

function open(flags: u16, access: u64, append: bool): i32 {
  const path = String.UTF8.encode(FILE);
  check(
    path_open(ROOT, 0, changetype<usize>(path), path.byteLength, flags, access, 0,
      append ? fdflags.APPEND : 0, cell),
    "open " + FILE,
  );
  return load<i32>(cell);
}

function now(clock: clockid): u64 {
  check(clock_time_get(clock, 1, cell), "read a clock");
  return load<u64>(cell);
}

function random(): u64 {
  check(random_get(cell, 8), "read the random source");
  return load<u64>(cell);
}

function hex(value: u64): string {
  return value.toString(16).padStart(16, "0");
}

// mix is the running digest: FNV-1a over the value's bytes, lowest first.
function mix(digest: u64, value: u64): u64 {
  for (let i = 0; i < 8; i++) {
    digest = (digest ^ (value & 0xff)) * 0x100000001b3;
    value >>= 8;
  }
  return digest;
}

// Judge sees every reading, in order, and remembers what it needs to object.
class Judge {
  digest: u64 = 0xcbf29ce484222325;
  readings: u32 = 0;
  monotonic: u64 = 0;
  wall: u64 = 0;
  random: u64 = 0;
  seen: Set<u64> = new Set<u64>();

  reading(monotonic: u64, wall: u64, random: u64): void {
    if (monotonic < this.monotonic) fail(`the monotonic clock went from ${this.monotonic} back to ${monotonic}`);
    if (wall < EARLIEST || wall > LATEST) fail(`the wall clock says ${wall}`);
    if (this.seen.has(random)) fail(`the random number ${hex(random)} came twice`);
    this.seen.add(random);
    this.monotonic = monotonic;
    this.wall = wall;
    this.random = random;
    this.digest = mix(mix(mix(this.digest, monotonic), wall), random);
    this.readings++;
  }
}

// judgeFile reads the log again and judges it as it was judged at first.
function judgeFile(): Judge {
  const judge = new Judge();
  const fd = open(0, rights.FD_READ, false);
  const chunk = new ArrayBuffer(4096);
  const values = new StaticArray<u64>(3);
  let column = 0;
  for (;;) {
    store<u32>(cell, <u32>changetype<usize>(chunk));
    store<u32>(cell, chunk.byteLength, 4);
    check(fd_read(fd, cell, 1, cell + 8), "read " + FILE);
    const n = load<u32>(cell, 8);
    if (n == 0) break;
    for (let i: u32 = 0; i < n; i++) {
      const c = load<u8>(changetype<usize>(chunk) + i);
      if (c == 32) {
        column++;
      } else if (c == 10) {
        judge.reading(values[0], values[1], values[2]);
        values.fill(0);
        column = 0;
      } else {
        values[column] = (values[column] << 4) | (c <= 57 ? c - 48 : c - 87);
      }
    }
  }
  fd_close(fd);
  return judge;
}

function argument(args: string[], i: i32, otherwise: i32): i32 {
  if (i >= args.length) return otherwise;
  const n = I32.parseInt(args[i]);
  if (n < 1 || n > 1_000_000) fail(args[i] + " is not a number from 1 to 1000000");
  return n;
}

function commandLine(): string[] {
  check(args_sizes_get(cell, cell + 4), "count the arguments");
  const count = load<i32>(cell);
  const pointers = new ArrayBuffer(4 * count);
  const text = new ArrayBuffer(load<i32>(cell, 4));
  check(args_get(changetype<usize>(pointers), changetype<usize>(text)), "read the arguments");
  const args: string[] = [];
  for (let i = 0; i < count; i++) {
    const at = <usize>load<u32>(changetype<usize>(pointers) + 4 * i);
    args.push(String.UTF8.decodeUnsafe(at, changetype<usize>(text) + text.byteLength - at, true));
  }
  return args;
}

// work keeps the processor busy between two readings.
function work(digest: u64): u64 {
  for (let i = 0; i < 50_000; i++) digest = mix(digest, i);
  return digest;
}

function main(): void {
  const args = commandLine();
  const steps = argument(args, 1, 200);
  const readings = argument(args, 2, 16);
  const log = open(oflags.CREAT | oflags.TRUNC, rights.FD_WRITE | rights.FD_DATASYNC, true);
  const judge = new Judge();
  let effort = judge.digest;
  for (let step = 1; step <= steps; step++) {
    let lines = "";
    for (let i = 0; i < readings; i++) {
      judge.reading(now(clockid.MONOTONIC), now(clockid.REALTIME), random());
      lines += hex(judge.monotonic) + " " + hex(judge.wall) + " " + hex(judge.random) + "\n";
      effort = work(effort);
    }
    write(log, lines);
    check(fd_datasync(log), "sync " + FILE);
    write(1, `step ${step}: monotonic ${judge.monotonic} wall ${judge.wall} random ${hex(judge.random)} digest ${hex(judge.digest)}\n`);
  }
  fd_close(log);
  const again = judgeFile();
  if (again.readings != judge.readings || again.digest != judge.digest)
    fail(`${FILE} has ${again.readings} readings and digest ${hex(again.digest)} instead of ${judge.readings} and ${hex(judge.digest)}`);
  write(1, `work ${hex(effort)}\n`);
  write(1, `${judge.readings} readings, all plausible, digest ${hex(judge.digest)} also from ${FILE}\n`);
}

main();
