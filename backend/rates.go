// Rates: how many tasks may begin in one transaction.

package backend

import "time"

// Rates says how many tasks may still begin under each rate that was asked for, in one transaction: a store
// counts what has begun once for each, and not for every task again. Its zero value is empty.
type Rates struct{ left map[rate]int }

type rate struct {
	activity string
	n        int
	per      time.Duration
}

func rateOf(k *Task) rate { return rate{k.Activity, k.Limit.Rate, k.Limit.Per} }

// Left is how many tasks may begin under the rate of a task, by what count says has begun when it was not asked before.
func (r *Rates) Left(k *Task, count func() (int64, error)) (int, error) {
	key := rateOf(k)
	if left, ok := r.left[key]; ok {
		return left, nil
	}
	begun, err := count()
	if err != nil {
		return 0, err
	}
	if r.left == nil {
		r.left = make(map[rate]int)
	}
	r.left[key] = key.n - int(begun)
	return r.left[key], nil
}

// Begin counts a task, for all rates of its activity.
func (r *Rates) Begin(k *Task) {
	for key := range r.left {
		if key.activity == k.Activity {
			r.left[key]--
		}
	}
}
