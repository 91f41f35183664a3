// A process killed in the middle of a commit leaves a whole state.

package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/sqlite"
)

// childEnv makes this test binary the process that is killed.
const childEnv = "SENPUKI_SQLITE_CHILD"

const perBatch = 32

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		if err := commitForever(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// commitForever writes batches of perBatch turns, each with a row, a log line
// and a message to its neighbour, and says which have landed.
func commitForever(path string) error {
	ctx := context.Background()
	s, err := sqlite.Open(ctx, path)
	if err != nil {
		return err
	}
	if _, err := s.Deploy(ctx, []backend.Program{{Digest: "d"}}, nil); err != nil {
		return err
	}
	session, _, err := s.Open(ctx, backend.Session{Host: "child", PID: os.Getpid()})
	if err != nil {
		return err
	}
	create := backend.Batch{Session: session}
	for i := range perBatch {
		create.Create = append(create.Create, backend.NewExecution{ID: fmt.Sprint("x", i), Digest: "d", Queue: "q", Claim: true})
	}
	reply, err := s.Commit(ctx, create)
	if err != nil {
		return err
	}
	for n := int64(0); ; n++ {
		b := backend.Batch{Session: session}
		for i, c := range reply.Created {
			b.Turns = append(b.Turns, backend.Turn{
				Execution: create.Create[i].ID, Run: c.Run, First: n, Rows: [][]byte{[]byte(fmt.Sprint("row ", n))},
				Logs: []backend.LogLine{{Ordinal: n, Level: "print", Message: fmt.Sprint(n)}}, Published: []byte(fmt.Sprint(n)),
			})
			b.Send = append(b.Send, backend.Message{Execution: create.Create[(i+1)%perBatch].ID, Kind: backend.Signal, Name: fmt.Sprint(n)})
		}
		if _, err := s.Commit(ctx, b); err != nil {
			return err
		}
		fmt.Println("landed", n)
	}
}

// begin begins a process that writes batches to a database until it is killed, and says of each when it has landed.
func begin(t *testing.T, path string) (child *exec.Cmd, says *bufio.Scanner) {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child = exec.Command(binary)
	child.Env = append(os.Environ(), childEnv+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	return child, bufio.NewScanner(out)
}

func TestKilled(t *testing.T) {
	t.Parallel()
	for round := range 6 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			t.Parallel()
			path := file(t)
			child, lines := begin(t, path)
			said := int64(-1)
			for lines.Scan() {
				n, err := strconv.ParseInt(strings.TrimPrefix(lines.Text(), "landed "), 10, 64)
				if err != nil {
					t.Error(err)
					break
				}
				if said = n; n == int64(5+7*round) { // it goes on writing until the signal arrives
					break
				}
			}
			_ = child.Process.Kill()
			for lines.Scan() {
				n, err := strconv.ParseInt(strings.TrimPrefix(lines.Text(), "landed "), 10, 64)
				if err == nil {
					said = n
				}
			}
			_ = child.Wait() // it was killed
			if said < int64(5+7*round) {
				t.Fatalf("the process ended by itself after batch %d", said)
			}
			whole(t, path, said)
		})
	}
}

// whole expects all of every batch up to the one said to have landed, or one more.
func whole(t *testing.T, path string, said int64) {
	s := open(t, path)
	for _, err := range s.Check(t.Context()) {
		t.Error(err)
	}
	sessions, err := s.Sessions(t.Context())
	if err != nil || len(sessions) != 1 {
		t.Fatalf("sessions are %v, %v", sessions, err)
	}
	messages, err := s.Receive(t.Context(), sessions[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.List(t.Context(), backend.Filter{})
	if err != nil || len(list) != perBatch {
		t.Fatalf("%d executions, %v", len(list), err)
	}
	landed := len(messages) / perBatch
	if last := int64(landed) - 1; last != said && last != said+1 {
		t.Errorf("batches up to %d are there, said was %d", last, said)
	}
	for _, x := range list {
		rows := 0
		if err := s.Journal(t.Context(), x.Run, 0, func(backend.Row) error { rows++; return nil }); err != nil {
			t.Error(err)
		}
		lines, err := s.Logs(t.Context(), x.Run, 0, 0)
		if err != nil {
			t.Error(err)
		}
		if rows != landed || len(lines) != landed || string(x.Published) != fmt.Sprint(landed-1) || len(messages) != landed*perBatch {
			t.Errorf("%s has %d rows, %d lines and published %s after %d batches", x.ID, rows, len(lines), x.Published, landed)
		}
	}
	// The dead process's locks are free.
	if err := s.Revoke(t.Context(), sessions[0].ID); err != nil {
		t.Error(err)
	}
	for _, err := range s.Check(t.Context()) {
		t.Error(err)
	}
}
