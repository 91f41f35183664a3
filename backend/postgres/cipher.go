// Whether the server encrypts connections, where the URL leaves that to it.

package postgres

import (
	"crypto/tls"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// cipher is what is known of that. With sslmode=prefer, which is the default, the driver
// asks for encryption on one connection and, when the server has none, makes another one without it; for
// each, the server starts a process. So it is asked once: from then on a connection is made
// as with sslmode=allow, in the clear if the server lets it, and encrypted otherwise. When a connection breaks the
// next one asks again: a server that was started anew may have other settings. Of several hosts in
// the URL each is asked every time, for what one has not another may have.
type cipher struct {
	declined atomic.Bool
}

// learn remembers how a connection was made.
func (k *cipher) learn(c *pgx.Conn) {
	_, encrypted := c.PgConn().Conn().(*tls.Conn)
	k.declined.Store(!encrypted)
}

// forget lets the next connection ask again.
func (k *cipher) forget() { k.declined.Store(false) }

// leave is told of a connection that leaves the pool.
func (k *cipher) leave(c *pgx.Conn) {
	if c.IsClosed() { // not by the pool
		k.forget()
	}
}

// prefer puts what the server is known to take first, when the two ways to one and the same address are all there are.
func (k *cipher) prefer(c *pgx.ConnConfig) {
	if !k.declined.Load() || len(c.Fallbacks) != 1 {
		return
	}
	if other := c.Fallbacks[0]; other.Host == c.Host && other.Port == c.Port && c.TLSConfig != nil && other.TLSConfig == nil {
		c.TLSConfig, c.Fallbacks = nil, []*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}
	}
}
