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
// as with sslmode=allow, in the clear if the server lets it, and encrypted otherwise.
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

// prefer puts what the server is known to take first, among the ways to reach one and the same address.
func (k *cipher) prefer(c *pgx.ConnConfig) {
	if !k.declined.Load() {
		return
	}
	ways := append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}, c.Fallbacks...)
	for i := 1; i < len(ways); i++ {
		a, b := ways[i-1], ways[i]
		if a.Host == b.Host && a.Port == b.Port && a.TLSConfig != nil && b.TLSConfig == nil {
			ways[i-1], ways[i] = b, a
		}
	}
	c.Host, c.Port, c.TLSConfig, c.Fallbacks = ways[0].Host, ways[0].Port, ways[0].TLSConfig, ways[1:]
}
