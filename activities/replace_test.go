package activities

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// attempting is the context of an attempt of a step.
func attempting(t *testing.T, step string, attempt int) context.Context {
	t.Helper()
	return WithInfo(t.Context(), AttemptInfo{Step: step, Attempt: attempt, IdempotencyKey: IdempotencyKey("x", 1, step)})
}

// text writes a text in two halves, and something may happen between them.
func text(whole string, between func()) func(io.Writer) error {
	return func(w io.Writer) error {
		half := len(whole) / 2
		_, err := io.WriteString(w, whole[:half])
		between()
		_, again := io.WriteString(w, whole[half:])
		return errors.Join(err, again)
	}
}

func nothing() {}

// listed are the names in a directory.
func listed(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// holds checks what a file has, and what else is in its directory.
func holds(t *testing.T, name, want string, names ...string) {
	t.Helper()
	if b, err := os.ReadFile(name); err != nil || string(b) != want {
		t.Errorf("%s has %q %v, want %q", name, b, err, want)
	}
	if got := listed(t, filepath.Dir(name)); !slices.Equal(got, names) {
		t.Errorf("beside it are %q, want %q", got, names)
	}
}

// What an attempt has left by being killed is removed by the next one of its step, and nothing else is.
func TestReplaceFileRemovesWhatAKillHasLeft(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"a.txt", strings.Repeat("é", 127)} {
		name := filepath.Join(t.TempDir(), base)
		var left []string
		for _, step := range []string{"1", "2"} {
			draft := ""
			if err := ReplaceFile(attempting(t, step, 1), name, text(step, func() { draft = listed(t, filepath.Dir(name))[0] })); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
			left = append(left, draft)
		}
		left = append(left, ".a.txt.17")
		for _, draft := range left {
			if err := os.WriteFile(filepath.Join(filepath.Dir(name), draft), []byte("half"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := ReplaceFile(attempting(t, "1", 2), name, text("one", nothing)); err != nil {
			t.Fatal(err)
		}
		rest := append(left[1:], base)
		slices.Sort(rest)
		holds(t, name, "one", rest...)
		if err := ReplaceFile(t.Context(), name, text("outside of a step", nothing)); err != nil {
			t.Error(err)
		}
		holds(t, name, "outside of a step", rest...)
	}
}

// An attempt that was given up and goes on all the same does no harm to the next one, before and after that has ended.
func TestReplaceFileOfAGivenUpAttempt(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "a.txt")
	err := ReplaceFile(attempting(t, "1", 1), name, text("first", func() {
		if err := ReplaceFile(attempting(t, "1", 2), name, text("second", nothing)); err != nil {
			t.Error(err)
		}
		holds(t, name, "second", "a.txt")
	}))
	if err == nil {
		t.Error("the first attempt replaced the file, too")
	}
	holds(t, name, "second", "a.txt")

	ctx, cancel := context.WithCancelCause(attempting(t, "1", 3))
	gone := errors.New("given up")
	if err := ReplaceFile(ctx, name, text("third", func() { cancel(gone) })); !errors.Is(err, gone) {
		t.Errorf("an attempt that is over was told %v", err)
	}
	holds(t, name, "second", "a.txt")
}

// One that was given up and writes only when the next one does already leaves that alone, too; and so does what else an attempt itself writes.
func TestReplaceFileWhileALaterAttemptDoes(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "a.txt")
	for _, attempt := range []int{2, 3} {
		if err := ReplaceFile(attempting(t, "1", 3), name, text("third", func() {
			ctx, cancel := context.WithCancel(attempting(t, "1", attempt))
			cancel()
			if err := ReplaceFile(ctx, name, text("late", nothing)); !errors.Is(err, context.Canceled) {
				t.Errorf("an attempt that is over was told %v", err)
			}
		})); err != nil {
			t.Errorf("beside attempt %d: %v", attempt, err)
		}
		holds(t, name, "third", "a.txt")
	}
}

// Two steps that write one file at once do not touch what the other writes, whatever attempts they are.
func TestReplaceFileOfTwoSteps(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "a.txt")
	if err := ReplaceFile(attempting(t, "1", 2), name, text("one", func() {
		if err := ReplaceFile(attempting(t, "2", 2), name, text("two", nothing)); err != nil {
			t.Error(err)
		}
	})); err != nil {
		t.Error(err)
	}
	holds(t, name, "one", "a.txt")
}

// Nothing stays of what was not finished.
func TestReplaceFileThatFails(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "a.txt")
	if err := ReplaceFile(t.Context(), name, text("whole", nothing)); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	if err := ReplaceFile(t.Context(), name, func(io.Writer) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("failed with %v", err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = ReplaceFile(t.Context(), name, text("half", func() { panic("in the middle") }))
	}()
	holds(t, name, "whole", "a.txt")
	for _, bad := range []string{"", name + "/", filepath.Dir(name)} {
		if err := ReplaceFile(t.Context(), bad, text("x", nothing)); err == nil {
			t.Errorf("%q was replaced", bad)
		}
	}
}
