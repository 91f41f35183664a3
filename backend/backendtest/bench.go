// What a backend costs.

package backendtest

import (
	"fmt"
	"testing"

	"github.com/senpuki/senpuki/backend"
)

// benchStore is a store with a program and a session.
func benchStore(b *testing.B, open func(b *testing.B) backend.Store) (backend.Store, backend.SessionID) {
	b.Helper()
	s := open(b)
	if _, err := s.Deploy(b.Context(), []backend.Program{{Digest: digest}}, nil); err != nil {
		b.Fatal(err)
	}
	session, _, err := s.Open(b.Context(), backend.Session{Host: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	return s, session
}

// BenchmarkCommit measures plain turns of 200 bytes, committed in batches of 1,
// 16 and 256. One operation is one turn.
func BenchmarkCommit(b *testing.B, open func(b *testing.B) backend.Store) {
	const executions = 1024
	for _, size := range []int{1, 16, 256} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s, session := benchStore(b, open)
			turns := make([]backend.Turn, executions)
			create := backend.Batch{Session: session}
			for i := range turns {
				n := ask(fmt.Sprintf("order-%08x-%04d", i*2654435761, i))
				n.Claim = true
				turns[i] = backend.Turn{Execution: n.ID, Rows: [][]byte{make([]byte, 200)}}
				create.Create = append(create.Create, n)
			}
			reply, err := s.Commit(b.Context(), create)
			if err != nil {
				b.Fatal(err)
			}
			for i := range turns {
				turns[i].Run = reply.Created[i].Run
			}
			b.ReportAllocs()
			b.ResetTimer()
			done := 0
			for done < b.N {
				from := done % executions
				part := turns[from:min(from+size, executions, from+b.N-done)]
				if _, err := s.Commit(b.Context(), backend.Batch{Session: session, Turns: part}); err != nil {
					b.Fatal(err)
				}
				for i := range part {
					part[i].First++
				}
				done += len(part)
			}
			b.StopTimer()
			b.ReportMetric(float64(done)/b.Elapsed().Seconds(), "turns/s")
		})
	}
}

// BenchmarkJournal reads a journal of 10,000 rows of 200 bytes.
func BenchmarkJournal(b *testing.B, open func(b *testing.B) backend.Store) {
	s, session := benchStore(b, open)
	n := ask("x")
	n.Claim = true
	reply, err := s.Commit(b.Context(), backend.Batch{Session: session, Create: []backend.NewExecution{n}})
	if err != nil {
		b.Fatal(err)
	}
	t := backend.Turn{Execution: "x", Run: reply.Created[0].Run}
	for range 10_000 {
		t.Rows = append(t.Rows, make([]byte, 200))
	}
	if _, err := s.Commit(b.Context(), backend.Batch{Session: session, Turns: []backend.Turn{t}}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		rows := 0
		if err := s.Journal(b.Context(), t.Run, 0, func(backend.Row) error { rows++; return nil }); err != nil || rows != 10_000 {
			b.Fatal(rows, err)
		}
	}
}
