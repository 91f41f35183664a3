package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	driver "github.com/redis/go-redis/v9"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/redis"
	"github.com/senpuki/senpuki/backend/servertest"
)

func open(t *testing.T, url, database string) *redis.Notifier {
	t.Helper()
	n, err := redis.Open(t.Context(), url, database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// listen hears hints until the test ends.
func listen(t *testing.T, n *redis.Notifier) <-chan backend.Hint {
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
	url := servertest.Redis(t)
	a, b, other := open(t, url, t.Name()), open(t, url, t.Name()), open(t, url, t.Name()+"2")
	heard, elsewhere := listen(t, a), listen(t, other)
	hear(t, heard, backend.Hint{}) // it has connected
	hear(t, elsewhere, backend.Hint{})
	hint := backend.Hint{Queues: []string{"q"}, Executions: []string{"naïve"}, Session: 3}
	tell := func(h backend.Hint) {
		t.Helper()
		if err := b.Notify(t.Context(), h); err != nil {
			t.Fatal(err)
		}
	}
	tell(hint)
	hear(t, heard, hint)
	tell(backend.Hint{Executions: []string{strings.Repeat("x", 100_000)}})
	hear(t, heard, backend.Hint{})

	// A connection that breaks is made again, and everything is looked at.
	o, err := driver.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	killer := driver.NewClient(o)
	defer killer.Close()
	if err := killer.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err(); err != nil {
		t.Fatal(err)
	}
	hear(t, heard, backend.Hint{})
	hear(t, elsewhere, backend.Hint{})
	tell(hint)
	hear(t, heard, hint)
	if len(elsewhere) > 0 {
		t.Errorf("another database's listener heard %v", <-elsewhere)
	}
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	for url, word := range map[string]string{
		"redis://me:hunter2@127.0.0.1:1/0": "127.0.0.1:1",
		"redis://me:hun/ter2@host:1/0":     "special characters",
		"redis://me:hunter2@host/nothing":  "special characters",
		"http://host":                      "redis://",
	} {
		_, err := redis.Open(t.Context(), url, "db")
		if err == nil || !strings.Contains(err.Error(), word) || strings.Contains(err.Error(), "hun") {
			t.Errorf("%s: %v", word, err)
		}
	}
	if _, err := redis.Open(t.Context(), "redis://host", ""); err == nil {
		t.Error("a database without a name")
	}
}
