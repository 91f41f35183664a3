// A server that encrypts nothing is asked once.

package postgres_test

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/servertest"
)

// door stands before a server and asks for encryption, or knows of none.
type door struct {
	server string
	tls    *tls.Config
	offers atomic.Bool // encryption, to those who ask for it
	shut   atomic.Bool // in the clear nobody comes in, nor otherwise without encryption
	gone   atomic.Bool // nobody comes in at all

	clear, encrypted, asked atomic.Int64 // connections; those that asked and were told there is none
}

// newDoor returns a door and the URL of a schema behind it.
func newDoor(t *testing.T) (*door, string) {
	t.Helper()
	u, err := url.Parse(servertest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	certified := httptest.NewTLSServer(nil)
	certified.Close()
	d := &door{server: u.Host, tls: &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go d.let(conn)
		}
	}()
	u.Host = l.Addr().String()
	return d, with(u.String(), "sslmode", "prefer")
}

// sslRequest is what a client sends that asks for encryption, where others send a version:
// https://www.postgresql.org/docs/current/protocol-message-formats.html
const sslRequest = 80877103

// let lets a connection in.
func (d *door) let(conn net.Conn) {
	defer func() { conn.Close() }()
	head := make([]byte, 8)
	if _, err := io.ReadFull(conn, head); err != nil {
		return
	}
	switch asks := binary.BigEndian.Uint32(head[4:]) == sslRequest; {
	case d.gone.Load():
		return
	case asks && (d.shut.Load() || d.offers.Load()):
		d.encrypted.Add(1)
		if _, err := conn.Write([]byte("S")); err != nil {
			return
		}
		conn, head = tls.Server(conn, d.tls), nil
	case asks:
		d.asked.Add(1)
		_, _ = conn.Write([]byte("N"))
		return
	case d.shut.Load():
		return
	default:
		d.clear.Add(1)
	}
	server, err := net.Dial("tcp", d.server)
	if err != nil {
		return
	}
	defer server.Close()
	if _, err := server.Write(head); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(conn, server)
		conn.Close()
	}()
	_, _ = io.Copy(server, conn)
}

func TestEncryptionIsAskedForOnce(t *testing.T) {
	t.Parallel()
	d, at := newDoor(t)
	s := open(t, at)
	hear(t, listen(t, s), backend.Hint{})
	if d.asked.Load() != 1 || d.clear.Load() < 2 || d.encrypted.Load() != 0 {
		t.Errorf("%d connections asked, %d were in the clear, %d encrypted", d.asked.Load(), d.clear.Load(), d.encrypted.Load())
	}

	d.shut.Store(true) // from now on the server insists
	before := d.clear.Load()
	for range 3 {
		s.Break(t.Context())
		if err := s.Inspect(t.Context(), "search_path", new(string)); err != nil {
			t.Fatal(err)
		}
	}
	if d.encrypted.Load() == 0 || d.clear.Load() != before || d.asked.Load() != 1 {
		t.Errorf("then %d connections asked, %d were in the clear, %d encrypted", d.asked.Load(), d.clear.Load()-before, d.encrypted.Load())
	}
}

// Without anybody who listens it is the pool that finds out.
func TestEncryptionIsAskedForAgainWhenAConnectionHasBroken(t *testing.T) {
	t.Parallel()
	d, at := newDoor(t)
	s := open(t, at)
	d.offers.Store(true)
	for tries := 0; d.encrypted.Load() == 0; tries++ {
		if tries == 100 { // the pool tells of the broken ones in its own time
			t.Fatal("nothing is encrypted yet")
		}
		s.Break(t.Context())
		if err := s.Inspect(t.Context(), "search_path", new(string)); err != nil {
			t.Fatal(err)
		}
	}
}

// That one host encrypts nothing says nothing about another.
func TestEachHostIsAskedForEncryption(t *testing.T) {
	t.Parallel()
	one, at := newDoor(t)
	other, at2 := newDoor(t)
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	u2, err := url.Parse(at2)
	if err != nil {
		t.Fatal(err)
	}
	u.Host += "," + u2.Host
	s := open(t, with(u.String(), "target_session_attrs", "read-write"))
	one.gone.Store(true)
	other.offers.Store(true)
	s.Break(t.Context())
	if err := s.Inspect(t.Context(), "search_path", new(string)); err != nil {
		t.Fatal(err)
	}
	if one.clear.Load() == 0 || other.encrypted.Load() != 1 || other.clear.Load() != 0 {
		t.Errorf("%d connections to the first host; to the other one %d were encrypted, %d in the clear", one.clear.Load(), other.encrypted.Load(), other.clear.Load())
	}
}
