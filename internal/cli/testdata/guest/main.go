// Command guest is the program that the tests of the command line run: its
// first argument says what it does.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Println("hello")
		return
	}
	args := os.Args[2:]
	switch os.Args[1] {
	case "args":
		for _, a := range os.Args {
			fmt.Printf("%q\n", a)
		}
	case "env":
		for _, e := range os.Environ() {
			fmt.Println(e)
		}
	case "exit":
		os.Exit(number(args[0]))
	case "cat":
		_, err := io.Copy(os.Stdout, os.Stdin)
		check(err)
	case "both":
		os.Stdout.WriteString("out\x00\xff")
		os.Stderr.WriteString("err\x01\xfe")
		os.Stdout.WriteString("more")
	case "count":
		count(number(args[0]), pause(args[1]))
	case "upper":
		upper(pause(args[0]))
	case "wait":
		fmt.Println("waiting")
		time.Sleep(pause(args[0]))
		fmt.Println("done")
	case "spin":
		fmt.Println("spinning")
		for {
		}
	case "tree":
		tree(args[0])
	case "edit":
		edit(args[0], pause(args[1]))
	case "draw":
		draw(pause(args[0]))
	default:
		fmt.Fprintln(os.Stderr, "guest: what is", os.Args[1])
		os.Exit(64)
	}
}

// count prints n lines with a pause before each, and one on standard error
// halfway.
func count(n int, pause time.Duration) {
	for i := 1; i <= n; i++ {
		time.Sleep(pause)
		fmt.Println("line", i)
		if i == n/2 {
			fmt.Fprintln(os.Stderr, "half")
		}
	}
}

// upper prints its input in capitals, line by line.
func upper(pause time.Duration) {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(strings.ToUpper(lines.Text()))
		time.Sleep(pause)
	}
}

// tree makes files, directories and links.
func tree(dir string) {
	check(os.MkdirAll(filepath.Join(dir, "sub", "deep"), 0o755))
	check(os.WriteFile(filepath.Join(dir, "a.txt"), []byte("alpha\n"), 0o644))
	check(os.WriteFile(filepath.Join(dir, "empty"), nil, 0o644))
	check(os.WriteFile(filepath.Join(dir, "sub", "deep", "b.txt"), []byte("beta\n"), 0o644))
	check(os.Symlink("a.txt", filepath.Join(dir, "link")))
	check(os.Symlink("sub", filepath.Join(dir, "dirlink")))
	check(os.Symlink("nowhere", filepath.Join(dir, "dangling")))
}

// edit changes, makes and removes files of a directory, with a pause between.
func edit(dir string, pause time.Duration) {
	notes := filepath.Join(dir, "notes.txt")
	old, err := os.ReadFile(notes)
	check(err)
	check(os.WriteFile(notes, append(old, "and more\n"...), 0o644))
	fmt.Println("changed")
	time.Sleep(pause)
	check(os.WriteFile(filepath.Join(dir, "new.txt"), []byte("new\n"), 0o644))
	check(os.Remove(filepath.Join(dir, "old.txt")))
	fmt.Println("edited")
}

// draw says whether the time it saw before a pause is still what it wrote down.
func draw(pause time.Duration) {
	seen := strconv.FormatInt(time.Now().UnixNano(), 10)
	fmt.Println("seen", seen)
	time.Sleep(pause)
	fmt.Println("still", seen)
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	check(err)
	return n
}

func pause(s string) time.Duration {
	d, err := time.ParseDuration(s)
	check(err)
	return d
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(1)
	}
}
