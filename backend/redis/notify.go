// Package redis sends wake-ups between workers over Redis. Nothing is kept
// there: without it, or while it is away, workers poll and nothing is lost.
//
// It serves databases that have no wake-ups of their own, poolers in transaction
// mode that do not let LISTEN through, and servers that should be spared it.
package redis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"time"

	driver "github.com/redis/go-redis/v9"

	"github.com/senpuki/senpuki/backend"
)

const (
	// maxHint is the size of the largest hint: every worker gets every one.
	maxHint = 64 << 10
	// silence is how long a connection may say nothing before it is asked whether it is alive.
	silence = 30 * time.Second
)

// Notifier is a channel of a Redis server.
type Notifier struct {
	client  *driver.Client
	channel string
	secret  string
}

// Open connects to the server of a URL: redis://user:password@host:6379/0,
// rediss:// for TLS, or unix:///path. database names what the hints are about, the
// same in all workers of one database and in no others.
func Open(ctx context.Context, at, database string) (*Notifier, error) {
	o, err := driver.ParseURL(at)
	if err != nil {
		// What the parser says may quote the URL, and with it the password.
		var bad *url.Error
		if errors.As(err, &bad) || strings.Contains(at, "@") {
			err = errors.New("special characters of the password are written %23 for #, %2F for /, %40 for @")
		}
		return nil, fmt.Errorf("redis: not a URL redis://user:password@host:port/0: %w", err)
	}
	if database == "" {
		return nil, errors.New("redis: the name of the database that the hints are about is empty")
	}
	n := &Notifier{client: driver.NewClient(o), channel: "senpuki:" + database, secret: o.Password}
	if err := n.client.Ping(ctx).Err(); err != nil {
		_ = n.client.Close()
		return nil, fmt.Errorf("connect to redis at %s: %w", o.Addr, n.translate(err))
	}
	return n, nil
}

// Close ends all connections.
func (n *Notifier) Close() error { return n.client.Close() }

// Notify tells all who listen.
func (n *Notifier) Notify(ctx context.Context, h backend.Hint) error {
	if err := n.client.Publish(ctx, n.channel, h.Encode(maxHint)).Err(); err != nil {
		return fmt.Errorf("notify: %w", n.translate(err))
	}
	return nil
}

// Listen hears hints on a connection of its own.
func (n *Notifier) Listen(ctx context.Context, heard func(backend.Hint)) error {
	for pause := 100 * time.Millisecond; ; {
		if n.hear(ctx, heard) {
			pause = 100 * time.Millisecond
		}
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		pause = min(2*pause, 5*time.Second)
	}
}

// hear listens until the connection breaks, and says whether there was one.
// The driver would connect again by itself, but not say that it has.
func (n *Notifier) hear(ctx context.Context, heard func(backend.Hint)) (connected bool) {
	sub := n.client.Subscribe(ctx, n.channel)
	defer func() { _ = sub.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = sub.Close() }) // a read does not look at ctx
	defer stop()
	asked := false
	for {
		got, err := sub.ReceiveTimeout(ctx, silence)
		var network net.Error
		switch {
		case err == nil:
		case !asked && ctx.Err() == nil && errors.As(err, &network) && network.Timeout(): // is anybody there?
			if asked = true; sub.Ping(ctx) == nil {
				continue
			}
			return connected
		default:
			return connected
		}
		asked = false
		switch got := got.(type) {
		case *driver.Subscription:
			connected = true
			heard(backend.Hint{})
		case *driver.Message:
			heard(backend.DecodeHint([]byte(got.Payload)))
		}
	}
}

// hidden is an error whose words are without the password.
type hidden struct {
	error
	words string
}

func (h *hidden) Error() string { return h.words }
func (h *hidden) Unwrap() error { return h.error }

// translate makes every failure of the server a passing one, and takes the
// password out of its words.
func (n *Notifier) translate(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	words := err.Error()
	if n.secret != "" && strings.Contains(words, n.secret) {
		err = &hidden{err, strings.ReplaceAll(words, n.secret, "xxxxx")}
	}
	return fmt.Errorf("%w: %w", backend.ErrTransient, err)
}

var _ backend.Notifier = (*Notifier)(nil)
