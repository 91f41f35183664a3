// Connections that the network forgets while they are in use.

package postgres_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/servertest"
)

// firewall passes connections on to a server until it forgets them: from then on nothing gets through on those, and nobody is told.
type firewall struct {
	listener net.Listener
	to       string

	mu     sync.Mutex // guards all below
	conns  map[*wire]bool
	forgot []*wire
}

// wire is one connection, both ends of it.
type wire struct {
	client, server net.Conn
	mu             sync.Mutex // held while something passes, and for good once it is forgotten
}

// behind is the URL of a server behind a firewall of its own.
func behind(t *testing.T, at string) (string, *firewall) {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &firewall{listener: l, to: u.Host, conns: make(map[*wire]bool)}
	go f.accept()
	t.Cleanup(func() {
		_ = l.Close()
		f.forget()
		f.end()
	})
	u.Host = l.Addr().String()
	return u.String(), f
}

func (f *firewall) accept() {
	for {
		client, err := f.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", f.to) //nolint:noctx // it ends with the listener
		if err != nil {
			_ = client.Close()
			return
		}
		w := &wire{client: client, server: server}
		f.mu.Lock()
		f.conns[w] = true
		f.mu.Unlock()
		go w.pass(w.client, w.server)
		go w.pass(w.server, w.client)
	}
}

func (w *wire) pass(from, to net.Conn) {
	b := make([]byte, 1<<16)
	for {
		n, err := from.Read(b)
		w.mu.Lock() // for the last time, perhaps
		_, failed := to.Write(b[:n])
		w.mu.Unlock()
		if err != nil || failed != nil {
			_ = to.Close()
			return
		}
	}
}

// forget forgets the connections that there are.
func (f *firewall) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.conns {
		w.mu.Lock()
		delete(f.conns, w)
		f.forgot = append(f.forgot, w)
	}
}

// end has both ends of what was forgotten learn of it.
func (f *firewall) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.forgot {
		_, _ = w.client.Close(), w.server.Close()
		w.mu.Unlock()
	}
	f.forgot = nil
}

// A heartbeat on a connection that the network has forgotten gets through on a new one, while the session lives, however many
// of the pool are dead.
func TestBeatsPassForgottenConnections(t *testing.T) {
	t.Parallel()
	for _, pooler := range []string{"", "&pooler=transaction"} {
		at, wall := behind(t, servertest.Postgres(t)+pooler)
		s := open(t, at+"&pool_max_conns=4")
		s.Hurry(50*time.Millisecond, time.Minute)
		session, _ := held(t, s, "x")
		if err := s.Warm(t.Context(), 4); err != nil {
			t.Fatal(err)
		}
		wall.forget()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		beaten, err := s.Beat(ctx, session, nil)
		cancel()
		if err != nil || len(beaten.Sessions) != 1 || beaten.Sessions[0].ID != session {
			t.Errorf("%q: %+v, %v", pooler, beaten, err)
		}
		wall.end()
		sound(t, s)
	}
}

// Nor does who reads wait for as long as the network keeps silent.
func TestReadersLeaveForgottenConnections(t *testing.T) {
	t.Parallel()
	at, wall := behind(t, servertest.Postgres(t))
	s := open(t, at)
	session, _ := held(t, s, "x")
	s.Hurry(time.Minute, 50*time.Millisecond)
	if err := s.Warm(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	wall.forget()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := s.Receive(ctx, session); !errors.Is(err, backend.ErrTransient) || ctx.Err() != nil {
		t.Errorf("what is read is answered with %v", err)
	}
	s.Hurry(time.Minute, time.Minute)
	wall.end()
	if _, err := s.Receive(ctx, session); err != nil {
		t.Error(err)
	}
	sound(t, s)
}

// Who closes the store does not wait for them either: each could take fifteen seconds to say farewell on.
func TestCloseLeavesForgottenConnections(t *testing.T) {
	t.Parallel()
	at, wall := behind(t, servertest.Postgres(t))
	s := open(t, at)
	s.Hurry(time.Minute, 50*time.Millisecond)
	if err := s.Warm(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	wall.forget()
	if _, err := s.Receive(t.Context(), 1); !errors.Is(err, backend.ErrTransient) {
		t.Fatal(err)
	}
	begun := time.Now()
	if err := s.Close(); err != nil || time.Since(begun) > 10*time.Second {
		t.Errorf("closed after %v: %v", time.Since(begun), err)
	}
}

// A schema that is made anew counts its sessions from one again: who had a number before has it no more.
func TestASchemaMadeAnewKnowsNoOldSession(t *testing.T) {
	t.Parallel()
	for _, pooler := range []string{"", "&pooler=transaction"} {
		url := servertest.Postgres(t)
		s := open(t, url+pooler)
		old, _ := held(t, s)
		stranger, schema := connect(t, url)
		administer(t, stranger, "DROP SCHEMA "+schema+" CASCADE")
		anew := open(t, url+pooler)
		session, _ := held(t, anew)
		if session != old {
			t.Fatalf("the new session is %d, the old one was %d", session, old)
		}
		if _, err := s.Beat(t.Context(), old, nil); !errors.Is(err, backend.ErrFenced) {
			t.Errorf("the old one beats: %v", err)
		}
		if _, err := anew.Beat(t.Context(), session, nil); err != nil {
			t.Error(err)
		}
		sound(t, anew)
	}
}
