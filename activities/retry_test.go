// Tests of the arithmetic of retries, as properties over random policies.

package activities

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestDelays(t *testing.T) {
	t.Parallel()
	p := RetryPolicy{Jitter: -1}
	for n, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 7: time.Minute, 100000: time.Minute, 0: time.Second} {
		if got := p.Delay(n, 0.3); got != want {
			t.Errorf("after %d: %v, want %v", n, got, want)
		}
	}
	q := RetryPolicy{InitialDelay: 10 * time.Second}
	if lo, hi := q.Delay(1, 0), q.Delay(1, 0.999999); lo != 9*time.Second || hi < 10900*time.Millisecond || hi > 11*time.Second {
		t.Error(lo, hi)
	}
	if got := (RetryPolicy{InitialDelay: -1}).Delay(5, 0.5); got != 0 {
		t.Error(got)
	}
	if got := (RetryPolicy{InitialDelay: math.MaxInt64, MaxDelay: math.MaxInt64, Jitter: 1}).Delay(9, 0.99); got != math.MaxInt64 {
		t.Error(got)
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		policy RetryPolicy
		n      int
		f      *Failure
		again  bool
	}{
		{"first of three", RetryPolicy{}, 1, &Failure{Kind: "A"}, true},
		{"second of three", RetryPolicy{}, 2, &Failure{Kind: "A"}, true},
		{"third of three", RetryPolicy{}, 3, &Failure{Kind: "A"}, false},
		{"one try", RetryPolicy{MaxAttempts: 1}, 1, &Failure{Kind: "A"}, false},
		{"no retry", RetryPolicy{}, 1, &Failure{Kind: "A", NoRetry: true}, false},
		{"listed", RetryPolicy{RetryFor: []string{"A", "B"}}, 1, &Failure{Kind: "B"}, true},
		{"not listed", RetryPolicy{RetryFor: []string{"A"}}, 1, &Failure{Kind: "B"}, false},
		{"excluded", RetryPolicy{NoRetryFor: []string{"A"}}, 1, &Failure{Kind: "A"}, false},
		{"excluded wins", RetryPolicy{RetryFor: []string{"A"}, NoRetryFor: []string{"A"}}, 1, &Failure{Kind: "A"}, false},
		{"unknown failure", RetryPolicy{RetryFor: []string{"A"}}, 1, nil, true},
		{"named, though not retryable", RetryPolicy{RetryFor: []string{"A"}}, 1, &Failure{Kind: "A", NoRetry: true}, true},
		{"not retryable", RetryPolicy{RetryFor: []string{"B"}}, 1, &Failure{Kind: "A", NoRetry: true}, false},
	} {
		delay, again := c.policy.Next(c.n, c.f, 0.5)
		if again != c.again || again != (delay > 0) {
			t.Errorf("%s: %v %v", c.name, delay, again)
		}
	}
}

func TestRetryProperties(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for range 20000 {
		p := RetryPolicy{
			MaxAttempts:   r.IntN(20),
			InitialDelay:  time.Duration(r.Int64N(int64(time.Hour))),
			BackoffFactor: 1 + 4*r.Float64(),
			MaxDelay:      time.Duration(r.Int64N(int64(24 * time.Hour))),
			Jitter:        r.Float64(),
		}
		if err := p.Validate(); err != nil {
			t.Fatalf("seed %d: %+v: %v", seed, p, err)
		}
		d := p.WithDefaults()
		if again := d.WithDefaults(); again.Jitter != d.Jitter || again.InitialDelay != d.InitialDelay || again.MaxAttempts != d.MaxAttempts {
			t.Fatalf("seed %d: WithDefaults is not idempotent: %+v", seed, p)
		}
		n, x := 1+r.IntN(30), r.Float64()
		delay, again := p.Next(n, &Failure{Kind: "A"}, x)
		if again != (n < d.MaxAttempts) {
			t.Fatalf("seed %d: %+v after %d: again %v", seed, p, n, again)
		}
		if delay < 0 || float64(delay) > float64(d.MaxDelay)*(1+d.Jitter) {
			t.Fatalf("seed %d: %+v after %d: %v", seed, p, n, delay)
		}
		plain := d
		plain.Jitter = -1
		base := plain.Delay(n, x)
		if base > plain.Delay(n+1, x) {
			t.Fatalf("seed %d: %+v: the delay shrinks after %d", seed, p, n)
		}
		if got := p.Delay(n, x); math.Abs(float64(got-base)) > float64(base)*d.Jitter+1 {
			t.Fatalf("seed %d: %+v after %d: %v is not within the jitter of %v", seed, p, n, got, base)
		}
	}
}
