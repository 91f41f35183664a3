// Wake-ups: heard, after a break, too large, and behind a pooler.

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/postgres"
	"github.com/senpuki/senpuki/backend/servertest"
)

// listen hears hints until the test ends.
func listen(t *testing.T, n backend.Notifier) <-chan backend.Hint {
	t.Helper()
	heard, done := make(chan backend.Hint, 100), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- n.Listen(ctx, func(h backend.Hint) { heard <- h }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Listen ended with %v", err)
		}
	})
	return heard
}

func hear(t *testing.T, heard <-chan backend.Hint, want backend.Hint) {
	t.Helper()
	select {
	case got := <-heard:
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("heard %v, want %v", got, want)
		}
	case <-t.Context().Done():
		t.Fatal("nothing was heard")
	}
}

func TestNotify(t *testing.T) {
	t.Parallel()
	url := servertest.Postgres(t)
	a, b := open(t, url), open(t, url)
	other := open(t, servertest.Postgres(t))
	heard, elsewhere := listen(t, a), listen(t, other)
	hear(t, heard, backend.Hint{}) // it has connected
	hear(t, elsewhere, backend.Hint{})
	hint := backend.Hint{Queues: []string{"q"}, Executions: []string{"naïve"}, Ended: []string{"e"}}
	tell := func(h backend.Hint) {
		t.Helper()
		if err := b.Notify(t.Context(), h); err != nil {
			t.Fatal(err)
		}
	}
	tell(hint)
	hear(t, heard, hint)
	tell(backend.Hint{Executions: []string{strings.Repeat("x", 9000)}})
	hear(t, heard, backend.Hint{})

	// A connection that breaks is made again, and everything is looked at.
	stranger, schema := connect(t, url)
	if _, err := stranger.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = $1",
		`LISTEN "senpuki_`+schema+`"`); err != nil {
		t.Fatal(err)
	}
	hear(t, heard, backend.Hint{})
	tell(hint)
	hear(t, heard, hint)
	if len(elsewhere) > 0 {
		t.Errorf("another schema's listener heard %v", <-elsewhere)
	}
}

func TestListenBehindPooler(t *testing.T) {
	t.Parallel()
	s := open(t, servertest.Postgres(t)+"&pooler=transaction")
	err := s.Listen(t.Context(), func(backend.Hint) { t.Error("something was heard") })
	if err == nil || !strings.Contains(err.Error(), "polling") {
		t.Errorf("Listen says %v", err)
	}
	if err := s.Notify(t.Context(), backend.Hint{Ended: []string{"e"}}); err != nil {
		t.Errorf("others may listen: %v", err)
	}
}

var _ backend.Notifier = (*postgres.Store)(nil)
