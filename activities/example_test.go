// Examples of how activities are written and run.

package activities_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/senpuki/senpuki/activities"
)

type Receipt struct {
	ID    string `json:"id"`
	Cents int64  `json:"cents"`
}

func ExampleRegistry() {
	reg := activities.NewRegistry()
	charge := func(ctx context.Context, order string, cents int64) (Receipt, error) {
		if cents < 0 {
			return Receipt{}, activities.Fail("Declined", "a charge is not negative", activities.NotRetryable())
		}
		return Receipt{ID: order, Cents: cents}, nil
	}
	err := reg.Register("charge", charge, activities.Options{
		Params:  []string{"order", "cents"},
		Retry:   activities.RetryPolicy{MaxAttempts: 5},
		Timeout: 30 * time.Second,
	})
	if err != nil {
		panic(err)
	}

	a, _ := reg.Lookup("charge")
	fmt.Println(a.Signature())
	fmt.Println(a.CheckArgs([]byte(`["A1", "abc"]`), nil))

	result, _ := a.Invoke(context.Background(), []byte(`["A1"]`), []byte(`{"cents": 995}`))
	fmt.Println(string(result))
	_, failure := a.Invoke(context.Background(), []byte(`["A1", -1]`), nil)
	fmt.Println(failure)
	// Output:
	// charge(order string, cents int64) -> Receipt
	// BadArguments: charge: argument 2 (cents) wants int64, got "abc"
	// {"id":"A1","cents":995}
	// Declined: a charge is not negative
}

func ExampleNearest() {
	reg := activities.NewRegistry()
	if err := activities.RegisterStock(reg, "shell", "file"); err != nil {
		panic(err)
	}
	fmt.Println(activities.Nearest("file.raed", reg.Names()), activities.Nearest("run", reg.Names()))
	// Output: [file.read] [shell.run]
}

func ExampleRetryPolicy_Next() {
	p := activities.RetryPolicy{Jitter: -1, NoRetryFor: []string{"Declined"}}
	busy := &activities.Failure{Kind: "Busy"}
	fmt.Println(p.Next(1, busy, 0))
	fmt.Println(p.Next(2, busy, 0))
	fmt.Println(p.Next(3, busy, 0))
	fmt.Println(p.Next(1, &activities.Failure{Kind: "Declined"}, 0))
	// Output:
	// 1s true
	// 2s true
	// 0s false
	// 0s false
}

func ExampleFailureOf() {
	declined := activities.Fail("Declined", "no money", activities.Data(map[string]any{"left": 12}))
	f := activities.FailureOf(fmt.Errorf("charging A1: %w", declined))
	fmt.Println(f.Kind, "|", f.Message, "|", string(f.Data))
	fmt.Println(activities.FailureOf(errors.New("boom")))
	// Output:
	// Declined | charging A1: no money | {"left":12}
	// ActivityError: boom
}

func ExampleInfo() {
	ctx := activities.WithInfo(context.Background(), activities.AttemptInfo{
		Execution: "order-7", Run: 1, Step: "3", Attempt: 2, IdempotencyKey: "order-7/1/3",
	})
	info := activities.Info(ctx)
	fmt.Println(info.IdempotencyKey, info.Attempt)
	// Output: order-7/1/3 2
}

// An activity that takes long reports life, and stops when nobody waits for it any more.
func ExampleHeartbeat() {
	copyAll := func(ctx context.Context, files []string) (int, error) {
		for i, f := range files {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			activities.Heartbeat(ctx, map[string]any{"file": f, "done": i})
		}
		return len(files), nil
	}
	reg := activities.NewRegistry()
	reg.MustRegister("copy_all", copyAll, activities.Options{Heartbeat: 30 * time.Second, Timeout: time.Hour})

	a, _ := reg.Lookup("copy_all")
	ctx := activities.WithHeartbeat(context.Background(), func(progress []byte) { fmt.Println(string(progress)) })
	result, _ := a.Invoke(ctx, []byte(`[["a.txt", "b.txt"]]`), nil)
	fmt.Println(string(result))
	// Output:
	// {"done":0,"file":"a.txt"}
	// {"done":1,"file":"b.txt"}
	// 2
}

// Declined is an error with a kind of its own; scripts see the kind.
type Declined struct{ Left int }

func (d Declined) Error() string { return fmt.Sprintf("only %d left", d.Left) }
func (Declined) Kind() string    { return "Declined" }

func ExampleFail() {
	reg := activities.NewRegistry()
	reg.MustRegister("charge", func(cents int) error {
		switch {
		case cents <= 0:
			return activities.Fail("BadAmount", "an amount is more than zero", activities.NotRetryable())
		case cents > 1000:
			return Declined{Left: 1000}
		}
		return errors.New("the bank does not answer")
	})
	a, _ := reg.Lookup("charge")
	for _, cents := range []string{"0", "5000", "1"} {
		_, f := a.Invoke(context.Background(), []byte("["+cents+"]"), nil)
		fmt.Println(f.Kind, f.Message, f.NoRetry)
	}
	// Output:
	// BadAmount an amount is more than zero true
	// Declined only 1000 left false
	// ActivityError the bank does not answer false
}

// A bridge: one function answers for activities that live elsewhere, and checks their arguments itself.
func ExampleRegistry_RegisterOpen() {
	reg := activities.NewRegistry()
	forward := func(_ context.Context, c activities.Call) (any, error) {
		return map[string]any{"sent": c.Activity, "args": c.Args, "kwargs": c.Kwargs}, nil
	}
	for _, name := range []string{"billing.charge", "billing.refund"} {
		if err := reg.RegisterOpen(name, forward); err != nil {
			panic(err)
		}
	}
	a, _ := reg.Lookup("billing.refund")
	result, _ := a.Invoke(context.Background(), []byte(`["A1"]`), []byte(`{"cents": 995}`))
	fmt.Println(string(result))
	// Output: {"args":["A1"],"kwargs":{"cents":995},"sent":"billing.refund"}
}
