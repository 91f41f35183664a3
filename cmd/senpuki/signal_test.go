// Signals: what a script of testdata cannot send or look at closely.

package main_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

const deafFlow = `
write = activity("file.write")
deaf = activity("deaf")

def main():
    write("begun", "")
    deaf()
`

// started runs deafFlow, by way of a command if one is given, and returns when it has begun.
func started(t *testing.T, by ...string) (cmd *exec.Cmd, stderr *strings.Builder) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("there are no signals")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "flow.star"), []byte(deafFlow), 0o644); err != nil {
		t.Fatal(err)
	}
	stderr = new(strings.Builder)
	words := append(by, "mine", "exec", "flow.star", "--id", "x")
	cmd = exec.CommandContext(t.Context(), words[0], words[1:]...)
	cmd.Dir, cmd.Stderr = dir, stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for range look.C {
		if _, err := os.Stat(filepath.Join(dir, "begun")); err == nil {
			break
		}
		if t.Context().Err() != nil {
			t.Fatal("it did not begin")
		}
	}
	return cmd, stderr
}

func exitCode(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode()
}

// TestSecondSignal: the first signal drains for as long as an activity that
// ignores its context runs; the second ends the process at once.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	cmd, stderr := started(t)
	stopsAtOnce(t, cmd, stderr, syscall.SIGTERM)
}

// TestHangup: the end of its terminal stops an exec as an interrupt does.
func TestHangup(t *testing.T) {
	t.Parallel()
	cmd, stderr := started(t)
	stopsAtOnce(t, cmd, stderr, syscall.SIGHUP)
}

// TestHangupIgnored: it goes on where nohup(1) has said so.
func TestHangupIgnored(t *testing.T) {
	t.Parallel()
	cmd, stderr := started(t, "nohup")
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	for range 3 {
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		<-look.C
	}
	_ = cmd.Process.Kill() // it may have ended
	if code := exitCode(t, cmd); code != -1 {
		t.Errorf("exit status %d, standard error:\n%s", code, stderr)
	}
}

// stopsAtOnce signals a process again and again and wants it to end before what it runs has had its time.
func stopsAtOnce(t *testing.T, cmd *exec.Cmd, stderr *strings.Builder, signal syscall.Signal) {
	t.Helper()
	begun := time.Now()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	done := make(chan int, 1)
	go func() { done <- exitCode(t, cmd) }()
	for n := 0; ; n++ {
		select {
		case code := <-done:
			if code != 130 || !strings.Contains(stderr.String(), "resume with: mine resume x") {
				t.Errorf("exit status %d, standard error:\n%s", code, stderr)
			}
			if spent := time.Since(begun); spent > 8*time.Second {
				t.Errorf("it took %v: the second signal did not end it", spent)
			}
			return
		case <-look.C:
			if n%10 == 0 {
				_ = cmd.Process.Signal(signal) // it may have ended
			}
		}
	}
}
