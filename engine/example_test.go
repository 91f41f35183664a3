// Examples of programs: one that only dispatches, one that works and serves HTTP, activities that take long.

package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing/fstest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/memory"
	"github.com/senpuki/senpuki/engine"
)

// workflows stand for os.DirFS("workflows").
var workflows = fstest.MapFS{
	"order.star": {Data: []byte(`
charge = activity("charge", retry = retry_policy(max_attempts = 1))

def main(order, cents):
    receipt, err = charge.attempt(order, cents)
    if err:
        return Err(err.kind, err.message, left = err.data["left"])
    return receipt
`)},
	"resize.star": {Data: []byte(`
resize = activity("resize", heartbeat = "10s", timeout = "1h")

def main(pictures):
    return resize(pictures)
`)},
}

// Receipt is a result of the workflow order.
type Receipt struct {
	ID    string `json:"id"`
	Cents int64  `json:"cents"`
}

func registry() *activities.Registry {
	reg := activities.NewRegistry()
	reg.MustRegister("charge", func(order string, cents int64) (Receipt, error) {
		if cents > 1000 {
			return Receipt{}, activities.Fail("Declined", "no money", activities.Data(map[string]any{"left": 1000}))
		}
		return Receipt{ID: "receipt-" + order, Cents: cents}, nil
	})
	reg.MustRegister("resize", func(ctx context.Context, pictures []string) (int, error) {
		for i, p := range pictures {
			if err := ctx.Err(); err != nil { // cancelled, timed out, or the worker stops
				return i, err
			}
			if strings.HasSuffix(p, ".txt") {
				return i, activities.Fail("NotAPicture", p, activities.NotRetryable())
			}
			activities.Heartbeat(ctx, i+1) // more than 10s between two of them, and another attempt begins
		}
		return len(pictures), nil
	})
	return reg
}

// work runs a worker until the returned function is called.
func work(store backend.Store) (eng *engine.Engine, stop func()) {
	eng, err := engine.New(store, registry(), engine.Options{MaxConcurrency: 20})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- eng.Run(ctx) }()
	return eng, func() {
		cancel() // attempts under way may end, what waits is left to other workers
		if err := <-done; err != nil {
			panic(err)
		}
	}
}

// A process that only dispatches has no registry and does not call Run. Workers on the same store do the work.
func Example_dispatchOnly() {
	ctx := context.Background()
	store := memory.New() // sqlite.Open(ctx, "senpuki.db") in a program
	_, stop := work(store)
	defer stop()

	eng, err := engine.New(store, nil, engine.Options{})
	if err != nil {
		panic(err)
	}
	if _, err := eng.Deploy(ctx, workflows, "order.star"); err != nil {
		panic(err)
	}
	id, err := eng.Dispatch(ctx, "order", engine.Input{Args: []any{"A1", 995}}, engine.DispatchOptions{
		ID: "order-A1", Expiry: time.Hour,
	})
	if err != nil {
		panic(err)
	}
	receipt, err := engine.ResultAs[Receipt](ctx, eng, id)
	fmt.Println(id, receipt, err)
	// Output: order-A1 {receipt-A1 995} <nil>
}

// A server that works itself: the handler dispatches with an id of its own, so that a request that is repeated
// finds the execution that it began.
func Example_httpServer() {
	eng, stop := work(memory.New())
	defer stop()
	if _, err := eng.Deploy(context.Background(), workflows, "order.star"); err != nil {
		panic(err)
	}

	mux := http.NewServeMux()
	mux.HandleFunc("PUT /orders/{order}", func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Cents int64 }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		order := r.PathValue("order")
		in := engine.Input{Kwargs: map[string]any{"order": order, "cents": body.Cents}}
		id, err := eng.Dispatch(r.Context(), "order", in, engine.DispatchOptions{ID: "order-" + order})
		if conflict := (*engine.ConflictError)(nil); errors.As(err, &conflict) {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		} else if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		receipt, err := engine.ResultAs[Receipt](r.Context(), eng, id)
		var failure *activities.Failure
		if errors.As(err, &failure) {
			http.Error(w, failure.Kind+" "+string(failure.Data), http.StatusPaymentRequired)
			return
		}
		_ = json.NewEncoder(w).Encode(receipt)
	})
	server := httptest.NewServer(mux)
	defer server.Close()

	put := func(order, body string) {
		req, _ := http.NewRequest(http.MethodPut, server.URL+"/orders/"+order, strings.NewReader(body))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			panic(err)
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		fmt.Println(resp.StatusCode, strings.TrimSpace(string(text)))
	}
	put("A1", `{"cents": 995}`)
	put("A1", `{"cents": 995}`) // the same execution
	put("A2", `{"cents": 5000}`)
	// Output:
	// 200 {"id":"receipt-A1","cents":995}
	// 200 {"id":"receipt-A1","cents":995}
	// 402 Declined {"left":1000}
}

// An activity that takes long says that it is alive, and declares which failures are not to be tried again.
func Example_heartbeats() {
	ctx := context.Background()
	eng, stop := work(memory.New())
	defer stop()
	if _, err := eng.Deploy(ctx, workflows, "resize.star"); err != nil {
		panic(err)
	}
	for _, pictures := range [][]any{{"a.png", "b.png"}, {"a.png", "notes.txt"}} {
		id, err := eng.Dispatch(ctx, "resize", engine.Input{Args: []any{pictures}}, engine.DispatchOptions{})
		if err != nil {
			panic(err)
		}
		n, err := engine.ResultAs[int](ctx, eng, id)
		var failure *activities.Failure
		if errors.As(err, &failure) {
			fmt.Println(failure.Kind, failure.Message, "after attempts:", failure.Attempts)
			continue
		}
		fmt.Println(n, err)
	}
	// Output:
	// 2 <nil>
	// NotAPicture notes.txt after attempts: 1
}
