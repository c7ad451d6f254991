// Command guest does what its arguments say, one step each: a word for what to
// do, and what to do it with, separated by spaces. A step that fails is
// printed and the next one follows.
package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unsafe"
)

func main() {
	for _, step := range os.Args[1:] {
		word, rest, _ := strings.Cut(step, " ")
		a, b, _ := strings.Cut(rest, " ")
		if err := do(word, a, b); err != nil {
			fmt.Printf("%s: %v\n", step, err)
		}
	}
}

func do(word, a, b string) error {
	switch word {
	case "print":
		_, err := fmt.Println(a, b)
		return err
	case "warn":
		_, err := fmt.Fprintln(os.Stderr, a, b)
		return err
	case "many": // lines of 64 bytes
		for i := range number(a) {
			if _, err := fmt.Printf("%063d\n", i); err != nil {
				return err
			}
		}
		return nil
	case "read":
		content, err := os.ReadFile(a)
		fmt.Printf("%s\n", content)
		return err
	case "list":
		entries, err := os.ReadDir(a)
		for _, e := range entries {
			fmt.Println(e.Name(), e.IsDir())
		}
		return err
	case "write":
		return os.WriteFile(a, []byte(b), 0o666)
	case "zeros":
		return os.WriteFile(a, make([]byte, number(b)), 0o666)
	case "append":
		f, err := os.OpenFile(a, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteString(b)
		return err
	case "truncate":
		return os.Truncate(a, int64(number(b)))
	case "remove":
		return os.RemoveAll(a)
	case "rename":
		return os.Rename(a, b)
	case "mkdir":
		return os.MkdirAll(a, 0o777)
	case "symlink":
		return os.Symlink(a, b)
	case "link":
		return os.Link(a, b)
	case "touch":
		at := time.Unix(int64(number(b)), 0)
		return os.Chtimes(a, at, at)
	case "sleep":
		d, err := time.ParseDuration(a)
		time.Sleep(d)
		return err
	case "now":
		fmt.Println(time.Now().UnixNano() > 0)
		return nil
	case "cat":
		_, err := io.Copy(os.Stdout, os.Stdin)
		return err
	case "open": // as many files as there may be
		n := 0
		for ; ; n++ {
			if _, err := os.Open(a); err != nil {
				fmt.Println("opened some:", n > 3, n < number(b))
				return err
			}
		}
	case "grow": // MiB
		keep := make([][]byte, 0, number(a))
		for range number(a) {
			p := make([]byte, 1<<20)
			p[0] = 1
			keep = append(keep, p)
		}
		fmt.Println(len(keep))
		return nil
	case "exit":
		os.Exit(number(a))
	case "spin":
		for {
		}
	case "trap":
		*(*byte)(unsafe.Pointer(uintptr(1<<32 - 16))) = 1
	}
	return fmt.Errorf("what is %q?", word)
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}
