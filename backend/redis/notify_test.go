//go:build unix

package redis_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/redis"
	"github.com/senpuki/senpuki/backend/servertest"
)

func open(t *testing.T, url, database string) *redis.Notifier {
	t.Helper()
	n, err := redis.Open(url, database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

// listen returns a channel of what a notifier hears.
func listen(t *testing.T, n *redis.Notifier) <-chan backend.Hint {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	heard, done := make(chan backend.Hint, 100), make(chan error, 1)
	go func() { done <- n.Listen(ctx, func(h backend.Hint) { heard <- h }) }()
	t.Cleanup(func() { cancel(); <-done })
	return heard
}

func next(t *testing.T, heard <-chan backend.Hint) backend.Hint {
	t.Helper()
	select {
	case h := <-heard:
		return h
	case <-time.After(30 * time.Second):
		t.Fatal("nothing was heard")
		return backend.Hint{}
	}
}

func TestHintsReachThoseOfTheSameDatabase(t *testing.T) {
	t.Parallel()
	url := servertest.Redis(t)
	a, b, other := open(t, url, "one"), open(t, url, "one"), open(t, url, "two")
	heard, elsewhere := listen(t, b), listen(t, other)
	for _, ch := range []<-chan backend.Hint{heard, elsewhere} {
		if h := next(t, ch); !h.Anything() {
			t.Errorf("first %+v", h)
		}
	}
	due := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := a.Notify(t.Context(), backend.Hint{From: "a", Queues: []string{"q"}, Due: due, Ended: []string{"x", "y"}}); err != nil {
		t.Fatal(err)
	}
	if h := next(t, heard); h.From != "a" || h.Queues[0] != "q" || !h.Due.Equal(due) || len(h.Ended) != 2 {
		t.Errorf("%+v", h)
	}
	select {
	case h := <-elsewhere:
		t.Errorf("users of another database heard %+v", h)
	default:
	}
}

// A server that goes away and comes back is listened to again.
func TestListenAgain(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.KindRedis)
	a, b := open(t, s.URL(), "one"), open(t, s.URL(), "one")
	heard := listen(t, b)
	next(t, heard)
	s.Down()
	if err := a.Notify(t.Context(), backend.Hint{Queues: []string{"lost"}}); err == nil {
		t.Error("a hint was sent to nobody")
	}
	if h := next(t, heard); !h.Lost || h.Anything() {
		t.Errorf("while the server is away: %+v", h)
	}
	if err := s.Up(); err != nil {
		t.Fatal(err)
	}
	if h := next(t, heard); !h.Anything() {
		t.Errorf("after the server was away: %+v", h)
	}
	if err := a.Notify(t.Context(), backend.Hint{Queues: []string{"found"}}); err != nil {
		t.Fatal(err)
	}
	if h := next(t, heard); len(h.Queues) != 1 || h.Queues[0] != "found" {
		t.Errorf("%+v", h)
	}
}

// A connection whose other end has gone without a word is given up, and another one made.
func TestAConnectionThatHasGoneSilentIsGivenUp(t *testing.T) {
	t.Parallel()
	server, err := url.Parse(servertest.Redis(t))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var cut atomic.Int64 // how many connections from the first on carry nothing any more
	go func() {
		for n := int64(1); ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			to, err := net.Dial("tcp", server.Host)
			if err != nil {
				return
			}
			t.Cleanup(func() { to.Close() })
			pipe := func(to io.Writer, from io.Reader) {
				b := make([]byte, 4096)
				for {
					got, err := from.Read(b)
					if err != nil {
						return
					}
					if n > cut.Load() {
						_, _ = to.Write(b[:got])
					}
				}
			}
			go pipe(to, conn)
			go pipe(conn, to)
		}
	}()
	n := open(t, "redis://"+l.Addr().String(), "one")
	n.Ask(10 * time.Millisecond)
	heard := listen(t, n)
	next(t, heard)
	cut.Store(1)
	if h := next(t, heard); !h.Anything() {
		t.Errorf("%+v", h)
	}
}

// Who may listen but not publish, as others with the same user then may not either, will never hear anything: he is told why.
func TestAUserWhoMayNotPublish(t *testing.T) {
	t.Parallel()
	server, err := url.Parse(servertest.Redis(t))
	if err != nil {
		t.Fatal(err)
	}
	client := goredis.NewClient(&goredis.Options{Addr: server.Host})
	t.Cleanup(func() { client.Close() })
	if err := client.Do(t.Context(), "ACL", "SETUSER", "mute", "on", ">secret", "~*", "&*", "+@all", "-publish").Err(); err != nil {
		t.Fatal(err)
	}
	server.User = url.UserPassword("mute", "secret")
	heard := listen(t, open(t, server.String(), "mute"))
	if h := next(t, heard); !h.Lost || h.Why == nil || !strings.Contains(h.Why.Error(), "publish") {
		t.Errorf("heard %+v", h)
	}
	if err := client.Do(t.Context(), "ACL", "SETUSER", "mute", "+publish").Err(); err != nil {
		t.Fatal(err)
	}
	if h := next(t, heard); !h.Anything() {
		t.Errorf("heard %+v", h)
	}
}

// A server closes connections that are idle. Under TLS that shows only when one is used, and the hint is not lost for it.
func TestAConnectionThatTheServerHasClosed(t *testing.T) {
	t.Parallel()
	server, err := url.Parse(servertest.Redis(t))
	if err != nil {
		t.Fatal(err)
	}
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	t.Cleanup(certified.Close)
	l, err := tls.Listen("tcp", "127.0.0.1:0", certified.TLS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	conns := make(chan net.Conn, 100)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", server.Host)
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(to, conn); to.Close() }()
			go func() { _, _ = io.Copy(conn, to); conn.Close() }()
			conns <- conn
		}
	}()
	heard := listen(t, open(t, server.String(), "idle"))
	next(t, heard)
	n := open(t, "rediss://"+l.Addr().String()+"?skip_verify=true", "idle")
	for _, from := range []string{"first", "second"} {
		if err := n.Notify(t.Context(), backend.Hint{From: from, Recall: true}); err != nil {
			t.Fatal(err)
		}
		if h := next(t, heard); h.From != from {
			t.Errorf("heard %+v", h)
		}
		(<-conns).Close()
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"http://x", "redis://user:secret@host:port/0", "", "redis://user:secret@%zz/",
		"redis://:secret/2@host", "redis://:secret#2@host", `redis://:"secret"@host:port`} {
		_, err := redis.Open(url, "d")
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// Who ends does not wait for a server that takes connections and says nothing, and a hint tries it once.
func TestAServerThatIsSilentToTLSIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	conns := make(chan net.Conn, 100)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns <- conn
		}
	}()
	n := open(t, "rediss://"+l.Addr().String(), "one")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Listen(ctx, func(backend.Hint) {}) }()
	silent := <-conns
	defer silent.Close()
	cancel()
	began := time.Now()
	<-done
	if took := time.Since(began); took > 2*time.Second { // one that does not heed its context takes three
		t.Errorf("the listener ended after %v", took)
	}

	refused := make(chan error, 1)
	go func() { refused <- n.Notify(t.Context(), backend.Hint{}) }()
	for tries := 1; ; tries++ {
		select {
		case conn := <-conns:
			conn.Close()
		case err := <-refused:
			if err == nil || tries != 2 {
				t.Errorf("a hint was tried %d times: %v", tries-1, err)
			}
			return
		}
	}
}
