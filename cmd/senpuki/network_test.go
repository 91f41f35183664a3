// The network between workers and PostgreSQL: cut, slow to tell, and whole again.

//go:build unix

package main_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/postgres"
	"github.com/senpuki/senpuki/backend/servertest"
	"github.com/senpuki/senpuki/engine"
)

// proxy passes connections on to a server. While it is cut, bytes go nowhere and nobody is told.
type proxy struct {
	listener net.Listener
	target   string
	mu       sync.Mutex
	open     chan struct{} // closed while bytes pass
	conns    []net.Conn
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: target, open: make(chan struct{})}
	close(p.open)
	go p.accept()
	t.Cleanup(func() {
		_ = l.Close()
		p.join()
		p.reset()
	})
	return p
}

func (p *proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		far, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", p.target)
		if err != nil {
			_ = near.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, near, far)
		p.mu.Unlock()
		go p.pass(near, far)
		go p.pass(far, near)
	}
}

func (p *proxy) pass(to io.WriteCloser, from io.ReadCloser) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 1<<16)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		open := p.open
		p.mu.Unlock()
		<-open
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// cut stops all bytes; join lets them through again, late but in order; reset drops all connections.
func (p *proxy) cut()  { p.mu.Lock(); defer p.mu.Unlock(); p.open = make(chan struct{}) }
func (p *proxy) join() { p.mu.Lock(); defer p.mu.Unlock(); closeOnce(p.open) }
func (p *proxy) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

const networkFlow = `
step = activity("step")
def main(n):
    total = 0
    for i in range(n):
        total += step(i)
    return total
`

// network is a database and two workers with short sessions, each behind a proxy of its own.
type network struct {
	t       *testing.T
	store   backend.Store // past the proxies
	client  *engine.Engine
	proxies []*proxy
	gate    chan struct{} // a step passes when it can be read from
	waiting atomic.Int32  // steps at the gate
}

const shortLife = 3 * time.Second // longer than a busy machine is away

func newNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{t: t, gate: make(chan struct{})}
	raw := servertest.Postgres(t)
	n.store = n.connect(raw)
	n.client = n.engine(n.store)
	if _, err := n.client.Deploy(t.Context(), fstest.MapFS{"test.star": {Data: []byte(networkFlow)}}, "test.star"); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		p := newProxy(t, u.Host)
		u.Host = p.listener.Addr().String()
		n.proxies = append(n.proxies, p)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		e := n.engine(n.connect(u.String()))
		u.Host = p.target
		go func() {
			defer close(done)
			if err := e.Run(ctx); err != nil && !errors.Is(err, engine.ErrStopped) {
				t.Errorf("Run: %v", err)
			}
		}()
		t.Cleanup(func() {
			p.join()
			closeOnce(n.gate)
			cancel()
			<-done
		})
		<-e.Ready()
		if len(n.proxies) == 1 { // the first worker holds all
			for i := range 4 {
				if _, err := n.client.Dispatch(t.Context(), "test", engine.Input{Args: []any{5}}, engine.DispatchOptions{ID: fmt.Sprint("x", i)}); err != nil {
					t.Fatal(err)
				}
			}
			n.until("four steps at the gate", func() bool { return n.waiting.Load() == 4 })
		}
	}
	return n
}

func (n *network) connect(u string) backend.Store {
	n.t.Helper()
	s, err := postgres.Open(n.t.Context(), u)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = s.Close() })
	return s
}

func (n *network) engine(s backend.Store) *engine.Engine {
	n.t.Helper()
	reg := activities.NewRegistry()
	err := reg.Register("step", func(ctx context.Context, i int) (int, error) {
		n.waiting.Add(1)
		defer n.waiting.Add(-1)
		select {
		case <-n.gate:
			return i, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
	if err != nil {
		n.t.Fatal(err)
	}
	e, err := engine.New(s, reg, engine.Options{SessionLife: shortLife, PollInterval: 100 * time.Millisecond})
	if err != nil {
		n.t.Fatal(err)
	}
	return e
}

func (n *network) until(what string, ok func() bool) {
	n.t.Helper()
	for begun := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begun) > time.Minute {
			n.t.Fatalf("no %s for a minute", what)
		}
	}
}

// owners are the sessions that stand, and those that hold executions.
func (n *network) owners() (standing, owning []backend.SessionID) {
	n.t.Helper()
	sessions, err := n.store.Sessions(n.t.Context())
	if err != nil {
		n.t.Fatal(err)
	}
	for _, s := range sessions {
		standing = append(standing, s.ID)
	}
	list, err := n.store.List(n.t.Context(), backend.Filter{Limit: 10})
	if err != nil {
		n.t.Fatal(err)
	}
	for _, x := range list {
		if x.Owner != 0 && !slices.Contains(owning, x.Owner) {
			owning = append(owning, x.Owner)
		}
	}
	return standing, owning
}

// ends opens the gate and wants every execution to end as it should, with each step recorded once.
func (n *network) ends() {
	n.t.Helper()
	closeOnce(n.gate)
	for i := range 4 {
		id := fmt.Sprint("x", i)
		ctx, cancel := context.WithTimeout(n.t.Context(), time.Minute)
		x, err := n.client.Wait(ctx, id)
		cancel()
		if err != nil || string(x.Result) != "10" {
			n.t.Errorf("%s: %s %s, %v", id, x.State, x.Result, err)
		}
		v, err := n.client.Replay(n.t.Context(), id, "")
		if err != nil || !v.Fits {
			n.t.Errorf("the journal of %s does not hold: %+v %v", id, v, err)
		}
	}
	for _, err := range n.store.Check(n.t.Context()) {
		n.t.Error(err)
	}
}

// A worker that is cut off for longer than its session lives is taken over. When its
// bytes arrive after all, none of its turns lands, and it begins a new session.
func TestNetworkCut(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	before, held := n.owners()
	if len(before) != 2 || len(held) != 1 {
		t.Fatalf("sessions %v, owners %v", before, held)
	}
	n.proxies[0].cut()
	n.gate <- struct{}{} // these outcomes are on their way when nothing passes any more
	n.gate <- struct{}{}
	n.until("takeover", func() bool { _, now := n.owners(); return len(now) == 1 && now[0] != held[0] })
	n.until("steps of the other worker", func() bool { return n.waiting.Load() >= 6 }) // two are given up at most
	n.proxies[0].join()
	n.until("new session", func() bool {
		now, _ := n.owners()
		return len(now) == 2 && !slices.Contains(now, held[0])
	})
	n.ends()
}

// A cut that is shorter than a session's life costs nobody anything.
func TestNetworkBlip(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	before, _ := n.owners()
	for i := range 3 {
		n.proxies[i%2].cut()
		time.Sleep(shortLife / 10) // nothing happens meanwhile that could be waited for
		n.proxies[i%2].join()
		n.gate <- struct{}{}
	}
	n.ends()
	if after, _ := n.owners(); !slices.Equal(before, after) {
		t.Errorf("sessions were %v, are %v", before, after)
	}
}

// When the server answers nobody for longer than a session lives, or drops every
// connection, no worker revokes another: all go on as they were.
func TestServerPause(t *testing.T) {
	t.Parallel()
	for _, drop := range []bool{false, true} {
		t.Run(fmt.Sprint("drop=", drop), func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t)
			before, held := n.owners()
			for _, p := range n.proxies {
				p.cut()
				if drop {
					p.reset()
				}
			}
			n.gate <- struct{}{}
			time.Sleep(3 * shortLife) // that nobody is revoked shows only when the time for it has passed
			for _, p := range n.proxies {
				p.join()
			}
			n.gate <- struct{}{}
			n.until("beats", func() bool {
				sessions, err := n.store.Sessions(t.Context())
				return err == nil && len(sessions) == 2 && sessions[0].Beat > 4 && sessions[1].Beat > 4
			})
			after, owning := n.owners()
			if !slices.Equal(before, after) || !slices.Equal(held, owning) {
				t.Errorf("sessions were %v, are %v; owners were %v, are %v", before, after, held, owning)
			}
			n.ends()
		})
	}
}
