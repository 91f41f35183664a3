// Package redis carries wake-ups between processes over Redis pub/sub.
//
// There is one type, [Notifier]: it publishes hints on a channel that is named
// after the database whose users they concern, and listens to it. Nothing is
// stored in Redis, and nothing depends on it: hints that are lost cost latency only.
package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/senpuki/senpuki/backend"
)

// Notifier is a connection to a Redis server. It is a [backend.Notifier].
type Notifier struct {
	client  *redis.Client
	channel string
	quiet   time.Duration // after which a connection that says nothing is asked whether it is alive
	dials   atomic.Int64  // how often the server was called
}

// The client complains to standard error by itself; what matters comes back as an error.
var silence sync.Once

type nobody struct{}

func (nobody) Printf(context.Context, string, ...any) {}

// maxHint is the size of the largest text of a hint: every process gets every one.
const maxHint = 64 << 10

// nothing is a hint that asks nobody to do anything, also where it is read: an execution without an id has ended.
const nothing = `{"ended":[""]}`

// timeout is how long one command may take.
const timeout = 3 * time.Second

// Open returns a notifier for the users of one database. The URL is
// redis://[user:password@]host[:port][/db], or rediss:// with TLS. It does not connect yet:
// a server that is away is no error, hints are lost meanwhile.
func Open(rawURL, database string) (*Notifier, error) {
	switch u, err := url.Parse(rawURL); {
	case err != nil || u.Opaque != "": // it may be anything, also a password
		return nil, errors.New("redis: not a URL redis://host:port/db with user:password@ before host; " +
			"special characters in the password are written %23 for #, %2F for /, %40 for @")
	case !slices.Contains([]string{"redis", "rediss", "unix"}, u.Scheme):
		return nil, fmt.Errorf("redis %s: not a URL redis://host:port/db, rediss:// with TLS, or unix:///path", masked(rawURL))
	}
	o, err := redis.ParseURL(rawURL)
	if err != nil {
		return nil, fmt.Errorf("redis %s: %s", masked(rawURL), strings.ReplaceAll(err.Error(), rawURL, masked(rawURL)))
	}
	silence.Do(func() { redis.SetLogger(nobody{}) })
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = timeout, timeout, timeout
	o.MaxRetries, o.DialerRetries = -1, 1 // a hint is not worth it
	n := &Notifier{channel: "senpuki:" + database, quiet: 30 * time.Second}
	o.Dialer = n.dialer(o.TLSConfig)
	o.PoolSize = 4
	n.client = redis.NewClient(o)
	return n, nil
}

// dialer connects until its context ends. The client's own does not look at it when there is TLS, and
// those who end would wait for a server that says nothing.
func (n *Notifier) dialer(secure *tls.Config) func(ctx context.Context, network, addr string) (net.Conn, error) {
	plain := &net.Dialer{Timeout: timeout}
	dial := plain.DialContext
	if secure != nil {
		dial = (&tls.Dialer{NetDialer: plain, Config: secure}).DialContext
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		n.dials.Add(1)
		return dial(ctx, network, addr)
	}
}

// masked is a URL without its password.
func masked(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "(a URL that cannot be read)"
	}
	return u.Redacted()
}

// Close closes the connections.
func (n *Notifier) Close() error { return n.client.Close() }

// Notify publishes a hint.
func (n *Notifier) Notify(ctx context.Context, h backend.Hint) error {
	for _, part := range h.Encode(maxHint) {
		dials := n.dials.Load()
		err := n.publish(ctx, part)
		if closed(err) && n.dials.Load() == dials {
			err = n.publish(ctx, part)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (n *Notifier) publish(ctx context.Context, text string) error {
	return n.client.Publish(ctx, n.channel, text).Err()
}

// closed reports whether err may say that a connection had ended before it was used: servers close those that are idle, and
// under TLS the client does not see it.
func closed(err error) bool {
	_, answered := errors.AsType[redis.Error](err)
	return err != nil && !answered && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, context.DeadlineExceeded)
}

// Listen calls heard for each hint until ctx ends. It subscribes again when the
// connection is lost, and then calls heard with the zero hint.
func (n *Notifier) Listen(ctx context.Context, heard func(backend.Hint)) error {
	lost := false
	for delay := 100 * time.Millisecond; ; delay = min(2*delay, 5*time.Second) {
		subscribed, err := n.subscribe(ctx, heard)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, redis.ErrClosed) {
			return err
		}
		if subscribed {
			delay, lost = 100*time.Millisecond, false
		} else if !lost {
			lost = true
			heard(backend.Hint{Lost: true, Why: err})
		}
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// subscribe listens over one connection until it is lost.
func (n *Notifier) subscribe(ctx context.Context, heard func(backend.Hint)) (subscribed bool, err error) {
	sub := n.client.Subscribe(ctx, n.channel)
	defer sub.Close()
	defer context.AfterFunc(ctx, func() { _ = sub.Close() })() // a read does not end with its context
	if _, err := sub.ReceiveTimeout(ctx, timeout); err != nil {
		return false, err
	}
	// Others here have the same user, most likely: when it may listen but not publish, nothing will ever be heard.
	if err := n.publish(ctx, nothing); err != nil {
		return false, err
	}
	heard(backend.Hint{}) // what was said before is lost
	for asked := false; ; {
		wait := n.quiet
		if asked {
			wait = timeout
		}
		m, err := sub.ReceiveTimeout(ctx, wait)
		switch {
		case err == nil:
			asked = false
			if m, ok := m.(*redis.Message); ok && m.Payload != nothing {
				heard(backend.DecodeHint([]byte(m.Payload)))
			}
		case asked || !isTimeout(err):
			return true, err
		default: // silence: is anybody there?
			if err := sub.Ping(ctx); err != nil {
				return true, err
			}
			asked = true
		}
	}
}

func isTimeout(err error) bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && t.Timeout()
}
