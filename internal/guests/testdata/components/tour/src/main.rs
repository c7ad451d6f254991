//! A command of WASI 0.2 that goes once through what Rust's standard library
//! does with the system. It judges clocks and random numbers itself, so what it
//! prints depends on its arguments, its environment and its standard input
//! alone. It works in a directory "tour" that must not exist, and leaves files
//! in it.
//!
//!     tour [milliseconds to sleep [exit code]]

use std::collections::HashSet;
use std::env;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};
use std::process;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

fn files() -> io::Result<()> {
    fs::create_dir("tour")?;
    fs::create_dir_all("tour/deep/deeper")?;
    fs::write("tour/one", "first line\n")?;
    let mut file = OpenOptions::new().append(true).open("tour/one")?;
    file.write_all(b"second line\n")?;
    file.sync_all()?;
    drop(file);

    let mut file = File::options().read(true).write(true).open("tour/one")?;
    file.seek(SeekFrom::Start(6))?;
    file.write_all(b"LINE")?;
    file.seek(SeekFrom::End(-5))?;
    let mut tail = String::new();
    file.read_to_string(&mut tail)?;
    println!("tail: {tail:?}, length {}", file.metadata()?.len());
    file.set_len(11)?;
    drop(file);
    println!("one: {:?}", fs::read_to_string("tour/one")?);

    fs::rename("tour/one", "tour/deep/two")?;
    fs::copy("tour/deep/two", "tour/three")?;
    fs::write("tour/deep/deeper/gone", "x")?;
    fs::remove_file("tour/deep/deeper/gone")?;
    fs::remove_dir("tour/deep/deeper")?;
    for dir in ["tour", "tour/deep"] {
        let entries: io::Result<Vec<_>> = fs::read_dir(dir)?.collect();
        let mut names: Vec<_> = entries?.iter().map(|e| e.file_name().into_string()).collect();
        names.sort();
        println!("{dir}: {names:?}");
    }
    println!("missing: {:?}", fs::read("tour/one").map_err(|e| e.kind()));
    println!("outside: {}", fs::read("/../../etc/passwd").is_err());
    println!("not empty: {}", fs::remove_dir("tour/deep").is_err());
    let modified = fs::metadata("tour/three")?.modified()?;
    println!("modified plausibly: {}", plausible(modified));
    Ok(())
}

fn plausible(time: SystemTime) -> bool {
    time.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|age| age.as_secs() > 1_600_000_000)
}

fn times(nap: Duration) {
    let began = Instant::now();
    println!("wall clock plausible: {}", plausible(SystemTime::now()));
    sleep(nap);
    println!("slept long enough: {}", began.elapsed() >= nap);
    let readings: Vec<_> = (0..100).map(|_| Instant::now()).collect();
    println!("never goes back: {}", readings.is_sorted());
}

fn random() {
    // Each state counts on from two random numbers of the thread.
    let numbers: HashSet<u64> = (0..100).map(|_| RandomState::new().hash_one(0)).collect();
    println!("random numbers: {}", numbers.len());
}

fn input() -> io::Result<()> {
    let mut bytes = 0;
    for (number, line) in io::stdin().lock().lines().enumerate() {
        let line = line?;
        bytes += line.len() + 1;
        if number < 3 {
            println!("line {}: {line}", number + 1);
        }
    }
    println!("input: {bytes} bytes");
    Ok(())
}

fn main() -> io::Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    println!("arguments: {args:?}");
    let mut variables: Vec<_> = env::vars().collect();
    variables.sort();
    println!("environment: {variables:?}");
    let number = |i: usize| args.get(i).and_then(|a| a.parse().ok()).unwrap_or(0);
    input()?;
    files()?;
    times(Duration::from_millis(number(0)));
    random();
    eprintln!("tour: done");
    match number(1) {
        0 => Ok(()),
        code => process::exit(code as i32),
    }
}
