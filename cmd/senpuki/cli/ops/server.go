// The HTTP server of a worker: /healthz, /readyz and /metrics.

package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

// pingPatience is how long the database may take to answer a look at readiness.
const pingPatience = 2 * time.Second

// Source is what the server tells about.
type Source struct {
	Engine  *engine.Engine
	Store   backend.Store
	Metrics *engine.Metrics
	Version string
	// Mask takes passwords out of what is told. Default: nothing is taken out.
	Mask func(string) string
}

// Server serves the health and metrics of a worker.
type Server struct {
	http     *http.Server
	listener net.Listener
	done     chan error
}

// Serve listens at once, so that a port that is taken is an error here, and serves until Close.
func Serve(address string, s Source, log *slog.Logger) (*Server, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	server := &Server{
		http: &http.Server{
			Handler: Handler(s), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute,
			ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		},
		listener: l, done: make(chan error, 1),
	}
	go func() { server.done <- server.http.Serve(l) }()
	return server, nil
}

// Addr is the address that is listened at.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close ends the server and waits for it; requests under way get a second.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// Handler answers the three paths.
func Handler(s Source) http.Handler {
	if s.Mask == nil {
		s.Mask = func(text string) string { return text }
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), newCollector(s),
	)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, readiness{Ready: true})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		told := ready(r.Context(), s)
		status := http.StatusOK
		if !told.Ready {
			status = http.StatusServiceUnavailable
		}
		answer(w, status, told)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry}))
	return mux
}

// readiness is the body of an answer.
type readiness struct {
	Ready   bool   `json:"ready"`
	Reason  string `json:"reason,omitempty"` // session, stopping, database
	Message string `json:"message,omitempty"`
}

// ready says whether the worker can take work now, or the first reason why not.
func ready(ctx context.Context, s Source) readiness {
	h := s.Engine.Health()
	switch {
	case h.Stopping:
		return readiness{Reason: "stopping", Message: "the worker is told to stop: it takes nothing new"}
	case h.Fault != nil: // also of a worker that has no session because of it
		return readiness{Reason: "database", Message: s.Mask(h.Fault.Error())}
	case h.Session == 0:
		return readiness{Reason: "session", Message: "the worker has no session: it has not reached the database yet, has lost its session or has ended"}
	}
	ctx, cancel := context.WithTimeout(ctx, pingPatience)
	defer cancel()
	err := s.Engine.Ping(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return readiness{Reason: "database", Message: fmt.Sprintf("the database has not answered for %v", pingPatience)}
	case err != nil:
		return readiness{Reason: "database", Message: s.Mask(err.Error())}
	}
	return readiness{Ready: true}
}

func answer(w http.ResponseWriter, status int, body readiness) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may have gone
}
