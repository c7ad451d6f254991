// Everything uses the operating system as ordinary Go programs do, and fails
// with the first answer that is not as on other systems.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

func main() {
	if !slices.Equal(os.Args[1:], []string{"one", "two words"}) || os.Getenv("GREETING") != "hello" {
		fail(fmt.Errorf("got arguments %q, GREETING %q", os.Args, os.Getenv("GREETING")))
	}
	for _, step := range []func() error{files, directories, links, times, sleeping, errorsOfPaths} {
		if err := step(); err != nil {
			fail(err)
		}
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fmt.Println(strings.ToUpper(lines.Text()))
	}
	os.Exit(7)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func files() error {
	data := strings.Repeat("0123456789", 100000)
	if err := os.WriteFile("large", []byte(data), 0o666); err != nil {
		return err
	}
	got, err := os.ReadFile("large")
	if err != nil || string(got) != data {
		return fmt.Errorf("read %d bytes of %d, %v", len(got), len(data), err)
	}
	f, err := os.OpenFile("large", os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	if _, err := f.WriteString("end"); err != nil {
		return err
	}
	if at, err := f.Seek(-5, io.SeekEnd); err != nil || at != int64(len(data))-2 {
		return fmt.Errorf("seek: %d, %v", at, err)
	}
	if b, err := io.ReadAll(f); err != nil || string(b) != "89end" {
		return fmt.Errorf("read %q, %v", b, err)
	}
	if err := errors.Join(f.Truncate(10), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename("large", "small"); err != nil {
		return err
	}
	info, err := os.Stat("small")
	if err != nil || info.Size() != 10 || !info.Mode().IsRegular() {
		return fmt.Errorf("stat: %v, %v", info, err)
	}
	temp, err := os.CreateTemp(".", "temp")
	if err != nil {
		return err
	}
	return errors.Join(os.Remove(temp.Name()), temp.Close())
}

func directories() error {
	if err := os.MkdirAll("a/b/c", 0o777); err != nil {
		return err
	}
	for i := range 300 {
		if err := os.WriteFile(fmt.Sprintf("a/b/file %03d", i), nil, 0o666); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir("a/b")
	if err != nil || len(entries) != 301 || !entries[0].IsDir() || entries[300].Name() != "file 299" {
		return fmt.Errorf("read %d entries, %v", len(entries), err)
	}
	found := 0
	err = filepath.WalkDir("/", func(path string, _ fs.DirEntry, err error) error {
		if strings.Contains(path, "file ") {
			found++
		}
		return err
	})
	if err != nil || found != 300 {
		return fmt.Errorf("found %d files, %v", found, err)
	}
	return os.RemoveAll("a")
}

func links() error {
	err := errors.Join(os.Symlink("small", "link"), os.Link("small", "twin"), os.Symlink("nothing", "dangling"))
	if err != nil {
		return err
	}
	if target, err := os.Readlink("link"); err != nil || target != "small" {
		return fmt.Errorf("link to %q, %v", target, err)
	}
	if b, err := os.ReadFile("link"); err != nil || string(b) != "0123456789" {
		return fmt.Errorf("read %q, %v", b, err)
	}
	if info, err := os.Lstat("dangling"); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return fmt.Errorf("dangling: %v, %v", info, err)
	}
	return errors.Join(os.Remove("link"), os.Remove("twin"), os.Remove("dangling"))
}

func times() error {
	then := time.Date(2001, 2, 3, 4, 5, 6, 7, time.UTC)
	if err := os.Chtimes("small", then, then); err != nil {
		return err
	}
	info, err := os.Stat("small")
	if err != nil || !info.ModTime().Equal(then) {
		return fmt.Errorf("modified at %v, %v", info.ModTime(), err)
	}
	if age := time.Since(time.Now()); age > time.Minute || time.Now().Year() < 2024 {
		return fmt.Errorf("it is %v", time.Now())
	}
	return nil
}

func sleeping() error {
	start := time.Now()
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() { time.Sleep(30 * time.Millisecond) })
	}
	all.Wait()
	if took := time.Since(start); took < 30*time.Millisecond || took > 20*time.Second {
		return fmt.Errorf("slept %v", took)
	}
	select {
	case <-time.After(time.Millisecond):
	case <-time.After(time.Minute):
		return errors.New("the shorter timer never fired")
	}
	return nil
}

func errorsOfPaths() error {
	if _, err := os.Open("nothing"); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("open nothing: %v", err)
	}
	if err := os.Mkdir("small", 0o777); !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make a directory of a file: %v", err)
	}
	if _, err := os.Create("/../../../etc/passwd"); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("leave the root: %v", err)
	}
	return nil
}
