// The reference model passes what it is the reference for.

package backendtest_test

import (
	"testing"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/backendtest"
	"github.com/senpuki/senpuki/backend/memory"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, func(*testing.T) backend.Store { return memory.New() })
}

func TestMemoryPair(t *testing.T) {
	t.Parallel()
	backendtest.RunPair(t, func(*testing.T) (a, b backend.Store) {
		s := memory.New()
		return s, s
	})
}

func BenchmarkCommit(b *testing.B) {
	backendtest.BenchmarkCommit(b, func(*testing.B) backend.Store { return memory.New() })
}

func BenchmarkJournal(b *testing.B) {
	backendtest.BenchmarkJournal(b, func(*testing.B) backend.Store { return memory.New() })
}
