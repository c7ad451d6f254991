//! TCP, UDP and name lookup by Rust's standard library alone.
//!
//!     echo serve ADDRESS             gives back what comes in, line by line
//!     echo ask ADDRESS LINE...       sends lines and prints what comes back
//!     echo chat ADDRESS COUNT        sends so many lines, two a second, however often
//!                                    the connection is lost
//!     echo serve-udp ADDRESS         gives back datagrams
//!     echo ask-udp ADDRESS LINE...   sends datagrams and prints what comes back
//!     echo lookup NAME               prints the addresses of a name

use std::io::{BufRead, BufReader, Error, Result, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = args.iter().skip(1).map(String::as_str).collect();
    let done = match words.as_slice() {
        ["serve", address] => serve(address),
        ["ask", address, lines @ ..] => ask(address, lines),
        ["chat", address, count] => match count.parse() {
            Ok(count) => chat(address, count),
            Err(_) => usage(),
        },
        ["serve-udp", address] => serve_udp(address),
        ["ask-udp", address, lines @ ..] => ask_udp(address, lines),
        ["lookup", name] => lookup(name),
        _ => usage(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("echo: {e}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> Result<()> {
    Err(Error::other("see the top of main.rs for what can be asked"))
}

/// serve serves one connection after the other, until a line says "end".
fn serve(address: &str) -> Result<()> {
    let listener = TcpListener::bind(address)?;
    println!("listening at {}", listener.local_addr()?);
    let mut served = 0;
    loop {
        let (stream, _) = listener.accept()?;
        served += 1;
        println!("connection {served}");
        match converse(stream) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(e) => println!("connection {served}: {e}"),
        }
    }
}

fn converse(stream: TcpStream) -> Result<bool> {
    let mut out = &stream;
    for line in BufReader::new(&stream).lines() {
        let line = line?;
        println!("> {line}");
        out.write_all(format!("{line}\n").as_bytes())?;
        if line == "end" {
            return Ok(true);
        }
    }
    Ok(false)
}

fn ask(address: &str, lines: &[&str]) -> Result<()> {
    let stream = TcpStream::connect(address)?;
    let (mut out, mut answers) = (&stream, BufReader::new(&stream).lines());
    for line in lines {
        out.write_all(format!("{line}\n").as_bytes())?;
        match answers.next() {
            Some(answer) => println!("{}", answer?),
            None => println!("the connection was closed"),
        }
    }
    Ok(())
}

/// chat sends so many lines, and "end". It connects anew whenever the connection
/// is lost, and says what was not answered again.
fn chat(address: &str, count: u32) -> Result<()> {
    let mut next = 1;
    while next <= count + 1 {
        let stream = match TcpStream::connect(address) {
            Ok(stream) => stream,
            Err(e) => {
                println!("no connection: {e}");
                sleep(Duration::from_secs(1));
                continue;
            }
        };
        println!("connected");
        let (mut out, mut answers) = (&stream, BufReader::new(&stream).lines());
        while next <= count + 1 {
            let line = if next > count { "end".to_string() } else { next.to_string() };
            let answer = out.write_all(format!("{line}\n").as_bytes()).map(|()| answers.next());
            match answer {
                Ok(Some(Ok(answer))) => println!("< {answer}"),
                Ok(Some(Err(e))) | Err(e) => {
                    println!("lost: {e}");
                    break;
                }
                Ok(None) => {
                    println!("closed");
                    break;
                }
            }
            next += 1;
            sleep(Duration::from_millis(500));
        }
    }
    Ok(())
}

fn serve_udp(address: &str) -> Result<()> {
    let socket = UdpSocket::bind(address)?;
    println!("listening at {}", socket.local_addr()?);
    let mut buffer = [0; 2048];
    loop {
        let (n, from) = socket.recv_from(&mut buffer)?;
        println!("> {}", String::from_utf8_lossy(&buffer[..n]));
        socket.send_to(&buffer[..n], from)?;
        if &buffer[..n] == b"end" {
            return Ok(());
        }
    }
}

fn ask_udp(address: &str, lines: &[&str]) -> Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(address)?;
    let mut buffer = [0; 2048];
    for line in lines {
        socket.send(line.as_bytes())?;
        let n = socket.recv(&mut buffer)?;
        println!("{}", String::from_utf8_lossy(&buffer[..n]));
    }
    Ok(())
}

fn lookup(name: &str) -> Result<()> {
    for address in (name, 0).to_socket_addrs()? {
        println!("{}", address.ip());
    }
    Ok(())
}
