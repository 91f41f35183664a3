// Tests of the file activities in directories of their own.

//go:build unix

package activities

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestFileReadWrite(t *testing.T) {
	t.Parallel()
	read, write := stock(t, "file.read"), stock(t, "file.write")
	name := filepath.Join(t.TempDir(), "new", "dir", "a.txt")
	for _, text := range []string{"first é\x00\n", ""} {
		if _, f := call[any](t.Context(), t, write, []any{name}, map[string]any{"text": text}); f != nil {
			t.Fatal(f)
		}
		if got, f := call[string](t.Context(), t, read, []any{name}, nil); f != nil || got != text {
			t.Errorf("%q %v, want %q", got, f, text)
		}
	}
	if err := os.Chmod(name, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(filepath.Dir(name), "link")
	if err := os.Symlink("a.txt", link); err != nil {
		t.Fatal(err)
	}
	if _, f := call[any](t.Context(), t, write, []any{link, "through"}, nil); f != nil {
		t.Fatal(f)
	}
	info, err := os.Lstat(name)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link is gone: %v %v", info, err)
	}
	entries, err := os.ReadDir(filepath.Dir(name))
	if err != nil || len(entries) != 2 {
		t.Errorf("temporary files remain: %v %v", entries, err)
	}
}

func TestFileFailures(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	binary := filepath.Join(dir, "binary")
	if err := os.WriteFile(binary, []byte("a\xff"), 0o600); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []any
		kind string
	}{
		{"file.read", []any{filepath.Join(dir, "nothing")}, "NotFound"},
		{"file.read", []any{binary}, "NotText"},
		{"file.read", []any{dir}, "FileError"},
		{"file.read", []any{""}, "NotFound"},
		{"file.read", []any{1}, KindBadArguments},
		{"file.write", []any{dir, "x"}, "FileError"},
		{"file.write", []any{filepath.Join(binary, "below"), "x"}, "FileError"},
		{"file.write", []any{"", "x"}, KindBadArguments},
		{"file.write", []any{filepath.Join(dir, "new") + "/", "x"}, KindBadArguments},
		{"file.write", []any{dir + "/new/.", "x"}, KindBadArguments},
		{"file.write", []any{dir + "/new/..", "x"}, KindBadArguments},
		{"file.write", []any{pipe, "x"}, "FileError"},
		{"file.write", []any{"x"}, KindBadArguments},
		{"file.glob", []any{"[a"}, KindBadArguments},
		{"file.glob", []any{""}, KindBadArguments},
	} {
		_, f := call[any](t.Context(), t, stock(t, c.name), c.args, nil)
		if f == nil || f.Kind != c.kind || f.Message == "" {
			t.Errorf("%s%v: %+v, want %s", c.name, c.args, f, c.kind)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("something was left behind: %v %v", entries, err)
	}
	if info, err := os.Stat(pipe); err != nil || info.Mode().Type() != os.ModeNamedPipe {
		t.Errorf("the pipe is gone: %v %v", info, err)
	}
}

// A name may be as long as the file system takes.
func TestFileWriteOfALongName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, base := range []string{strings.Repeat("a", 255), strings.Repeat("é", 127)} {
		if _, f := call[any](t.Context(), t, stock(t, "file.write"), []any{filepath.Join(dir, base), "x"}, nil); f != nil {
			t.Error(f)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("%v %v", entries, err)
	}
}

// A pipe gives what is written to it, and is left when the attempt ends before somebody writes, or has written all.
func TestFileReadOfAPipe(t *testing.T) {
	t.Parallel()
	read := stock(t, "file.read")
	newPipe := func() string {
		name := filepath.Join(t.TempDir(), "pipe")
		if err := syscall.Mkfifo(name, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if got, f := call[string](ctx, t, read, []any{newPipe()}, nil); f == nil || f.Message != "enough" {
		t.Errorf("%q %v", got, f)
	}
	for _, whole := range []bool{true, false} {
		pipe := newPipe()
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() {
			w, err := os.OpenFile(pipe, os.O_WRONLY, 0)
			if err == nil {
				_, err = w.WriteString("text")
			}
			if !whole {
				cancel(errors.New("enough"))
				<-t.Context().Done()
			}
			ended <- errors.Join(err, w.Close())
		}()
		switch got, f := call[string](ctx, t, read, []any{pipe}, nil); {
		case whole && (f != nil || got != "text"):
			t.Errorf("%q %v", got, f)
		case !whole && (f == nil || f.Message != "enough"):
			t.Errorf("%q %v", got, f)
		}
		if whole {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		cancel(nil)
	}
}

func TestGlob(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, name := range []string{"b.go", "a.go", "c.txt", "sub/d.go", "sub/deep/e.go", "sub/deep/f.txt", ".git/config", "sub/.hidden", "odd[1]/x y.go"} {
		full := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for target, link := range map[string]string{"..": "sub/loop", "b.go": "g.go", "gone": "dangling.go"} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	glob := stock(t, "file.glob")
	for pattern, want := range map[string]string{
		"*.go":         "a.go b.go g.go",
		"*":            "a.go b.go c.txt g.go",
		"**/*.go":      "a.go b.go g.go odd[1]/x y.go sub/d.go sub/deep/e.go",
		"**":           "a.go b.go c.txt g.go odd[1]/x y.go sub/d.go sub/deep/e.go sub/deep/f.txt",
		"**/**":        "a.go b.go c.txt g.go odd[1]/x y.go sub/d.go sub/deep/e.go sub/deep/f.txt",
		"**/deep/*":    "sub/deep/e.go sub/deep/f.txt",
		"sub/**":       "sub/d.go sub/deep/e.go sub/deep/f.txt",
		"sub/**/.*":    "sub/.hidden",
		".git/*":       ".git/config",
		"[ab].go":      "a.go b.go",
		"?.txt":        "c.txt",
		`odd\[1\]/*`:   "odd[1]/x y.go",
		"a.go":         "a.go",
		"nothing*":     "",
		"no/such/*":    "",
		"a.go/*":       "",
		"sub":          "",
		"*/":           "odd[1]/ sub/",
		"sub/*/":       "sub/deep/ sub/loop/",
		"sub/deep/../": "sub/deep/../",
	} {
		got, f := call[[]string](t.Context(), t, glob, []any{root + "/" + pattern}, nil)
		if f != nil || got == nil {
			t.Errorf("%s: %v %v", pattern, got, f)
			continue
		}
		if !slices.IsSorted(got) {
			t.Errorf("%s: not sorted: %v", pattern, got)
		}
		for i := range got {
			got[i] = strings.TrimPrefix(got[i], root+"/")
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", pattern, got, want)
		}
	}
}

func TestGlobRelative(t *testing.T) {
	t.Parallel()
	glob := stock(t, "file.glob")
	for pattern, want := range map[string][]string{"doc.go": {"doc.go"}, "./do?.go": {"./doc.go"}, "**/doc.go": {"doc.go"}} {
		if got, f := call[[]string](t.Context(), t, glob, []any{pattern}, nil); f != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v %v", pattern, got, f)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, f := call[[]string](ctx, t, glob, []any{"**"}, nil); f == nil {
		t.Error("a cancelled walk goes on")
	}
}
